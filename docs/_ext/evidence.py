"""Tables of what was measured, made from the committed results, so that a page cannot say another number.

``{scores-table}`` lists the comparison of the variants (``benchmarks/variants/variants.json``), ``{floors-table}`` what
simple methods and others reach on the same tasks, ``{costs-table}`` the time of the variants beside the plain cell
(``benchmarks/speed/speed.json``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sphinx.application import Sphinx
from tables import GeneratedTable

from peephole import bench

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from benchmarks.variants.report import best, told  # noqa: E402 - found by the line above
from benchmarks.variants.results import Comparison, read, scores  # noqa: E402
from benchmarks.variants.tasks import TASKS  # noqa: E402

VARIANTS = ROOT / "benchmarks" / "variants" / "variants.json"
SPEED = ROOT / "benchmarks" / "speed" / "speed.json"


def score_rows(comparison: Comparison) -> list[list[str]]:
    """One row a network: its weights on the first task, and mean and spread on each."""
    columns: list[dict[str, str]] = []
    weights: dict[str, str] = {}
    for name, task in TASKS.items():
        found = scores(comparison, name)
        leader = best(task, found)
        columns.append({one.network: f"**{told(one)}**" if one is leader else told(one) for one in found})
        for one in found:
            weights.setdefault(one.network, f"{one.weights:,}")
    return [[f"`{name}`", *(column.get(name, "-") for column in columns), weights[name]] for name in weights]


def floor_rows(comparison: Comparison) -> list[list[str]]:
    """One row for each simple method and each published figure."""
    return [
        [task.title, mark, f"{value:.2f}", kind]
        for name, task in TASKS.items()
        for kind, marks in (("computed here", comparison.floors[name]), ("published", task.published))
        for mark, value in marks.items()
    ]


def cost_rows(results: bench.Results) -> list[list[str]]:
    """Milliseconds of a training step and of inference, and how many times the plain cell's that is."""
    wanted: dict[tuple[str, int], dict[str, bench.Row]] = {}
    for row in results.rows:
        if row.regime == "variants" and row.peer == "plain_cell" and row.threads == 1 and row.cells_per_block == 1:
            wanted.setdefault((row.variant, row.hidden), {})[row.work] = row
    rows: list[list[str]] = []
    for (variant, hidden), works in wanted.items():
        told_of = [
            f"{works[work].ours_ms:.3g} ({1 / ratio:.2f} ×)" if work in works and (ratio := works[work].ratio) else "-"
            for work in ("training", "inference")
        ]
        shape = next(iter(works.values()))
        rows.append([f"`{variant}`", f"{hidden}, {shape.batch}, {shape.steps}", *told_of])
    return rows


class ScoresTable(GeneratedTable):
    """The variants on every task."""

    header = ("network", *(f"{task.title} ({task.metric})" for task in TASKS.values()), "weights, first task")

    def rows(self) -> Iterable[Sequence[str]]:
        self.env.note_dependency(str(VARIANTS))
        return score_rows(read(VARIANTS))


class FloorsTable(GeneratedTable):
    """What stands beside the variants."""

    header = ("task", "what", "test", "from where")

    def rows(self) -> Iterable[Sequence[str]]:
        self.env.note_dependency(str(VARIANTS))
        return floor_rows(read(VARIANTS))


class CostsTable(GeneratedTable):
    """The time of the variants."""

    header = ("variant", "H, B, T", "training, ms", "inference, ms")

    def rows(self) -> Iterable[Sequence[str]]:
        self.env.note_dependency(str(SPEED))
        return cost_rows(bench.read(SPEED))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("scores-table", ScoresTable)
    app.add_directive("floors-table", FloorsTable)
    app.add_directive("costs-table", CostsTable)
    return {"parallel_read_safe": True}
