"""``peephole evaluate``: the errors of a saved forecaster beside the baselines, on the run's test or on newer data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from peephole.cli import console, runs
from peephole.errors import ArgumentError, ArtifactError, DataError

EXAMPLES = """
Examples:

- `peephole evaluate run`

- `peephole evaluate run --data newer.csv --test-windows 2`
"""


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of peephole fit, or a saved model.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A table to test on, with the columns of the fit; the tested values must be newer than those trained "
            "on, or the series others. The test of the fit again if left out."
        ),
    ] = None,
    test_windows: Annotated[
        int | None,
        typer.Option(
            help="Rolling origins at the end of each series. Those of the fit if left out; with --data as many as fit "
            "into the last fifth of the shortest series, 1 to 12."
        ),
    ] = None,
    test_step: Annotated[int | None, typer.Option(help="Steps between the origins. The horizon if left out.")] = None,
    json: console.Json = False,
) -> None:
    """Score a saved forecaster and the baselines on rolling origins.

    Nothing is trained. Without --data the test of the fit is taken again, from the data file of the run.
    """
    place = runs.model_folder(folder)
    from peephole.cli import forecast_run, forecasting
    from peephole.tasks import Forecaster

    run = runs.read(folder) if (folder / runs.CONFIG).is_file() else None
    forecaster = Forecaster.load(place)
    if data is None:
        file, windows, step = _own(run, folder, test_windows, test_step)
        panel = forecasting.read(forecaster, file)
    else:
        panel = forecasting.read(forecaster, data)
        step = forecaster.horizon if test_step is None else test_step
        shortest = min(len(one) for one in panel.series)
        windows = test_windows
        if windows is None:
            windows = forecasting.usual_windows(shortest, forecaster.horizon)
    evaluation = forecasting.test(forecaster, panel, n_windows=windows, step_size=step)
    found: dict[str, Any] = {
        "network": forecaster.network,
        **forecast_run.tested(evaluation, windows, step),
    }
    if json:
        console.print_json({"model": str(place), **found})
    else:
        forecast_run.report_test(found, unit=str(run.settings.get("unit", "")) if run else "")


def _own(run: runs.Run | None, folder: Path, windows: int | None, step: int | None) -> tuple[Path, int, int]:
    """The run's data file, unchanged, and the windows of its test."""
    if run is None:
        raise ArgumentError(f"DIR: {folder} is a model without its run; name a table to test on with --data")
    kept, kept_step = _setting(run, "test_windows"), _setting(run, "test_step")
    if not kept:
        raise ArgumentError(f"DIR: {folder} kept nothing for a test (--test-windows 0); name newer data with --data")
    file = run.data_file
    wanted = str(run.config["data"]["sha256"])
    if not file.is_file() or runs.sha256_of(file) != wanted:
        state = "has changed since" if file.is_file() else "is no longer there since"
        raise DataError(f"{file}: the data {state} the fit; bring it back, or name a table with --data")
    return file, kept if windows is None else windows, kept_step if step is None else step


def _setting(run: runs.Run, name: str) -> int:
    value = run.settings.get(name)
    if not isinstance(value, int):
        raise ArtifactError(
            f"DIR: {run.folder / runs.CONFIG} must say {name} as a whole number (got {value!r}); "
            "bring it back, or name a table to test on with --data"
        )
    return value
