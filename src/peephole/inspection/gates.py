"""A picture of what a network's gates, cells and outputs did over time, below the series that drove them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from peephole.errors import ArgumentError
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

_SPOKEN = {
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "c": "cell",
    "h": "hidden state",
}
_GATES = ("i", "f", "o")


def gates(
    traces: Mapping[str, Array],
    signal: Array,
    *,
    time: Array | None = None,
    value_label: str = "input",
    unit: str = "",
    time_label: str = "step",
    title: str = "Inside the network",
    subtitle: str = "",
) -> Figure:
    """The input on top, and below it one heat map for each of ``i f g o c h`` that the network has.

    Units stand in the order of their mean forget gate, so that those with a long memory are on top; where there is
    no forget gate, in the order of how much their hidden state moves.

    Args:
        traces: arrays ``[T, units]`` by letter, as :func:`peephole.inspection.trace` gives them; gates in [0, 1].
        signal: ``[T]``, the input in its own unit.
        time: ``[T]``, dates or numbers of the steps; 0, 1, 2 … where None.
        value_label: name of the input.
        unit: its unit, empty where it has none.
        time_label: name of the time axis.
        title: heading of the picture.
        subtitle: a line below it; a description of the order of the units where empty.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where a trace and the signal differ in length, or there is no trace.
    """
    letters = [letter for letter in _SPOKEN if letter in traces]
    _check(traces, letters, signal, time)
    steps: Array = np.arange(len(signal)) if time is None else np.asarray(time)
    order, told = _order(traces)
    with style.styled():
        figure = style.new_figure(9.2, 2.15 + 0.98 * len(letters))
        ratios = [1.35] + [1.0] * len(letters)
        panels: Any = figure.subplots(len(letters) + 1, 1, sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
        edges = _edges(steps)
        _draw_signal(panels[0], steps, signal, f"{value_label}\n({unit})" if unit else value_label)
        maps: dict[str, Any] = {}
        for axes, letter in zip(panels[1:], letters, strict=True):
            maps[letter] = (axes, _heat_map(axes, edges, letter, _ordered(traces[letter], order)))
        _colour_bars(figure, maps)
        panels[-1].tick_params(axis="x", length=3)
        panels[-1].set_xlim(edges[0], edges[-1])
        style.dress_time_axis(panels[-1], steps, time_label)
        style.heading(figure, title, subtitle or told)
    return figure


def _check(traces: Mapping[str, Array], letters: list[str], signal: Array, time: Array | None) -> None:
    if not letters:
        raise ArgumentError(f"gates: traces must hold at least one of {', '.join(_SPOKEN)} (got {list(traces)})")
    for letter in letters:
        shape = traces[letter].shape
        if len(shape) != 2 or shape[0] != len(signal):
            raise ArgumentError(f"gates: {letter} must have shape [{len(signal)}, units] (got {shape})")
    if len(signal) < 2:
        raise ArgumentError(f"gates: a picture over time needs at least 2 steps (got {len(signal)})")
    if time is not None and len(time) != len(signal):
        raise ArgumentError(f"gates: time must have as many steps as signal (got {len(time)} and {len(signal)})")


def _order(traces: Mapping[str, Array]) -> tuple[Array, str]:
    """An order of the units and the sentence that explains it."""
    if "f" in traces and traces["f"].shape[1] > 1:
        mean = traces["f"].mean(axis=0)
        told = (
            "One row a unit; those with the longest memory (highest mean forget gate, "
            f"{mean.max():.2f}) on top, the shortest ({mean.min():.2f}) at the bottom."
        )
        return np.argsort(-mean, kind="stable"), told
    key = traces["h"] if "h" in traces else next(iter(traces.values()))
    return np.argsort(-key.std(axis=0), kind="stable"), "One row a unit; those that move most on top."


def _ordered(values: Array, order: Array) -> Array:
    """Rows in the order of the units; a gate shared by a block stands once, a projected h has its own rows."""
    return values[:, order].T if values.shape[1] == len(order) else values.T


def _edges(steps: Array) -> Array:
    """``[T + 1]`` edges of the steps, as matplotlib numbers."""
    from matplotlib import dates  # noqa: PLC0415

    is_date = np.issubdtype(steps.dtype, np.datetime64)
    centres = np.asarray(cast("Any", dates).date2num(steps) if is_date else steps, dtype=float)
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _draw_signal(axes: Any, steps: Array, signal: Array, label: str) -> None:
    axes.plot(steps, signal, color=style.TRUTH_COLOUR, linewidth=1.5)
    axes.grid(visible=True)
    axes.set_ylabel(label)
    axes.margins(y=0.12)


def _heat_map(axes: Any, edges: Array, letter: str, values: Array) -> Any:
    """One heat map; gates run from 0 to 1, the other values symmetrically about 0."""
    reach = 1.0 if letter in _GATES else float(np.ceil(10 * max(np.quantile(np.abs(values), 0.995), 0.05)) / 10)
    low, colours = (0.0, "cividis") if letter in _GATES else (-reach, "PuOr_r")
    rows: Array = np.arange(len(values) + 1)
    drawn = axes.pcolormesh(edges, rows, values, cmap=colours, vmin=low, vmax=reach, rasterized=True)
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"{letter}\n{_SPOKEN[letter]}", rotation=0, ha="right", va="center", labelpad=8)
    return drawn


def _colour_bars(figure: Any, maps: Mapping[str, Any]) -> None:
    """A scale beside every map: the gates share their reading from closed to open."""
    for letter, (axes, drawn) in maps.items():
        bar: Any = figure.colorbar(drawn, ax=axes, pad=0.012, aspect=9, fraction=0.03)
        bar.outline.set_visible(False)
        low, high = drawn.get_clim()
        if letter in _GATES:
            bar.set_ticks([0, 1], labels=["0 closed", "1 open"])
        else:
            bar.set_ticks([low, 0, high], labels=[f"−{high:g}", "0", f"{high:g}"])
        bar.ax.tick_params(length=0, labelsize=7.5)
