"""Lag windows: the last n values and the m that follow (003: lag n, next m).

A window never crosses from one series into another, and its targets never cross the cut between training, validation
and test. Its inputs may reach back over a cut: at forecast time the past is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peephole.errors import ArgumentError, DataError
from peephole.shapes import Float


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one or more series.

    Attributes:
        inputs: the lags, oldest first, ``[W, lags]``.
        targets: the values that follow, ``[W, horizon]``.
        series: number of the series each window was cut from, ``[W]``.
        origins: index in that series of the first target, ``[W]``.
    """

    inputs: Float[np.ndarray, "W lags"]
    targets: Float[np.ndarray, "W horizon"]
    series: NDArray[np.int64]
    origins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.inputs)


def cut_windows(
    values: Float[np.ndarray, " T"],
    *,
    lags: int,
    horizon: int,
    start: int = 0,
    stop: int | None = None,
    series: int = 0,
) -> Windows:
    """Every window of one series whose targets lie in ``[start, stop)``.

    Args:
        values: the series, ``[T]``.
        lags: ``n``, inputs of a window.
        horizon: ``m``, targets of a window.
        start: first index a target may have; inputs may lie before it.
        stop: index behind the last target; None for the end of the series.
        series: number to give the windows.

    Returns:
        The windows in order of time; none where the span is shorter than ``horizon`` or has no lags before it.

    Raises:
        ArgumentError: where the span is not inside the series.
    """
    end = len(values) if stop is None else stop
    if not 0 <= start <= end <= len(values):
        raise ArgumentError(f"cut_windows: 0 <= start <= stop <= length must hold (got {start}, {end}, {len(values)})")
    first = max(start, lags)
    count = max(end - horizon - first + 1, 0)
    origins = np.arange(first, first + count, dtype=np.int64)
    if not count:
        dtype = values.dtype
        return Windows(np.empty((0, lags), dtype), np.empty((0, horizon), dtype), origins.copy(), origins)
    view = np.lib.stride_tricks.sliding_window_view(values[first - lags : end], lags + horizon)
    return Windows(view[:, :lags].copy(), view[:, lags:].copy(), np.full(count, series, dtype=np.int64), origins)


def join_windows(parts: Sequence[Windows]) -> Windows:
    """The windows of several series, one after the other."""
    return Windows(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.origins for part in parts]),
    )


def training_cut(length: int, *, lags: int, horizon: int, fraction: float, series: str = "series") -> int:
    """Index at which the validation tail of a series begins; its length where ``fraction`` is 0.

    The tail takes ``fraction`` of the series and at least one horizon; before it there must be one whole window.

    Raises:
        DataError: for a series too short for a training window, or for a validation tail beside it.
    """
    if length < lags + horizon:
        raise DataError(
            f"series {series!r}: must have at least lags + horizon = {lags} + {horizon} = {lags + horizon} values "
            f"(got {length}); lower lags or horizon, or bring a longer series"
        )
    if not fraction:
        return length
    tail = max(horizon, round(length * fraction))
    if length - tail < lags + horizon:
        raise DataError(
            f"series {series!r}: must have lags + horizon = {lags} + {horizon} values before the {tail} kept for "
            f"validation (got {length} in all); lower lags or horizon, or set validation_fraction=0"
        )
    return length - tail
