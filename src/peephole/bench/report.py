"""The tables, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from peephole.bench.grid import PEERS, REGIMES, Regime
from peephole.bench.machine import machine_line
from peephole.bench.results import DISTURBED, Results, Row, grid_means, shape_of

COLUMNS = (
    "what", "beside", "H", "B", "T", "ours ms", "theirs ms", "ratio", "quartiles", "GFLOP/s", "of peak", "mark", "",
)  # fmt: skip
"""Heads of the columns of :func:`cells_of`; the first two are text."""
NOTE = "A ratio is the other's time over ours, the median of the paired turns: above 1 ours is the faster."
_WORK = {"step": "step", "inference": "inference", "training": "training", "training_no_dx": "training, no dx"}
_MET = {True: "met", False: "missed", None: ""}


def cells_of(row: Row) -> list[str]:
    """A row as text, one entry a column."""
    sizes = [str(size) for size in (row.hidden, row.batch, row.steps)]
    ours = [_work_of(row), PEERS[row.peer], *sizes, f"{row.ours_ms:.4g}"]
    if row.ratio is None or row.peer_ms is None or row.quartiles is None:
        theirs = ["missing", "-", "-"]
    else:
        theirs = [f"{row.peer_ms:.4g}", ratio_text(row), f"{row.quartiles[0]:.2f}-{row.quartiles[1]:.2f}"]
    marks = [] if row.mark is None else [f"{row.mark:.3g}"]
    marks += [] if row.share_mark is None else [f"{row.share_mark:.0%} of peak"]
    judged = " ".join([_MET[row.met], *(["disturbed"] if row.disturbed else [])]).strip()
    share = f"{row.share:.0%}" if row.share >= 0.095 else f"{row.share:.1%}"
    return [*ours, *theirs, f"{row.gflops:.3g}", share, ", ".join(marks), judged]


def ratio_text(row: Row) -> str:
    """The ratio with as many digits as mean something; a dash where there is none."""
    if row.ratio is None:
        return "-"
    return f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.3g}"


def groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows by regime and threads, as they were measured, under a title."""
    for (regime, threads), found in groupby(rows, key=lambda row: (row.regime, row.threads)):
        yield title_of(regime, threads), list(found)


def title_of(regime: Regime, threads: int) -> str:
    """The title of one table."""
    return f"{regime}: {REGIMES[regime]}; {threads} thread{'s' if threads > 1 else ''}"


def missing_peers(rows: Sequence[Row]) -> list[str]:
    """Why peers could not be asked, each reason once."""
    return list(dict.fromkeys(row.missing for row in rows if row.missing))


def summary(results: Results) -> list[str]:
    """The grids as a whole, the peak, and how many marks are met, a sentence each."""
    lines: list[str] = []
    for mean in grid_means(results.rows):
        marks = (
            "" if mean.mean_mark is None else f" (marks {mean.mean_mark} and {mean.smallest_mark}: {_MET[mean.met]})"
        )
        lines.append(
            f"{_WORK[mean.work]} against torch.nn.LSTM, {mean.shapes} shapes, {mean.threads} "
            f"thread{'s' if mean.threads > 1 else ''}: geometric mean {mean.geometric_mean:.2f}, "
            f"smallest {mean.smallest:.2f} at {mean.where}{marks}."
        )
    judged = [row.met for row in results.rows if row.met is not None]
    if judged:
        lines.append(f"{sum(judged)} of {len(judged)} single marks are met.")
    peaks = [f"{value:.4g} GFLOP/s in {dtype}" for dtype, value in results.peak.items()]
    lines += [f"The peak of one thread is {' and '.join(peaks)}."] if peaks else []
    if results.tiles:
        best = max(results.tiles, key=lambda name: results.tiles[name])
        lines.append(f"The fastest tile, {best}, does {results.tiles[best]:.4g} GFLOP/s in float32.")
    disturbed = sum(row.disturbed for row in results.rows)
    if disturbed:
        lines.append(
            f"{disturbed} of {len(results.rows)} rows were measured while other programs had more than "
            f"{DISTURBED:.0%} of the processors; measure them again on a quiet machine."
        )
    lines += [f"Missing: {reason}." for reason in missing_peers(results.rows)]
    lines += [] if results.complete else ["The measurement was interrupted; lines are missing."]
    return lines


def markdown(results: Results) -> str:
    """The machine, the summary and every table, for a page of documentation."""
    parts = [
        f"Measured on: {machine_line(results.machine)}.",
        NOTE,
        "\n".join(f"- {line}" for line in summary(results)),
    ]
    if results.tiles:
        parts += ["**the tiles, in GFLOP/s: rows of the left factor by registers of the right one**", _tiles(results)]
    for title, rows in groups(results.rows):
        parts += [f"**{title}**", _table(rows)]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    aligned = ["---" if place < 2 else "--:" for place in range(len(COLUMNS))]
    return _lines([COLUMNS, aligned, *(cells_of(row) for row in rows)])


def _tiles(results: Results) -> str:
    """One line for each number of rows, the share of the peak beside each rate."""
    sizes = [tuple(map(int, name.split("x"))) for name in results.tiles]
    columns = sorted({vectors for _, vectors in sizes})
    peak = results.peak.get("float32")

    def cell(rows: int, vectors: int) -> str:
        rate = results.tiles.get(f"{rows}x{vectors}")
        if rate is None:
            return "-"
        return f"{rate:.4g}" + (f" ({rate / peak:.0%})" if peak else "")

    lines = [[str(rows), *(cell(rows, vectors) for vectors in columns)] for rows in sorted({rows for rows, _ in sizes})]
    return _lines([["rows", *map(str, columns)], ["--:"] * (1 + len(columns)), *lines])


def _lines(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _work_of(row: Row) -> str:
    """What is done, and with which cell where it is not the plain one."""
    told = [_WORK[row.work]]
    if row.regime == "variants":
        told.append(
            f"{row.cells_per_block} cells a block" if row.cells_per_block > 1 else row.variant.replace("_", " ")
        )
    if row.proj_size:
        told.append(f"P {row.proj_size}")
    return ", ".join(told)


def label_of(row: Row) -> str:
    """A row's line in the picture."""
    work = "" if row.work == "step" else f", {_work_of(row)}"
    return f"{shape_of(row)}{work}"
