"""Rolling origins: forecasts from several points of the past, each made from what was known there and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peephole.data import Panel, Series, fill_gaps
from peephole.data.fill import Fill
from peephole.errors import ArgumentError, DataError
from peephole.tasks.baselines import BASELINES

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Backtest:
    """Forecasts of several models from ``W`` origins (of all series, one after the other).

    Attributes:
        ids: series of each origin, length ``W``.
        cutoffs: time of the last value known, ``[W]``.
        times: times that were forecast, ``[W, horizon]``.
        truth: what came, ``[W, horizon]``; NaN where it is not known.
        last: last value known, ``[W]``.
        models: forecasts by name, ``[W, horizon]`` each; the network first.
    """

    ids: tuple[str, ...]
    cutoffs: NDArray[Any]
    times: NDArray[Any]
    truth: Values
    last: Values
    models: Mapping[str, Values]

    def columns(self, *, id_col: str, time_col: str, target_col: str) -> dict[str, NDArray[Any]]:
        """One row for each origin and step: id, time, cutoff, target and the models."""
        steps = self.truth.shape[1]
        return {
            id_col: np.repeat(np.array(self.ids), steps),
            time_col: self.times.ravel(),
            "cutoff": np.repeat(self.cutoffs, steps),
            target_col: self.truth.ravel(),
            **{name: values.ravel() for name, values in self.models.items()},
        }


def origins(length: int, *, horizon: int, n_windows: int, step_size: int) -> list[int]:
    """Index of the first value to forecast in each window; the last window ends with the series."""
    first = length - horizon - (n_windows - 1) * step_size
    return [first + window * step_size for window in range(n_windows)]


def check_windows(n_windows: object, step_size: object) -> None:
    """Check the number and the distance of the windows.

    Raises:
        ArgumentError: where one is no whole number of at least 1.
    """
    for name, value in (("n_windows", n_windows), ("step_size", step_size)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ArgumentError(f"Forecaster: {name} must be a whole number of at least 1 (got {value!r})")


def check_room(series: Series, *, needed: int, season: int, horizon: int, n_windows: int, step_size: int) -> None:
    """Check that a series holds what is needed before its first origin: for the network, and a season for its baseline.

    Raises:
        DataError: where it does not.
    """
    tested = horizon + (n_windows - 1) * step_size
    room = len(series) - tested
    if needed <= room < season:
        raise DataError(
            f"series {series.id!r}: must have one season of {season} values before the {tested} that are tested "
            f"(got {room}); lower season_length or n_windows, or bring a longer series"
        )
    if room < needed:
        raise DataError(
            f"series {series.id!r}: must have {needed} values before the {tested} that {n_windows} windows of "
            f"{horizon} test (got {len(series)} in all); lower n_windows, step_size, lags or horizon"
        )


def collect(
    panel: Panel,
    forecast: Callable[[int, Sequence[tuple[str, Values]]], Values],
    *,
    name: str,
    horizon: int,
    n_windows: int,
    step_size: int,
    season: int,
    fill: Fill | None,
) -> Backtest:
    """Forecast from every origin with a network and the baselines.

    Args:
        panel: the series, the tested part included.
        forecast: the network: the number of the window, and id and known values of each series at its origin, to
            forecasts ``[series, horizon]``.
        name: what the network is called.
        horizon: steps to forecast.
        n_windows: origins of each series.
        step_size: steps between them.
        season: steps of a season, for the baseline.
        fill: how gaps are filled; only in what is known at an origin, so that nothing of the future leaks in.
    """
    places = [origins(len(one), horizon=horizon, n_windows=n_windows, step_size=step_size) for one in panel.series]
    made: list[Values] = []
    known: list[list[Values]] = []
    for window in range(n_windows):
        histories = [
            fill_gaps(one.values[: place[window]], fill, series=one.id)
            for one, place in zip(panel.series, places, strict=True)
        ]
        known.append(histories)
        ids = [one.id for one in panel.series]
        made.append(forecast(window, list(zip(ids, histories, strict=True))))
    order = [(number, window) for number in range(len(panel.series)) for window in range(n_windows)]
    spans = [slice(places[number][window], places[number][window] + horizon) for number, window in order]
    histories = [known[window][number] for number, window in order]
    models = {name: np.stack([made[window][number] for number, window in order])}
    for baseline, rule in BASELINES.items():
        models[baseline] = np.stack([rule(history, horizon, season) for history in histories])
    chosen = [panel.series[number] for number, _ in order]
    return Backtest(
        ids=tuple(one.id for one in chosen),
        cutoffs=np.array([one.times[span.start - 1] for one, span in zip(chosen, spans, strict=True)]),
        times=np.stack([one.times[span] for one, span in zip(chosen, spans, strict=True)]),
        truth=np.stack([one.values[span] for one, span in zip(chosen, spans, strict=True)]),
        last=np.array([history[-1] for history in histories]),
        models=models,
    )
