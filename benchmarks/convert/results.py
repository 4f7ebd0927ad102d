"""The file of results: how long a step took, and every loss."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peephole import files
from peephole.bench.timing import Ratio
from peephole.errors import DataError

FORMAT = "peephole convert"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model, trained by torch's layer and by ours.

    Attributes:
        problem: its short name.
        title: what a reader calls it.
        settings: of its training.
        dtype: of all.
        threads: of all.
        steps: of training.
        weights: of the model.
        layers: the recurrent layer of torch's model and of the converted one.
        ours_ms: our median step in milliseconds.
        theirs_ms: torch's.
        ratio: torch's time over ours, step by step.
        processor_ratio: the same of the time that the processors worked for each: what it is where nobody else wants
            them, on one thread; on several it counts those that wait as well.
        others: the part of all processor time that other programs took meanwhile; None where the system does not tell.
        losses: torch's, step by step.
        differences: of the losses of ours, and of torch's own other orders of summing, from ``losses``.
        validation_loss: at the end, by name.
        validation_accuracy: in per cent, by name.
    """

    problem: str
    title: str
    settings: str
    dtype: str
    threads: int
    steps: int
    weights: int
    layers: tuple[str, str]
    ours_ms: float
    theirs_ms: float
    ratio: Ratio
    processor_ratio: Ratio
    others: float | None
    losses: list[float]
    differences: dict[str, list[float]]
    validation_loss: dict[str, float]
    validation_accuracy: dict[str, float]

    def largest(self, name: str, steps: int | None = None) -> float:
        """The largest difference of a loss from torch's, within the first ``steps``."""
        return max(map(abs, self.differences[name][:steps]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was measured.

    Attributes:
        machine: where and with what.
        lines: in the order they were measured.
    """

    machine: dict[str, str]
    lines: list[Line]


def write(results: Results, path: Path) -> None:
    """Write the file, beside its place first and then renamed; losses have seven digits, differences three."""
    rows = [json.dumps(_rounded(dataclasses.asdict(line)), allow_nan=False) for line in results.lines]
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "machine": results.machine}
    parts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    text = ",\n".join([*parts, ' "lines": [\n  ' + ",\n  ".join(rows) + "\n ]"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as beside:
        beside.write_text("{\n" + text + "\n}\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read what :func:`write` wrote.

    Raises:
        DataError: where the file holds something else.
    """
    given = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    if (given.get("format"), given.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise DataError(f"convert: {path} must be {FORMAT} {FORMAT_VERSION} (got another format or version)")
    lines: list[dict[str, Any]] = given["lines"]
    for line in lines:
        line |= {name: Ratio(**line[name]) for name in ("ratio", "processor_ratio")}
        line["layers"] = tuple(line["layers"])
    return Results(machine=given["machine"], lines=[Line(**line) for line in lines])


def _rounded(line: dict[str, Any]) -> dict[str, Any]:
    def digits(value: float, count: int) -> float:
        return float(f"{value:.{count}g}")

    differences = {name: [digits(value, 3) for value in values] for name, values in line["differences"].items()}
    return line | {"losses": [digits(value, 7) for value in line["losses"]], "differences": differences}
