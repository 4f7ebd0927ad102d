"""Backtests run and judged: the network trained before the origins, scores, echoes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from peephole.data import Panel
from peephole.data.checks import show
from peephole.errors import DataError
from peephole.tasks.backtest import Backtest, check_room, collect, origins
from peephole.tasks.echo import Echo, diagnose_echo
from peephole.tasks.fitting import Fitted, fit_network
from peephole.tasks.metrics import score
from peephole.training import ProgressCallback

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What :meth:`Forecaster.evaluate` found.

    Attributes:
        table: a frame of the user's make: ``metric`` and one column for each model.
        scores: the same as nested dicts, by metric, then by model.
        forecasts: the frame of :meth:`Forecaster.cross_validate`.
        backtest: the same as arrays.
        echo: whether the network only echoes the last value.
    """

    table: Any
    scores: Mapping[str, Mapping[str, float]]
    forecasts: Any
    backtest: Backtest
    echo: Echo


def rolling(
    panel: Panel,
    parameters: Mapping[str, Any],
    *,
    windows: tuple[int, int],
    refit: bool,
    fitted: Fitted | None,
    progress: ProgressCallback | None,
) -> Backtest:
    """Forecast from rolling origins, with a network that has seen nothing behind them.

    Args:
        panel: the data, the tested part at its end included.
        parameters: the forecaster's, checked.
        windows: their number, and the steps between them, both checked.
        refit: whether to train anew at every origin, or once before the first.
        fitted: what to test as it is; None to train.
        progress: told of every epoch.

    Raises:
        DataError: for a series too short, or tested on what ``fitted`` has seen.
    """
    lags, horizon = int(parameters["lags"]), int(parameters["horizon"])
    n_windows, step_size = windows
    season = parameters["season_length"] or panel.frequency.season
    for one in panel.series:
        needed = lags if fitted is not None else lags + horizon
        check_room(one, needed=needed, season=season, horizon=horizon, n_windows=n_windows, step_size=step_size)
    if fitted is not None:
        _check_unseen(panel, fitted, horizon=horizon, n_windows=n_windows, step_size=step_size)
    current = fitted

    def forecast(window: int, known: Sequence[tuple[str, Values]]) -> Values:
        nonlocal current
        if fitted is None and (refit or not window):
            past = [one.until(len(values)) for one, (_, values) in zip(panel.series, known, strict=True)]
            seen = Panel(tuple(past), panel.frequency, panel.style, panel.source)
            current = fit_network(seen, parameters, progress=progress)
        return cast("Fitted", current).forecast(known)

    return collect(
        panel,
        forecast,
        name=parameters["network"],
        horizon=horizon,
        n_windows=n_windows,
        step_size=step_size,
        season=season,
        fill=parameters["fill"],
    )


def judge(panel: Panel, backtest: Backtest, *, name: str, season: int) -> tuple[dict[str, dict[str, float]], Echo]:
    """Scores of all models, and whether the network called ``name`` only echoes the last value.

    What they are measured in is taken from the values before the first origin alone.
    """
    first: dict[str, Any] = dict(zip(reversed(backtest.ids), reversed(list(backtest.cutoffs)), strict=True))
    training = {one.id: one.until(int(np.count_nonzero(one.times <= first[one.id]))) for one in panel.series}
    scores = score(backtest, training, season=season)
    spread = {one: float(np.nanstd(series.values)) or 1.0 for one, series in training.items()}
    unit = np.array([spread[one] for one in backtest.ids])
    return scores, diagnose_echo(backtest.models[name], backtest.truth, backtest.last, unit)


def _check_unseen(panel: Panel, fitted: Fitted, *, horizon: int, n_windows: int, step_size: int) -> None:
    ends = fitted.trained_until
    for one in panel.series:
        first = origins(len(one), horizon=horizon, n_windows=n_windows, step_size=step_size)[0]
        if one.id in ends and one.times[first] <= ends[one.id]:
            raise DataError(
                f"series {one.id!r}: the tested part must lie behind the training data (it begins at "
                f"{show(one.times[first])}, training ended at {show(ends[one.id])}); lower n_windows, or leave out "
                "fitted=True to train a copy on what came before"
            )
