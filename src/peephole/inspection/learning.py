"""Pictures of how training went and of who came out best."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from peephole.errors import ArgumentError
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]


def training_curves(
    curves: Mapping[str, Mapping[str, Array]], *, loss_label: str = "mean squared error (scaled units)"
) -> Figure:
    """Training and validation loss over the epochs, one panel per network, the kept epoch marked.

    Args:
        curves: by network, ``"train"`` and, where there was one, ``"validation"``: arrays ``[epochs]`` of the loss.
        loss_label: name and unit of the loss.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where there is nothing to draw.
    """
    if not curves or any(not len(curve["train"]) for curve in curves.values()):
        raise ArgumentError("training_curves: every network needs at least one epoch (got none)")
    with style.styled():
        width = {1: 6.4, 2: 8.2}.get(len(curves), 3.1 * len(curves))
        figure = style.new_figure(width, 3.5)
        panels: Any = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, (name, curve) in zip(panels, curves.items(), strict=True):
            _curve(axes, curve, style.spoken(name), style.colour(name, curves))
            axes.set_xlabel("epoch")
        panels[0].set_ylabel(loss_label)
        _legend_of_curves(figure, curves)
        style.heading(figure, "Training", "The weights of the epoch with the dot are kept.")
    return figure


def _curve(axes: Any, curve: Mapping[str, Array], name: str, colour: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415

    train = np.asarray(curve["train"], dtype=float)
    epochs = np.arange(1, len(train) + 1)
    few: Any = "." if len(train) < 3 else None
    axes.plot(epochs, train, color=style.MUTED, linewidth=1.2, linestyle=(0, (4, 1.5)), marker=few)
    validation = np.asarray(curve.get("validation", ()), dtype=float)
    watched = validation if len(validation) else train
    if len(validation):
        axes.plot(epochs, validation, color=colour, linewidth=1.8, marker=few)
    best = int(np.nanargmin(watched))
    axes.plot(epochs[best], watched[best], "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    axes.set_title(f"{name}: {watched[best]:.3g} at epoch {epochs[best]}", color=colour)
    if min(np.nanmin(train), np.nanmin(watched)) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.grid(visible=True, axis="y")


def _legend_of_curves(figure: Any, curves: Mapping[str, Mapping[str, Array]]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    colour = style.colour(next(iter(curves))) if len(curves) == 1 else style.TRUTH_COLOUR
    validated = any(len(curve.get("validation", ())) for curve in curves.values())
    handles = [Line2D([], [], color=colour, linewidth=1.8, label="validation")] if validated else []
    handles.append(Line2D([], [], color=style.MUTED, linewidth=1.2, linestyle=(0, (4, 1.5)), label="training"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2)


def scores(
    table: Mapping[str, Mapping[str, float]],
    networks: Collection[str],
    *,
    units: Mapping[str, str] | None = None,
    title: str = "Error on data never seen in training",
) -> Figure:
    """Bars of every metric for every model, best on top, the networks in colour and the baselines grey.

    Args:
        table: by metric (``"mae"``, ``"rmse"``, …), the value of every model; smaller is better.
        networks: which models are networks; the others are baselines.
        units: unit by metric, where it has one.
        title: heading of the picture.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where there is nothing to draw.
    """
    if not table or any(not row for row in table.values()):
        raise ArgumentError("scores: the table must hold at least one metric and one model (got none)")
    models = max(len(row) for row in table.values())
    with style.styled():
        figure = style.new_figure(max(5.2, 3.0 * len(table)), 1.1 + 0.33 * models)
        panels: Any = figure.subplots(1, len(table), squeeze=False)[0]
        for axes, (metric, row) in zip(panels, table.items(), strict=True):
            _bars(axes, row, networks)
            unit = (units or {}).get(metric, "")
            axes.set_title(f"{_METRIC_NAMES.get(metric, metric)}{f' ({unit})' if unit else ''}")
        style.heading(figure, title, "Shorter is better; the networks in colour, the baselines grey.")
    return figure


_METRIC_NAMES = {"mae": "MAE", "rmse": "RMSE", "smape": "sMAPE", "mase": "MASE"}


def _bars(axes: Any, row: Mapping[str, float], networks: Collection[str]) -> None:
    known = sorted((name for name in row if np.isfinite(row[name])), key=lambda name: row[name])
    order = known + [name for name in row if name not in known]
    largest = max((row[name] for name in known), default=1.0) or 1.0
    for place, name in enumerate(order):
        value = row[name] if name in known else 0.0
        colour = style.colour(name, networks) if name in networks else "#b5b5b5"
        axes.barh(place, value, height=0.68, color=colour)
        text = f"{value:.3g}" if name in known else "none"
        axes.text(value + 0.02 * largest, place, text, va="center", fontsize=8.5, color="#333333")
    axes.set_yticks(range(len(order)), [style.spoken(name) for name in order])
    axes.invert_yaxis()
    axes.set_xlim(0, largest * 1.22)
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
