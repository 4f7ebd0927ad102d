"""The file of results: every run, and what follows from them."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from peephole import files
from peephole.errors import DataError

FORMAT = "peephole variants"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One network trained once.

    Attributes:
        task: a name out of ``TASKS``.
        network: a name out of ``NETWORKS``.
        rate: of learning.
        seed: of the weights and of the order of the sequences.
        weights: that were learnt, the head's among them.
        epochs: that were run.
        best_epoch: the one whose weights were tested.
        valid_loss: of those weights.
        valid: their metric on the validation part.
        test: their metric on the test part.
        epoch_seconds: processor time of one epoch's training, one thread.
    """

    task: str
    network: str
    rate: float
    seed: int
    weights: int
    epochs: int
    best_epoch: int
    valid_loss: float
    valid: float
    test: float
    epoch_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that was run.

    Attributes:
        machine: where and with what.
        floors: by task, what simple methods reach on the test part.
        runs: in the order they were run.
    """

    machine: dict[str, str]
    floors: dict[str, dict[str, float]]
    runs: list[Run]


class Score(NamedTuple):
    """One network on one task, over its seeds, at the learning rate that validation chose.

    Attributes:
        network: its name.
        rate: the chosen one.
        weights: how many.
        tests: the metric of each seed on the test part, two or more.
        mean: of those.
        spread: their standard deviation.
        epochs: mean epoch that was best.
        epoch_seconds: median processor time of an epoch.
    """

    network: str
    rate: float
    weights: int
    tests: tuple[float, ...]
    mean: float
    spread: float
    epochs: float
    epoch_seconds: float


def chosen_rate(runs: Sequence[Run], task: str, network: str, seed: int) -> float:
    """The learning rate of the smallest validation loss among the runs of one seed."""
    tried = [run for run in runs if (run.task, run.network, run.seed) == (task, network, seed)]
    if not tried:
        raise DataError(f"variants: {network} on {task} must be run with seed {seed} first (no rate to choose from)")
    return min(tried, key=lambda run: run.valid_loss).rate


def scores(comparison: Comparison, task: str) -> list[Score]:
    """Every network of a task that was run with two seeds or more, in the order it was run."""
    found: list[Score] = []
    for network in dict.fromkeys(run.network for run in comparison.runs if run.task == task):
        mine = [run for run in comparison.runs if (run.task, run.network) == (task, network)]
        rate = chosen_rate(mine, task, network, min(run.seed for run in mine))
        kept = [run for run in mine if run.rate == rate]
        if len(kept) < 2:
            continue
        tests = tuple(run.test for run in kept)
        found.append(
            Score(
                network=network,
                rate=rate,
                weights=kept[0].weights,
                tests=tests,
                mean=statistics.fmean(tests),
                spread=statistics.stdev(tests),
                epochs=statistics.fmean(run.best_epoch for run in kept),
                epoch_seconds=statistics.median(run.epoch_seconds for run in mine),
            )
        )
    return found


def write(comparison: Comparison, path: Path) -> None:
    """Write the file, one line a run, beside its place first and then renamed."""
    lines = ",\n".join("  " + json.dumps(dataclasses.asdict(run), allow_nan=False) for run in comparison.runs)
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "machine": comparison.machine,
        "floors": comparison.floors,
    }
    parts = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in head.items()]
    with files.replacing(path) as beside:
        beside.write_text("{\n" + ",\n".join([*parts, f' "runs": [\n{lines}\n ]']) + "\n}\n", encoding="utf-8")


def read(path: Path) -> Comparison:
    """Read what :func:`write` wrote.

    Raises:
        DataError: where the file holds something else.
    """
    given = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    if (given.get("format"), given.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise DataError(f"variants: {path} must be {FORMAT} {FORMAT_VERSION} (got another format or version)")
    return Comparison(machine=given["machine"], floors=given["floors"], runs=[Run(**run) for run in given["runs"]])
