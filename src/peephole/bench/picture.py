"""The pictures: a map of ratios over each grid, and dots for every other regime, drawn from the rows alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from peephole.bench.grid import PEERS, Peer, Regime, Work
from peephole.bench.report import label_of, ratio_text
from peephole.bench.results import Results, Row
from peephole.errors import ArgumentError
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GRIDS: tuple[tuple[Work, Peer], ...] = (("training", "torch"), ("inference", "torch"), ("inference", "onnxruntime"))
_SLOWER, _EVEN, _FASTER = "#D55E00", "#ffffff", "#0072B2"
_UNKNOWN = "#ececec"
_LONG = 100
_DOUBLINGS = 3
"""Where the colours of a map end, in doublings to either side of 1."""
_ROW = 0.21
"""Height of a row of dots in inches."""


def grid_picture(results: Results) -> Figure:
    """Maps of the ratio over ``H`` and ``B``, one for each grid, peer and number of threads.

    Sequences of more than a hundred steps have lines of their own. Where a field was measured with several ``T``, the
    smallest ratio is shown; the mark stands below it.

    Args:
        results: what was measured.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where no grid was measured.
    """
    panels: list[tuple[Work, Peer, list[Row]]] = [(*grid, _grid_rows(results.rows, *grid)) for grid in _GRIDS]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        raise ArgumentError("grid_picture: the results must have a row of a grid (got none)")
    threads = sorted({row.threads for *_, rows in panels for row in rows})
    tall = max(len({_line_of(row) for row in rows}) for *_, rows in panels)
    with style.styled():
        size = (max(6.4, 5.2 * len(threads)), 0.9 + len(panels) * (0.95 + 0.34 * tall))
        figure = style.new_figure(*size)
        axes: Any = figure.subplots(len(panels), len(threads), squeeze=False)
        for line, (work, peer, rows) in zip(axes, panels, strict=True):
            for place, count in zip(line, threads, strict=True):
                _map(place, [row for row in rows if row.threads == count])
                place.set_title(f"{work} against {PEERS[peer]}, {count} thread{'s' if count > 1 else ''}")
        axes[-1][0].set_xlabel("50 steps where no T is named; 100 for B 1, fewer for the largest")
        style.heading(
            figure,
            "How many times as fast as the others",
            "Blue: ours is faster; orange: slower; white: even, 1×. Small below: the mark to reach.",
        )
    return figure


def regime_picture(results: Results) -> Figure:
    """Dots on a line of ratios for every regime that is no grid, one panel a peer, with the marks.

    Args:
        results: what was measured.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.

    Raises:
        ArgumentError: where no such regime was measured.
    """
    rows = [row for row in results.rows if row.regime not in ("training", "inference") and row.ratio is not None]
    if not rows:
        raise ArgumentError("regime_picture: the results must have a row beside the grids (got none)")
    regimes = list(dict.fromkeys(row.regime for row in rows))
    by_regime = {regime: [row for row in rows if row.regime == regime] for regime in regimes}
    labels = {regime: list(dict.fromkeys(map(label_of, found))) for regime, found in by_regime.items()}
    peers = {regime: list[Peer](dict.fromkeys(row.peer for row in found)) for regime, found in by_regime.items()}
    heights = [0.75 + _ROW * len(labels[regime]) for regime in regimes]
    columns, threads = max(len(found) for found in peers.values()), sorted({row.threads for row in rows})
    with style.styled():
        figure = style.new_figure(2.6 + 3.0 * max(columns, 2), 0.9 + sum(heights))
        axes: Any = figure.subplots(len(regimes), columns, squeeze=False, height_ratios=heights)
        for line, regime in zip(axes, regimes, strict=True):
            for column, place in enumerate(line):
                if column >= len(peers[regime]):
                    place.set_visible(False)
                    continue
                peer = peers[regime][column]
                shown = [row for row in by_regime[regime] if row.peer == peer]
                _dots(place, shown, labels[regime], threads)
                place.set_title(f"{regime}: {PEERS[peer]}")
                if column:
                    place.tick_params(labelleft=False)
        _legend(figure, threads)
        style.heading(
            figure,
            "The other regimes",
            "The other's time over ours: right of the line at 1× ours is faster. The thin lines are the quartiles.",
        )
    return figure


def _grid_rows(rows: Sequence[Row], work: Work, peer: Peer) -> list[Row]:
    """One row for each field of a map and number of threads: that of the smallest ratio."""
    found: dict[tuple[tuple[int, int], int, int], tuple[float, Row]] = {}
    for row in rows:
        if row.regime == work == row.work and row.peer == peer and row.ratio is not None:
            place = (_line_of(row), row.batch, row.threads)
            if place not in found or row.ratio < found[place][0]:
                found[place] = (row.ratio, row)
    return [row for _, row in found.values()]


def _line_of(row: Row) -> tuple[int, int]:
    """``T`` where it is a long one, else 0, and ``H``: in this order long sequences stand below the grid."""
    return row.steps if row.steps > _LONG else 0, row.hidden


def _map(axes: Any, rows: Sequence[Row]) -> None:
    """``H`` downwards, ``B`` to the right; nothing where nothing was measured."""
    import numpy as np  # noqa: PLC0415 - as matplotlib: only a picture needs it
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415

    if not rows:
        axes.set_visible(False)
        return
    lines, batch = sorted({_line_of(row) for row in rows}), sorted({row.batch for row in rows})
    doublings = np.full((len(lines), len(batch)), np.nan)
    for row in rows:
        if row.ratio is not None:
            down, right = lines.index(_line_of(row)), batch.index(row.batch)
            doublings[down, right] = math.log2(row.ratio)
            _write(axes, right, down, row, abs(doublings[down, right]) > 0.75 * _DOUBLINGS)
    colours = LinearSegmentedColormap.from_list("slower and faster", [_SLOWER, _EVEN, _FASTER])
    axes.imshow(doublings, cmap=colours, vmin=-_DOUBLINGS, vmax=_DOUBLINGS, aspect="auto")
    axes.set_xticks(range(len(batch)), [f"B {size}" for size in batch])
    axes.set_yticks(range(len(lines)), [f"H {size}, T {steps}" if steps else f"H {size}" for steps, size in lines])
    axes.set_facecolor(_UNKNOWN)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _write(axes: Any, right: int, down: int, row: Row, dark: bool) -> None:
    """The ratio, and the mark below it where there is one; a missed one is set in bold."""
    colour = "white" if dark else "#222222"
    lift = 0.0 if row.mark is None else 0.16
    axes.text(right, down - lift, f"{ratio_text(row)}×", ha="center", va="center", fontsize=9, color=colour)
    if row.mark is not None:
        missed = row.ratio is not None and row.ratio < row.mark
        text = f"{'under' if missed else 'mark'} {row.mark:.3g}"
        weight = "bold" if missed else "normal"
        axes.text(right, down + 0.26, text, ha="center", va="center", fontsize=7, color=colour, fontweight=weight)


def _dots(axes: Any, rows: Sequence[Row], labels: Sequence[str], threads: Sequence[int]) -> None:
    """One row a label: a dot at the median, a line over the quartiles, a tick at the mark."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415

    ratios: list[float] = [1.0]
    for row in rows:
        if row.ratio is None or row.quartiles is None:
            continue
        order = threads.index(row.threads)
        place = labels.index(label_of(row)) + 0.34 * (order / max(1, len(threads) - 1) - 0.5)
        faster = _FASTER if row.ratio >= 1 else _SLOWER
        axes.plot(row.quartiles, (place, place), color=faster, linewidth=1.2, alpha=0.6)
        axes.plot(row.ratio, place, **_marker(order, faster), markersize=5, zorder=4)
        ratios += [row.ratio, *([] if row.mark is None else [row.mark])]
        if row.mark is not None:
            axes.plot(row.mark, labels.index(label_of(row)), "|", color=style.TRUTH_COLOUR, markersize=11, zorder=3)
    axes.axvline(1.0, color=style.TRUTH_COLOUR, linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlim(min(ratios) / 1.4, max(ratios) * 1.4)
    wide = math.log10(max(ratios) / min(ratios))
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if wide < 1.5 else (1.0, 3.0) if wide < 2.5 else (1.0,))
    )
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=True, axis="both")


def _marker(order: int, colour: str) -> dict[str, Any]:
    """The fewest threads filled, the others hollow, each with a shape of its own."""
    shape = "oosD^v"[order % 6]
    return {"linestyle": "", "marker": shape, "color": colour, "markerfacecolor": "white" if order else colour}


def _legend(figure: Any, threads: Sequence[int]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    handles = [
        Line2D([], [], **_marker(order, _FASTER), label=f"{count} thread{'s' if count > 1 else ''}")
        for order, count in enumerate(threads)
    ]
    mark = Line2D([], [], linestyle="", marker="|", markersize=11, color=style.TRUTH_COLOUR, label="the mark to reach")
    figure.legend(handles=[*handles, mark], loc="outside lower left", ncols=len(handles) + 1)


def pictures_of(results: Results) -> dict[str, Figure]:
    """The pictures that can be drawn from what was measured, by the name of their file."""
    regimes: set[Regime] = {row.regime for row in results.rows if row.ratio is not None}
    found: dict[str, Figure] = {}
    if any(_grid_rows(results.rows, work, peer) for work, peer in _GRIDS):
        found["grids.png"] = grid_picture(results)
    if regimes - {"training", "inference"}:
        found["regimes.png"] = regime_picture(results)
    return found
