"""``peephole bench``: our layer beside torch's, ONNX Runtime, Keras and loops written by hand, on this machine."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peephole.cli import console, progress
from peephole.errors import ArgumentError

if TYPE_CHECKING:
    from peephole.bench import Case, Results, Row, Shape

EXAMPLES = """
Examples:

- `peephole bench --quick` takes a few minutes and measures what there is a mark for

- `peephole bench --regimes training --regimes step --threads 1 --seconds 0.5`

- `peephole bench --out benchmarks/speed` is what `make bench` runs; about half an hour
"""

JSON_FILE, MARKDOWN_FILE = "speed.json", "speed.md"
_SECONDS, _QUICK_SECONDS = 1.0, 0.3


class Regime(enum.StrEnum):
    """What kinds of work there are; :data:`peephole.bench.REGIMES` says what each is."""

    STEP = "step"
    INFERENCE = "inference"
    TRAINING = "training"
    RAGGED = "ragged"
    PROJECTION = "projection"
    FLOAT64 = "float64"
    VARIANTS = "variants"


class Peer(enum.StrEnum):
    """Beside whom; :data:`peephole.bench.PEERS` says who each is."""

    TORCH = "torch"
    PACKED = "packed"
    PADDED = "padded"
    ONNXRUNTIME = "onnxruntime"
    KERAS = "keras"
    LOOP = "loop"
    PLAIN_CELL = "plain_cell"
    UNPADDED = "unpadded"


def bench(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the lines that have a mark to reach, 0.3 seconds each.")
    ] = False,
    regimes: Annotated[
        list[Regime] | None,
        typer.Option(metavar="NAME", help=f"One of {', '.join(Regime)}; repeatable, all by default."),
    ] = None,
    peers: Annotated[
        list[Peer] | None,
        typer.Option(metavar="NAME", help=f"Beside whom: one of {', '.join(Peer)}; repeatable, all by default."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="Threads of everyone; repeatable, 1 and 2 by default, as far as there are cores."
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Time for a line; a slow one takes at least three turns, an unsteady one up to three times as long. "
            "[default: 1.0, or 0.3 with --quick]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for speed.json, speed.md and the pictures; those of an earlier measurement are replaced. "
            "[default: bench, or nowhere with --json]",
            show_default=False,
        ),
    ] = None,
    shapes: Annotated[list[str] | None, typer.Option("--shapes", hidden=True, metavar="H,B,T")] = None,
    json: console.Json = False,
) -> None:
    """Measure speed beside torch.nn.LSTM, ONNX Runtime, Keras and loops written by hand.

    Everyone gets the same weights and input and is timed turn by turn in one process. Told is the median of the paired
    ratios, the other's time over ours (above 1 ours is the faster), with its quartiles, and our share of the peak of
    the machine's multiply-adds, measured in the same run. A peer that is not installed is listed as missing.
    Ctrl-C keeps what was measured so far.
    """
    lines = _lines(quick=quick, regimes=regimes, peers=peers, shapes=shapes)
    counts = list(dict.fromkeys(threads)) if threads else [n for n in (1, 2) if n <= (os.cpu_count() or 1)]
    time = seconds if seconds is not None else _QUICK_SECONDS if quick else _SECONDS
    folder = out if out is not None or json else Path("bench")
    settings = {"seconds": time, "quick": quick, "threads": counts}
    results, stopped = _measure(lines, settings, folder, quiet=json)
    if stopped and not results.rows:
        raise KeyboardInterrupt
    if folder is not None:
        _write(results, folder)
    if json:
        from peephole.bench.results import to_document

        console.print_json(to_document(results))
    else:
        _say_summary(results, folder)
    if stopped:
        kept = f"; they are in {folder / JSON_FILE}" if folder is not None else ""
        raise console.StoppedError(f"interrupted after {len(results.rows)} rows{kept}")


def _lines(
    *, quick: bool, regimes: Sequence[Regime] | None, peers: Sequence[Peer] | None, shapes: Sequence[str] | None
) -> list[Case]:
    from peephole.bench import PEERS, REGIMES, cases

    lines = cases(
        regimes=[regime.value for regime in regimes] if regimes else tuple(REGIMES),
        peers=[peer.value for peer in peers] if peers else tuple(PEERS),
        quick=quick,
        shapes=[_shape(text) for text in shapes] if shapes else None,
    )
    if not lines:
        raise ArgumentError(
            "bench: the regimes and peers that were chosen leave nothing to measure; for example --regimes training "
            "goes with --peers torch"
        )
    return lines


def _shape(text: str) -> Shape:
    from peephole.bench import Shape

    try:
        hidden, batch, steps = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"bench: --shapes must be three whole numbers H,B,T (got {text!r})") from None
    return Shape(hidden, batch, steps)


def _measure(
    lines: Sequence[Case], settings: Mapping[str, Any], folder: Path | None, *, quiet: bool
) -> tuple[Results, bool]:
    """Measure line by line; say and keep each table when it is finished. Whether Ctrl-C came before the end."""
    from peephole.bench import Peak, Results, measure, write
    from peephole.bench.machine import describe_machine, machine_line
    from peephole.bench.run import check_settings
    from peephole.kernels.core import tile_rates

    threads, seconds = settings["threads"], settings["seconds"]
    check_settings(threads=threads, seconds=seconds)
    peak = Peak()
    results = Results(
        machine=describe_machine(),
        settings=dict(settings),
        peak=peak.found,
        tiles={name: float(f"{rate:.4g}") for name, rate in tile_rates("float32").items()},
        complete=False,
        rows=[],
    )
    if not quiet:
        console.say_plain(machine_line(results.machine))
    table: list[Row] = []
    try:
        with progress.steps("Measuring", len(lines) * len(threads), enabled=not quiet) as advance:
            for found in measure(lines, threads=threads, seconds=seconds, peak=peak, begin=advance):
                if table and _table_of(table[-1]) != _table_of(found[0]):
                    _say_tables(table, quiet=quiet)
                    table = []
                    if folder is not None:
                        write(results, folder / JSON_FILE)
                table += found
                results.rows.extend(found)
    except KeyboardInterrupt:
        _say_tables(table, quiet=quiet)
        return results, True
    _say_tables(table, quiet=quiet)
    return replace(results, complete=True), False


def _table_of(row: Row) -> tuple[str, int]:
    return row.regime, row.threads


def _say_tables(rows: Sequence[Row], *, quiet: bool) -> None:
    from peephole.bench.report import COLUMNS, cells_of, groups

    for title, found in () if quiet else groups(rows):
        console.show(title, console.table(COLUMNS, [cells_of(row) for row in found], text_columns=2))


def _say_summary(results: Results, folder: Path | None) -> None:
    from peephole.bench.report import NOTE, summary

    for line in (NOTE, *summary(results)):
        console.say_plain(line)
    if folder is not None:
        console.say_plain(f"Written to {folder}.")


def _write(results: Results, folder: Path) -> None:
    """The JSON first: it holds everything, and the rest can be made from it again."""
    from peephole import files, inspection
    from peephole.bench import markdown, write
    from peephole.bench.picture import pictures_of

    write(results, folder / JSON_FILE)
    with files.replacing(folder / MARKDOWN_FILE) as beside:
        beside.write_text(markdown(results), encoding="utf-8")
    for name, figure in pictures_of(results).items():
        inspection.save(figure, folder / name)
