"""A picture of where a decoder looked while it wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from peephole.errors import ArgumentError
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

_CELL = 0.36
"""Inches of a step, where there are few enough."""

_WIDEST, _HIGHEST = 8.0, 6.0
"""Inches of the whole matrix at most."""


def attention(
    weights: Array,
    *,
    source: Sequence[object] | None = None,
    target: Sequence[object] | None = None,
    source_label: str = "source",
    target_label: str = "written",
    title: str = "Where the decoder looked",
    subtitle: str = "",
) -> Figure:
    """The weights of the attention as a heat map: a row for each step written, a column for each step of the source.

    Args:
        weights: ``[T, S]`` in [0, 1], those of one sequence, for example ``attention[:length, row, :source_length]``.
        source: what stands at each step of the source, ``S`` texts or tokens; the numbers of the steps where None.
        target: what was written at each step, ``T`` of them; the numbers of the steps where None.
        source_label: name of the source.
        target_label: name of what was written.
        title: heading of the picture.
        subtitle: a line below it; how the picture is read where empty.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where the weights are no such matrix, or the names are not as many as its rows or columns.
    """
    steps, looked_at = _checked(weights, source, target)
    rows = [str(name) for name in (range(steps) if target is None else target)]
    columns = [str(name) for name in (range(looked_at) if source is None else source)]
    with style.styled():
        width, height = min(_CELL * looked_at, _WIDEST), min(_CELL * steps, _HIGHEST)
        figure = style.new_figure(max(5.2, 1.6 + width), 1.75 + height)
        axes: Any = figure.subplots()
        edges = np.arange(looked_at + 1) - 0.5, np.arange(steps + 1) - 0.5
        drawn = axes.pcolormesh(*edges, weights, cmap="cividis", vmin=0.0, vmax=1.0, rasterized=True)
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        sides = ((axes.xaxis, columns, source_label, width), (axes.yaxis, rows, target_label, height))
        for axis, names, label, inches in sides:
            shown = range(0, len(names), math.ceil(0.2 * len(names) / inches))
            axis.set_ticks(list(shown), labels=[names[at] for at in shown])
            axis.set_label_text(label)
        bar: Any = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=14, fraction=0.05)
        bar.outline.set_visible(False)
        bar.set_ticks([0, 1], labels=["0 not at all", "1 only there"])
        bar.ax.tick_params(length=0, labelsize=7.5)
        style.heading(figure, title, subtitle or "Each row, a step written, sums to 1 over the source.")
    return figure


def _checked(weights: Array, source: Sequence[object] | None, target: Sequence[object] | None) -> tuple[int, int]:
    """Steps written and steps of the source."""
    shape = weights.shape
    if len(shape) != 2 or 0 in shape:
        raise ArgumentError(
            f"attention: weights must have shape [T, S], those of one sequence (got {shape}); "
            "for example attention[:length, row, :source_length]"
        )
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ArgumentError("attention: weights must lie between 0 and 1 (got others or NaN)")
    for name, names, count in (("target", target, shape[0]), ("source", source, shape[1])):
        if names is not None and len(names) != count:
            raise ArgumentError(f"attention: {name} must name each of the {count} steps (got {len(names)})")
    return shape[0], shape[1]
