"""What was measured: one row a peer and line, the means over the grids, and the file they are kept in."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peephole import files
from peephole.bench.grid import GEOMETRIC_MEANS, SMALLEST, Peer, Regime, Work
from peephole.errors import DataError

FORMAT = "peephole speed"
FORMAT_VERSION = 2
DISTURBED = 0.1
"""The part of the processors' time that others may take before a row counts as disturbed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Us beside one peer on one line. A peer that could not be asked has no time and no ratio, and says why.

    Attributes:
        regime: what kind of work.
        work: forward, forward and backward, or a step.
        hidden: ``H``, and ``I``.
        batch: ``B``.
        steps: ``T``; the longest sequence of a ragged batch.
        threads: of both.
        dtype: of both.
        variant: the cell.
        cells_per_block: ``C``.
        proj_size: ``P``, or 0.
        peer: beside whom.
        ours_ms: our median time in milliseconds.
        peer_ms: the peer's.
        ratio: the median of the paired ratios, the peer's time over ours.
        quartiles: of the same ratios.
        turns: how many pairs.
        gflops: useful GFLOP/s of ours.
        share: the part of the machine's peak that is.
        mark: the ratio to reach, or None.
        share_mark: the share to reach, or None.
        others: the part of all processor time that other programs took meanwhile; None where the system does not tell.
        missing: why the peer could not be asked; else empty.
    """

    regime: Regime
    work: Work
    hidden: int
    batch: int
    steps: int
    threads: int
    dtype: str
    variant: str
    cells_per_block: int
    proj_size: int
    peer: Peer
    ours_ms: float
    peer_ms: float | None
    ratio: float | None
    quartiles: tuple[float, float] | None
    turns: int
    gflops: float
    share: float
    mark: float | None
    share_mark: float | None
    others: float | None
    missing: str

    @property
    def met(self) -> bool | None:
        """Whether every mark of the row is reached; None where it has none, or where the peer is missing."""
        kept = [] if self.mark is None or self.ratio is None else [self.ratio >= self.mark]
        kept += [] if self.share_mark is None else [self.share >= self.share_mark]
        return all(kept) if kept else None

    @property
    def disturbed(self) -> bool:
        """Whether other programs had so much of the machine that the row means little, above all on all its cores."""
        return self.others is not None and self.others > DISTURBED


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMean:
    """A whole grid against torch, on one number of threads.

    Attributes:
        work: which grid.
        threads: on how many.
        shapes: how many there are.
        geometric_mean: of their ratios.
        smallest: of their ratios.
        where: the shape it belongs to.
        mean_mark: what the mean is to reach, or None.
        smallest_mark: what the smallest is to reach, or None.
    """

    work: Work
    threads: int
    shapes: int
    geometric_mean: float
    smallest: float
    where: str
    mean_mark: float | None
    smallest_mark: float | None

    @property
    def met(self) -> bool | None:
        """Whether both marks are reached."""
        if self.mean_mark is None or self.smallest_mark is None:
            return None
        return self.geometric_mean >= self.mean_mark and self.smallest >= self.smallest_mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole measurement.

    Attributes:
        machine: where and with what.
        settings: how it was asked for.
        peak: GFLOP/s of multiply-adds in registers, one thread, by dtype, measured in the same run.
        tiles: GFLOP/s of each tile in float32, by rows and registers, measured before everything else.
        complete: False where it was interrupted.
        rows: in the order they were measured.
    """

    machine: dict[str, str]
    settings: dict[str, Any]
    peak: dict[str, float]
    tiles: dict[str, float]
    complete: bool
    rows: list[Row]


def grid_means(rows: Sequence[Row]) -> list[GridMean]:
    """The mean and the smallest ratio of each grid against torch, by threads."""
    found: list[GridMean] = []
    by_grid: dict[tuple[Work, int], list[tuple[float, Row]]] = {}
    for row in rows:
        if row.regime in ("inference", "training") and row.peer == "torch" and row.ratio is not None:
            by_grid.setdefault((row.work, row.threads), []).append((row.ratio, row))
    for (work, threads), pairs in by_grid.items():
        smallest, where = min(pairs, key=lambda pair: pair[0])
        found.append(
            GridMean(
                work=work,
                threads=threads,
                shapes=len(pairs),
                geometric_mean=statistics.geometric_mean(ratio for ratio, _ in pairs),
                smallest=smallest,
                where=shape_of(where),
                mean_mark=GEOMETRIC_MEANS.get(work),
                smallest_mark=SMALLEST.get(work),
            )
        )
    return found


def shape_of(row: Row) -> str:
    """The shape as a reader writes it."""
    return f"H{row.hidden} B{row.batch} T{row.steps}"


def to_document(results: Results) -> dict[str, Any]:
    """The results as plain JSON types; what follows from the rows stands beside them for whoever reads the file."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "complete": results.complete,
        "machine": results.machine,
        "settings": results.settings,
        "peak_gflops_a_thread": results.peak,
        "tiles_gflops": results.tiles,
        "grids": [{**dataclasses.asdict(mean), "met": mean.met} for mean in grid_means(results.rows)],
        "rows": [{**dataclasses.asdict(row), "met": row.met} for row in results.rows],
    }


def from_document(document: object) -> Results:
    """The inverse of :func:`to_document`.

    Raises:
        DataError: where it is something else, or of another version.
    """
    try:
        given = cast("Mapping[str, Any]", document)
        if (given["format"], given["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise DataError(f"bench: the file must be {FORMAT} {FORMAT_VERSION} (got another format or version)")
        return Results(
            machine=dict(given["machine"]),
            settings=dict(given["settings"]),
            peak=dict(given["peak_gflops_a_thread"]),
            tiles=dict(given["tiles_gflops"]),
            complete=bool(given["complete"]),
            rows=[_row(row) for row in given["rows"]],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"bench: the file holds no measurement ({error!r}); write one with peephole bench") from error


def write(results: Results, path: str | os.PathLike[str]) -> Path:
    """Write the JSON file, beside its place first and then renamed; its folder is made where it is missing."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(target) as beside:
        beside.write_text(_text(to_document(results)), encoding="utf-8")
    return target


def read(path: str | os.PathLike[str]) -> Results:
    """Read what :func:`write` wrote.

    Raises:
        DataError: where the file holds something else.
        OSError: where it cannot be read.
    """
    try:
        document: object = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"bench: {path} must be a JSON file of peephole bench ({error})") from error
    return from_document(document)


def _text(document: Mapping[str, Any]) -> str:
    """Strict JSON, one line a row, so that a later measurement can be compared with it line by line."""
    parts: list[str] = []
    for name, value in document.items():
        if name in ("grids", "rows"):
            lines = ",\n".join("  " + json.dumps(line, allow_nan=False) for line in value)
            text = f"[\n{lines}\n ]" if value else "[]"
        else:
            text = json.dumps(value, allow_nan=False)
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _row(given: Mapping[str, Any]) -> Row:
    fields: dict[str, Any] = {name: value for name, value in given.items() if name != "met"}
    if fields["quartiles"] is not None:
        fields["quartiles"] = tuple(fields["quartiles"])
    return Row(**fields)
