"""The demonstration step by step: the data, the fits, the comparison, the pictures, the stream."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.markup import escape

from peephole import files
from peephole.cli import console, forecast_run, forecasting, pictures, progress, report, runs
from peephole.cli.forecasting import Plan
from peephole.cli.streaming import Streamed, stream_elsewhere
from peephole.data import Panel, sample_path
from peephole.errors import ArgumentError
from peephole.tasks import BASELINES, DEMO, Evaluation, Forecaster

MARK = "demo.json"
_PACKAGES = "torch, pandas or matplotlib"
TOLERANCE = 1e-4
"""How far the streamed forecast may lie from the other one, in standard deviations of the series: float32 rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """One network, fitted and tested with every seed.

    Attributes:
        plan: of the first seed, fitted; its run folder and its pictures are kept.
        evaluation: of the first seed.
        scores: of every seed.
    """

    plan: Plan
    evaluation: Evaluation
    scores: tuple[report.Scores, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the demonstration found.

    Attributes:
        folder: where everything is.
        networks: those that were fitted.
        scores: by metric, every model; a network's are the means over the seeds.
        by_seed: mean absolute error of every network, seed by seed.
        winners: the networks whose mean absolute error is below that of every baseline with every seed.
        streamed: what the process without torch found.
        largest_difference: between its forecast and that of the fitted model, in the unit of the series.
        same_numbers: whether that is rounding.
        seconds: the whole time.
    """

    folder: Path
    networks: tuple[str, ...]
    scores: report.Scores
    by_seed: Mapping[str, list[float]]
    winners: list[str]
    streamed: Streamed
    largest_difference: float
    same_numbers: bool
    seconds: float


def refuse_taken(folder: Path) -> None:
    """Check that the demonstration may write to ``folder``: absent, empty, or that of an earlier demonstration.

    Raises:
        ArgumentError: where something else is there.
    """
    if folder.exists() and not (folder / MARK).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArgumentError(
            f"--out: {folder} exists and is no earlier demo, so it is left as it is; choose another --out"
        )


def run(out: Path, *, quiet: bool) -> Outcome:
    """Run the demonstration; ``out`` appears, or is replaced, only when all of it is done.

    Args:
        out: the folder.
        quiet: print nothing.
    """
    begun = time.monotonic()
    say: Callable[[str], None] = _silent if quiet else console.say
    file = sample_path(DEMO.sample)
    with files.creating_folder(out) as folder:
        say(_welcome(file))
        first = DEMO.networks[0]
        planned = _plan(first, file, DEMO.seeds[0])
        panel = planned.panel
        say(_data_told(panel, planned))
        say(f"\n[bold]2  Three networks learn from the years before the test[/], with {len(DEMO.seeds)} seeds each")
        fits = {name: _fit_and_test(name, file, folder / name, say=say, quiet=quiet) for name in DEMO.networks}
        scores, by_seed = _together(fits), _by_seed(fits)
        if not quiet:
            _compare(scores, by_seed, planned)
        _draw(folder, fits, scores)
        say(_pictures_told(out))
        streamed, difference = _stream(fits[first].plan.forecaster, folder / first / runs.MODEL, panel)
        scale = float(np.std(panel.series[0].values))
        outcome = Outcome(
            folder=out,
            networks=DEMO.networks,
            scores=scores,
            by_seed=by_seed,
            winners=_winners(scores, by_seed),
            streamed=streamed,
            largest_difference=difference,
            same_numbers=bool(difference <= TOLERANCE * scale) and not streamed.imported,
            seconds=time.monotonic() - begun,
        )
        say(_stream_told(outcome))
        runs.write_json(
            folder / MARK,
            {"format": "peephole demo", "scores": scores, "mae_by_seed": by_seed, "winners": outcome.winners},
        )
        if (out / MARK).is_file():
            shutil.rmtree(out)
    say(_farewell(outcome))
    return outcome


def _silent(_text: str) -> None:
    """Print nothing."""


def _plan(name: str, file: Path, seed: int) -> Plan:
    series = DEMO.series
    settings = {field.name: getattr(DEMO, field.name) for field in dataclasses.fields(DEMO)}
    known = inspect.signature(Forecaster).parameters
    parameters = {
        **{parameter: value for parameter, value in settings.items() if parameter in known},
        "network": name,
        "seed": seed,
        "season_length": series.season_length,
        "time_col": series.time_col,
        "target_col": series.target_col,
    }
    return forecasting.plan(file, parameters, n_windows=DEMO.n_windows, step_size=DEMO.step_size)


def _fit_and_test(name: str, file: Path, folder: Path, *, say: Callable[[str], None], quiet: bool) -> Fits:
    """Fit and test one network with every seed, and leave that of the first one as a run folder of its own."""
    begun = time.monotonic()
    fitted: list[tuple[Plan, Evaluation]] = []
    for seed in DEMO.seeds:
        planned = _plan(name, file, seed)
        with progress.training(f"Fitting the {report.spoken(name)}, seed {seed}", enabled=not quiet) as show:
            forecasting.fit(planned, progress=show)
        evaluation = forecasting.test(
            planned.forecaster, planned.panel, n_windows=planned.n_windows, step_size=planned.step_size
        )
        fitted.append((planned, evaluation))
    kept, evaluation = fitted[0]
    kept.forecaster.set_history(forecasting.as_frame(kept.panel, kept.forecaster))
    forecast_run.write_run(kept, evaluation, folder, unit=DEMO.series.unit, file=file)
    epochs = ", ".join(str(len(planned.forecaster.history_)) for planned, _ in fitted)
    count = sum(parameter.numel() for parameter in kept.forecaster.network_.parameters())
    seconds = time.monotonic() - begun
    say(f"   {report.spoken(name):<5} {count:>5} weights   {epochs} epochs   {seconds:.1f} s")
    return Fits(plan=kept, evaluation=evaluation, scores=tuple(found.scores for _, found in fitted))


def _together(fits: Mapping[str, Fits]) -> dict[str, dict[str, float]]:
    """The mean scores of all networks and the scores of the baselines in one table."""
    first = next(iter(fits.values())).evaluation.scores
    return {
        metric: {
            **{name: fmean(scores[metric][name] for scores in found.scores) for name, found in fits.items()},
            **{name: row[name] for name in BASELINES},
        }
        for metric, row in first.items()
    }


def _by_seed(fits: Mapping[str, Fits]) -> dict[str, list[float]]:
    return {name: [scores["mae"][name] for scores in found.scores] for name, found in fits.items()}


def _winners(scores: report.Scores, by_seed: Mapping[str, list[float]]) -> list[str]:
    floor = min(scores["mae"][name] for name in BASELINES)
    return [name for name in DEMO.networks if max(by_seed[name]) < floor]


def _compare(scores: report.Scores, by_seed: Mapping[str, list[float]], planned: Plan) -> None:
    times = planned.panel.series[0].times
    months = f"{forecast_run.short(str(times[-planned.tested]))[:7]} to {forecast_run.short(str(times[-1]))[:7]}"
    console.say("\n[bold]3  The test: who forecasts best what none of them has seen?[/]")
    console.say(
        f"   {DEMO.n_windows} forecasts of {DEMO.horizon} months each, one every {DEMO.step_size} months, {months}. "
        "A network's errors are means over its seeds.\n"
        "   The baselines learn nothing: naive repeats the last month, seasonal naive the last year, drift a line."
    )
    console.show("", report.scores_table(scores, DEMO.networks, unit=DEMO.series.unit))
    for line in report.verdict(scores, DEMO.networks, unit=DEMO.series.unit):
        console.say(f"   {line}")
    for name, errors in by_seed.items():
        console.say(f"   {report.spoken(name):<5} seed by seed: MAE {', '.join(f'{error:.3f}' for error in errors)}")


def _draw(folder: Path, fits: Mapping[str, Fits], scores: report.Scores) -> None:
    series, panel = DEMO.series, next(iter(fits.values())).plan.panel
    labels = {"value": series.target_col, "unit": series.unit, "time": ""}
    title = f"{series.title.split(',')[0]}: {DEMO.horizon} months ahead (seed {DEMO.seeds[0]})"
    evaluations = {name: found.evaluation for name, found in fits.items()}
    pictures.draw_forecasts(folder / "forecasts.png", evaluations, panel, labels=labels, title=title)
    pictures.draw_gates(folder / "gates.png", folder / DEMO.networks[0] / runs.MODEL, panel, labels=labels)
    pictures.draw_scores(folder / "metrics.png", scores, list(DEMO.networks), unit=series.unit)
    histories = {name: found.plan.forecaster.history_ for name, found in fits.items()}
    pictures.draw_training(folder / "training.png", histories)


def _stream(forecaster: Forecaster, model: Path, panel: Panel) -> tuple[Streamed, float]:
    """Step the last ``lags`` values through the saved model elsewhere, and compare with the forecaster in hand."""
    one = panel.series[0]
    here: Any = forecaster.predict()[forecaster.network].to_numpy()
    streamed = stream_elsewhere(model, [float(value) for value in one.values[-forecaster.lags :]])
    return streamed, float(np.max(np.abs(np.array(streamed.forecast) - here)))


def _welcome(file: Path) -> str:
    series = DEMO.series
    return (
        f"[bold]1  The data[/]\n   {series.title}.\n   Measured by {series.source}; {series.licence}. "
        f"File: {file.name}, in the package."
    )


def _data_told(panel: Panel, planned: Plan) -> str:
    one = panel.series[0]
    return (
        f"   {len(one)} months. The last {planned.tested} are kept for the test; the networks never see them.\n"
        f"   A forecast is made of the last {DEMO.lags} months and says the next {DEMO.horizon} at once."
    )


def _pictures_told(out: Path) -> str:
    first, place = report.spoken(DEMO.networks[0]), escape(str(out))
    return (
        "\n[bold]4  Looking inside[/]\n"
        f"   {place}/forecasts.png  the forecasts against what came\n"
        f"   {place}/gates.png      what the {first}'s gates, cells and outputs did, month by month\n"
        f"   {place}/metrics.png    the table as bars\n"
        f"   {place}/training.png   how they learned"
    )


def _stream_told(outcome: Outcome) -> str:
    found, first = outcome.streamed, report.spoken(outcome.networks[0])
    if not outcome.same_numbers:
        return (
            f"\n[bold red]5  The streamed {first} does not give the same numbers[/]: they differ by "
            f"{outcome.largest_difference:.2g} {DEMO.series.unit}, imported there: {found.imported or 'nothing large'}."
        )
    return (
        f"\n[bold]5  The saved {first} streams without torch[/]\n"
        f"   A process of its own, in which none of {_PACKAGES} was imported, took the last {found.steps} months one "
        f"by one,\n   {found.microseconds:.0f} µs a step, and forecasts the same {len(found.forecast)} months: "
        f"largest difference {outcome.largest_difference:.1e} {DEMO.series.unit}."
    )


def _farewell(outcome: Outcome) -> str:
    folder, first = escape(str(outcome.folder)), outcome.networks[0]
    return (
        f"\n[bold]Done in {outcome.seconds:.0f} s.[/] Everything is in {folder}. What to try next:\n"
        f"   peephole predict {folder}/{first}\n"
        "   peephole fit forecast YOUR.csv --time date --target value --horizon 7 --lags 28 --out run\n"
        f"   and in Python, without torch: peephole.runtime.load({folder + '/' + first + '/' + runs.MODEL!r})"
    )
