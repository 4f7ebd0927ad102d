"""What the commands about forecasts share: checking everything first, fitting, testing, saving.

The last values of each series are kept for the test: the network never sees them, and the errors beside the baselines
are taken on them. The saved model forecasts on from the end of the whole series all the same.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peephole.data import Panel, read_panel, to_frame, training_cut
from peephole.tasks import EchoWarning, Evaluation, Forecaster
from peephole.tasks.backtest import check_room, check_windows
from peephole.tasks.parameters import check_parameters

if TYPE_CHECKING:
    from peephole.training import ProgressCallback

MOST_WINDOWS = 12
TESTED_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fit that was checked and can begin.

    Attributes:
        forecaster: with its parameters, not fitted.
        panel: all the data.
        n_windows: origins of the test of each series; 0 for no test.
        step_size: steps between them.
    """

    forecaster: Forecaster
    panel: Panel
    n_windows: int
    step_size: int

    @property
    def tested(self) -> int:
        """The values at the end of each series that are kept for the test."""
        return self.forecaster.horizon + (self.n_windows - 1) * self.step_size if self.n_windows else 0


def plan(file: Path, parameters: Mapping[str, Any], *, n_windows: int | None, step_size: int | None = None) -> Plan:
    """Check the parameters and the data, before anything is written.

    Args:
        file: the table.
        parameters: of the :class:`peephole.tasks.Forecaster`.
        n_windows: origins of the test; None for as many as fit into the last fifth of the shortest series, 1 to 12;
            0 for no test.
        step_size: steps between them; None for the horizon.

    Raises:
        ArgumentError: for a parameter that breaks its rule.
        DataError: for everything about the data that stands in the way.
    """
    forecaster = Forecaster(**parameters)
    check_parameters(forecaster.get_params())
    step = forecaster.horizon if step_size is None else step_size
    panel = read(forecaster, file)
    lags, horizon = forecaster.lags, forecaster.horizon
    for one in panel.series:
        training_cut(len(one), lags=lags, horizon=horizon, fraction=0, series=one.id)
    if n_windows is None:
        n_windows = usual_windows(min(len(one) for one in panel.series), horizon)
    if n_windows:
        check_windows(n_windows, step)
        season = forecaster.season_length or panel.frequency.season
        for one in panel.series:
            check_room(one, needed=lags + horizon, season=season, horizon=horizon, n_windows=n_windows, step_size=step)
    # told from here on: the step of all the data is also that of its first part
    forecaster.set_params(freq=panel.frequency.name)
    return Plan(forecaster=forecaster, panel=panel, n_windows=n_windows, step_size=step)


def usual_windows(length: int, horizon: int) -> int:
    """As many windows as fit into the last fifth of a series, 1 to 12."""
    return min(MOST_WINDOWS, max(1, int(TESTED_SHARE * length) // horizon))


def read(forecaster: Forecaster, file: Path) -> Panel:
    """The series of a file, with the columns and the filling of a forecaster."""
    return read_panel(
        file,
        id_col=forecaster.id_col,
        time_col=forecaster.time_col,
        target_col=forecaster.target_col,
        freq=forecaster.freq,
        fill=forecaster.fill,
    )


def fit(
    planned: Plan,
    *,
    progress: ProgressCallback | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> None:
    """Fit on all but the values that are kept for the test.

    Raises:
        Interrupted: after Ctrl-C, with the checkpoint written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)  # said once, after the test
        planned.forecaster.fit(_training_frame(planned), progress=progress, checkpoint=checkpoint, resume=resume)


def test(forecaster: Forecaster, data: Path | Panel, *, n_windows: int, step_size: int) -> Evaluation:
    """Score a fitted forecaster beside the baselines, on values it never saw."""
    frame = as_frame(data, forecaster) if isinstance(data, Panel) else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EchoWarning)
        return forecaster.evaluate(frame, n_windows=n_windows, step_size=step_size, fitted=True)


def as_frame(panel: Panel, forecaster: Forecaster) -> Any:
    """A panel as the table it was read from: without an id column where there was none."""
    import numpy as np

    columns: dict[str, Any] = {
        forecaster.id_col: np.repeat(np.array([one.id for one in panel.series]), [len(one) for one in panel.series]),
        forecaster.time_col: np.concatenate([one.times for one in panel.series]),
        forecaster.target_col: np.concatenate([one.values for one in panel.series]),
    }
    if len(panel.series) == 1 and panel.series[0].id == forecaster.target_col:
        del columns[forecaster.id_col]
    return to_frame(columns, panel.style, id_col=forecaster.id_col, time_cols=[forecaster.time_col])


def _training_frame(planned: Plan) -> Any:
    panel = planned.panel
    series = tuple(one.until(len(one) - planned.tested) for one in panel.series)
    return as_frame(dataclasses.replace(panel, series=series), planned.forecaster)
