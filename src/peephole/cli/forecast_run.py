"""A run of ``peephole fit forecast``: begun or gone on with, finished, written down, reported."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peephole import files
from peephole.cli import console, forecasting, pictures, progress, report, runs
from peephole.cli.forecasting import Plan
from peephole.errors import ArgumentError
from peephole.tasks import BASELINES, Evaluation
from peephole.training import DivergedError, Interrupted
from peephole.training import Progress as Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is asked for.

    Attributes:
        file: the table.
        out: the run folder.
        parameters: of the :class:`peephole.tasks.Forecaster`.
        n_windows: origins of the test, None for the usual number.
        step_size: steps between them, None for the horizon.
        unit: unit of the values, for tables and pictures.
    """

    file: Path
    out: Path
    parameters: Mapping[str, Any]
    n_windows: int | None
    step_size: int | None
    unit: str

    @property
    def labels(self) -> dict[str, str]:
        """What the axes of the pictures are called."""
        return {"value": self.parameters["target_col"], "unit": self.unit, "time": self.parameters["time_col"]}


def run(order: Order, *, resume: bool, quiet: bool, arguments: Sequence[str] | None = None) -> runs.Run:
    """Fit, test and write down; or go on with a run that was interrupted.

    Args:
        order: what is asked for.
        resume: whether to go on with the run in the folder.
        quiet: no bars.
        arguments: the command line, to say how to resume; None where there is none.

    Returns:
        The finished run. One that was finished already is returned as it is.

    Raises:
        PeepholeError: for bad input; nothing is then left behind.
        StoppedError: after Ctrl-C, saying how to resume.
    """
    if not resume:
        runs.refuse_taken(order.out)
    elif not order.out.exists():
        raise ArgumentError(f"--resume: there is no run at {order.out} to go on with; leave out --resume to begin it")
    before = runs.read(order.out) if resume else None
    planned = forecasting.plan(order.file, order.parameters, n_windows=order.n_windows, step_size=order.step_size)
    wanted = runs.config(settings_of(planned, unit=order.unit), order.file)
    if before is not None:
        runs.check_same(before, wanted)
        if before.metrics is not None:
            return before
    checkpoint = order.out / runs.CHECKPOINT
    with _keeping(order.out, checkpoint, arguments), runs.beginning(order.out, checkpoint, worthless=(DivergedError,)):
        if before is None:
            runs.write_json(order.out / runs.CONFIG, wanted)
        _fit(planned, order.out, quiet=quiet, resume=checkpoint.exists())
        _finish(planned, order)
    return runs.read(order.out)


@contextmanager
def _keeping(folder: Path, checkpoint: Path, arguments: Sequence[str] | None) -> Generator[None]:
    """Turn an interruption into one message that says how to go on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not checkpoint.exists():
            raise
        done = f" after {interrupt.epoch} epochs" if isinstance(interrupt, Interrupted) else ""
        again = [*(arguments or []), *([] if "--resume" in (arguments or []) else ["--resume"])]
        raise console.StoppedError(
            f"interrupted{done}; {folder} keeps the state. Go on with: peephole {shlex.join(again)}"
        ) from interrupt


def _fit(planned: Plan, folder: Path, *, quiet: bool, resume: bool) -> None:
    name = report.spoken(planned.forecaster.network)
    begun = time.monotonic()
    with (
        progress.training(f"Fitting the {name}", enabled=not quiet) as show,
        (folder / runs.LOG).open("a", encoding="utf-8") as log,
    ):

        def follow(epoch: Epoch) -> None:
            log.write(_log_line(epoch.epoch, epoch.train_loss, epoch.validation_loss, time.monotonic() - begun))
            log.flush()
            show(epoch)

        forecasting.fit(planned, progress=follow, checkpoint=folder / runs.CHECKPOINT, resume=resume)


def _finish(planned: Plan, order: Order) -> None:
    """Test, save, draw, and write the metrics last: with them the run is finished."""
    forecaster, folder = planned.forecaster, order.out
    evaluation = None
    if planned.n_windows:
        evaluation = forecasting.test(
            forecaster, planned.panel, n_windows=planned.n_windows, step_size=planned.step_size
        )
    forecaster.set_history(forecasting.as_frame(planned.panel, forecaster))
    _write_results(planned, evaluation, folder)
    pictures.draw_run(
        folder / runs.PICTURES, folder / runs.MODEL, forecaster, planned.panel, evaluation, labels=order.labels
    )
    runs.write_json(folder / runs.METRICS, metrics(planned, evaluation))
    (folder / runs.CHECKPOINT).unlink()


def write_run(planned: Plan, evaluation: Evaluation, folder: Path, *, unit: str, file: Path) -> None:
    """Write a run that was fitted and tested in one go, without pictures of its own."""
    folder.mkdir(parents=True)
    settings = settings_of(planned, unit=unit)
    runs.write_json(folder / runs.CONFIG, runs.config(settings, file))
    _write_results(planned, evaluation, folder)
    runs.write_json(folder / runs.METRICS, metrics(planned, evaluation))


def settings_of(planned: Plan, *, unit: str) -> dict[str, Any]:
    """The settings of a run as ``config.json`` keeps them."""
    return {
        **planned.forecaster.get_params(),
        "test_windows": planned.n_windows,
        "test_step": planned.step_size,
        "unit": unit,
    }


def _write_results(planned: Plan, evaluation: Evaluation | None, folder: Path) -> None:
    forecaster = planned.forecaster
    if evaluation is not None:
        write_frame(folder / runs.BACKTEST, evaluation.forecasts)
    forecaster.save(folder / runs.MODEL, overwrite=True)
    rows = [_log_line(row.epoch, row.train_loss, row.validation_loss) for row in forecaster.history_]
    runs.write_text(folder / runs.LOG, "".join(rows))


def write_frame(path: Path, frame: Any) -> None:
    """Write a frame as CSV, beside its place and renamed."""
    import narwhals as nw

    with files.replacing(path) as beside:
        nw.from_native(frame, eager_only=True).write_csv(beside)


def metrics(planned: Plan, evaluation: Evaluation | None) -> dict[str, Any]:
    """The content of ``metrics.json``."""
    forecaster, training = planned.forecaster, planned.forecaster.training_
    found: dict[str, Any] = {
        "network": forecaster.network,
        "baselines": list(BASELINES),
        "training": None
        if training is None
        else {
            "values": sum(len(one) - planned.tested for one in planned.panel.series),
            "series": len(planned.panel.series),
            "until": str(max(one.times[len(one) - planned.tested - 1] for one in planned.panel.series)),
            "epochs": len(training.history),
            "best_epoch": training.best_epoch,
            "best_loss": training.best_loss,
            "stopped": training.stopped,
        },
    }
    return {**found, **tested(evaluation, planned.n_windows, planned.step_size)}


def tested(evaluation: Evaluation | None, n_windows: int, step_size: int) -> dict[str, Any]:
    """What a test found, as it stands in ``metrics.json`` and in ``--json``; all null where there was none."""
    if evaluation is None:
        return {"test": None, "scores": None, "echo": None}
    backtest = evaluation.backtest
    return {
        "test": {
            "windows": n_windows,
            "step": step_size,
            "horizon": int(backtest.truth.shape[1]),
            "from": str(backtest.times.min()),
            "to": str(backtest.times.max()),
        },
        "scores": evaluation.scores,
        "echo": {**asdict(evaluation.echo), "message": evaluation.echo.message(evaluation_name(evaluation))},
    }


def evaluation_name(evaluation: Evaluation) -> str:
    """The network that was tested."""
    return next(name for name in evaluation.backtest.models if name not in BASELINES)


def document(finished: runs.Run) -> dict[str, Any]:
    """A finished run as one JSON document."""
    return {"run": str(finished.folder), "model": str(finished.folder / runs.MODEL), **(finished.metrics or {})}


def report_run(finished: runs.Run) -> None:
    """Print a finished run for a reader."""
    found = finished.metrics or {}
    training = found.get("training")
    if training:
        name = report.spoken(found["network"])
        series = f" of {training['series']} series" if training["series"] > 1 else ""
        console.say_plain(
            f"{name} fitted on {training['values']} values{series}, until {short(training['until'])}: "
            f"{training['epochs']} epochs, the best was {training['best_epoch']}."
        )
    unit = str(finished.settings.get("unit", ""))
    report_test(found, unit=unit)
    folder = finished.folder
    console.say_plain(f"\nRun folder: {folder} (model, metrics, {runs.BACKTEST}, log, pictures)")
    console.say_plain(f"Forecast what comes next: peephole predict {shlex.quote(str(folder))}")


def report_test(found: Mapping[str, Any], *, unit: str) -> None:
    """Print the table of errors, who wins, and the warning where the network only echoes."""
    if found.get("scores") is None:
        console.say_plain("No test was asked for: nothing is known of its errors beside the baselines.")
        return
    network, test = str(found["network"]), found["test"]
    title = (
        f"Errors on {short(test['from'])} to {short(test['to'])}, never seen in training: "
        f"{test['windows']} origins, {test['horizon']} steps each"
    )
    console.say_plain("")
    console.show(title, report.scores_table(found["scores"], [network], unit=unit))
    for line in report.verdict(found["scores"], [network], unit=unit):
        console.say_plain(line)
    if found["echo"]["flagged"]:
        console.warn(str(found["echo"]["message"]))


def short(time: str) -> str:
    """A time without the clock where it shows midnight, and without the fraction of the second where it is zero."""
    day, _, clock = time.partition("T")
    clock = clock.removesuffix(".000000").removesuffix(":00")
    return day if clock in ("", "00:00") else f"{day} {clock}"


def _log_line(epoch: int, train_loss: float, validation_loss: float | None, seconds: float | None = None) -> str:
    row: dict[str, Any] = {"epoch": epoch, "train_loss": train_loss, "validation_loss": validation_loss}
    if seconds is not None:
        row["seconds"] = round(seconds, 3)
    return json.dumps(row) + "\n"
