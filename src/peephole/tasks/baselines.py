"""What any forecast must beat: three rules without anything to learn (Hyndman & Athanasopoulos, chapter 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from peephole.errors import DataError

Values = NDArray[np.float64]


def naive(history: Values, horizon: int, season: int) -> Values:
    """The last value, again and again."""
    del season
    return np.full(horizon, history[-1])


def seasonal_naive(history: Values, horizon: int, season: int) -> Values:
    """The last season, again and again.

    Raises:
        DataError: for a history shorter than a season.
    """
    if len(history) < season:
        raise DataError(
            f"seasonal_naive: the history must hold one season of {season} values (got {len(history)}); "
            "lower season_length, or bring a longer history"
        )
    return np.resize(history[-season:], horizon)


def drift(history: Values, horizon: int, season: int) -> Values:
    """The line through the first and the last value, drawn on."""
    del season
    slope = (history[-1] - history[0]) / max(len(history) - 1, 1)
    return history[-1] + slope * np.arange(1, horizon + 1)


BASELINES: Mapping[str, Callable[[Values, int, int], Values]] = MappingProxyType(
    {"naive": naive, "seasonal_naive": seasonal_naive, "drift": drift}
)
"""The baselines by name: history ``[T]``, horizon and season to forecast ``[horizon]``."""
