"""The pictures of a run, from what was fitted and tested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peephole import inspection, runtime
from peephole.cli import report
from peephole.data import Panel
from peephole.spec import RecurrentSpec
from peephole.tasks import BASELINES, Evaluation

if TYPE_CHECKING:
    from peephole.tasks import Forecaster
    from peephole.training import Epoch


def draw_forecasts(
    path: Path, evaluations: Mapping[str, Evaluation], panel: Panel, *, labels: Mapping[str, str], title: str
) -> None:
    """Every network's forecasts of the first series against what came.

    Args:
        path: the PNG.
        evaluations: of one network each, by its name, on the same windows.
        panel: the data.
        labels: ``value``, ``unit`` and ``time`` for the axes.
        title: heading.
    """
    one = panel.series[0]
    first = next(iter(evaluations.values())).backtest
    rows = np.array([series == one.id for series in first.ids])
    rolling = inspection.RollingForecasts(
        time=first.times[rows],
        truth=first.truth[rows],
        networks={name: found.backtest.models[name][rows] for name, found in evaluations.items()},
        baselines={name: first.models[name][rows] for name in BASELINES},
    )
    figure = inspection.forecasts(
        rolling,
        one.times,
        history=one.values,
        value_label=labels["value"],
        unit=labels["unit"],
        time_label=labels["time"],
        title=title,
    )
    inspection.save(figure, path)


def draw_gates(path: Path, model_folder: Path, panel: Panel, *, labels: Mapping[str, str]) -> bool:
    """What the saved network did over the last window of the first series, seen through the torch-free runtime.

    Returns:
        Whether there was something to draw: a perceptron has no gates, and lags taken as features are one step.
    """
    model = runtime.load(model_folder)
    if not isinstance(model, runtime.ForecastModel) or not isinstance(model.network.body, RecurrentSpec):
        return False
    task = model.forecast
    if not task.as_steps or task.lags < 2:
        return False
    one = panel.series[0]
    values, times = one.values[-task.lags :], one.times[-task.lags :]
    if not np.isfinite(values).all():
        return False
    scale = task.scale_of(one.id)
    name = str(model.task["parameters"]["network"])
    last = model.network.body.num_layers - 1
    traces = inspection.trace(model, ((values - scale.mean) / scale.std)[:, None], layer=last)
    layer = f", layer {last + 1}" if last else ""
    figure = inspection.gates(
        traces,
        values,
        time=times,
        value_label=labels["value"],
        unit=labels["unit"],
        time_label=labels["time"],
        title=f"Inside the {report.spoken(name)}{layer}, over the last {task.lags} steps",
    )
    inspection.save(figure, path)
    return True


def draw_training(path: Path, histories: Mapping[str, tuple[Epoch, ...]]) -> None:
    """The losses of every network over its epochs."""
    curves: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, history in histories.items():
        curves[name] = {"train": np.array([epoch.train_loss for epoch in history])}
        validation = [epoch.validation_loss for epoch in history if epoch.validation_loss is not None]
        if validation:
            curves[name]["validation"] = np.array(validation)
    inspection.save(inspection.training_curves(curves), path)


def draw_scores(path: Path, scores: report.Scores, networks: list[str], *, unit: str) -> None:
    """Every metric of every model as bars."""
    shown = {metric: dict(row) for metric, row in scores.items() if metric in ("mae", "rmse", "mase")}
    units = {"mae": unit, "rmse": unit}
    inspection.save(inspection.scores(shown, networks, units=units), path)


def draw_run(
    folder: Path,
    model_folder: Path,
    forecaster: Forecaster,
    panel: Panel,
    evaluation: Evaluation | None,
    *,
    labels: Mapping[str, str],
) -> list[Path]:
    """All pictures of one network.

    Returns:
        Those that were drawn.
    """
    name = forecaster.network
    drawn: list[Path] = []
    if evaluation is not None:
        drawn.append(folder / "forecasts.png")
        title = f"{labels['value']}: {forecaster.horizon} steps ahead"
        if len(panel.series) > 1:
            title += f", series {panel.series[0].id}"
        draw_forecasts(drawn[-1], {name: evaluation}, panel, labels=labels, title=title)
        drawn.append(folder / "metrics.png")
        draw_scores(drawn[-1], evaluation.scores, [name], unit=labels["unit"])
    if draw_gates(folder / "gates.png", model_folder, panel, labels=labels):
        drawn.append(folder / "gates.png")
    if forecaster.history_:
        drawn.append(folder / "training.png")
        draw_training(drawn[-1], {name: forecaster.history_})
    return drawn
