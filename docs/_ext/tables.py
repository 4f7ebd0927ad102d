"""Tables of the documentation that are read off the code, so that they cannot drift from it.

``{variants-table}`` lists :data:`peephole.spec.VARIANTS`; ``{initialisations-table}`` lists
:data:`peephole.nn.INITIALISATIONS`; ``{tolerances-table}`` lists ``tests/tolerances.py`` with
the comments that stand above its entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from peephole.nn import INITIALISATIONS
from peephole.spec import VARIANTS, CellSpec

TOLERANCES = Path(__file__).parents[2] / "tests" / "tolerances.py"


def parts(spec: CellSpec) -> str:
    """The parts of a cell that have weights."""
    return "—" if spec.cell == "rnn" else " ".join(spec.rows)


def error(spec: CellSpec) -> str:
    """What the backward pass carries back."""
    if not spec.truncated:
        return "exact"
    return "truncated to the carousel" if spec.cell == "lstm" else "ends after one step"


def variants() -> list[Sequence[str]]:
    """One row a variant; the compiled core has every one of them (tests/kernels holds it to that)."""
    return [
        (f"`{name}`", parts(entry.spec), entry.summary, error(entry.spec), "yes", entry.source)
        for name, entry in VARIANTS.items()
    ]


class Tolerance(NamedTuple):
    """One entry of the table of tolerances."""

    name: str
    value: str
    reason: str


def tolerances(text: str) -> list[Tolerance]:
    """Entries ``"name": value,`` with the comment lines above them; one without a comment shares the one before."""
    found: list[Tolerance] = []
    comment: list[str] = []
    reason = ""
    for line in text.splitlines():
        stripped = line.strip()
        entry = re.fullmatch(r'"(\w+)": ([^,]+),', stripped)
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
        elif entry:
            reason = " ".join(comment) or reason
            comment = []
            found.append(Tolerance(entry[1], entry[2], reason))
    return found


class GeneratedTable(SphinxDirective):
    """A table whose rows are made at build time; its cells are Markdown."""

    header: ClassVar[Sequence[str]]

    def rows(self) -> Iterable[Sequence[str]]:
        """The rows of the table."""
        raise TypeError(f"{type(self).__name__} must say its rows")

    def run(self) -> list[nodes.Node]:
        """The table, parsed."""
        rows = [self.header, ["---"] * len(self.header), *self.rows()]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source=f"{type(self).__name__}"), 0, container)
        return container.children


class VariantsTable(GeneratedTable):
    """The named cells."""

    header = ("name", "parts with weights", "what", "error back in time", "compiled", "source")

    def rows(self) -> Iterable[Sequence[str]]:
        return variants()


class InitialisationsTable(GeneratedTable):
    """The named initialisations."""

    header = ("name", "what", "when to choose it", "source")

    def rows(self) -> Iterable[Sequence[str]]:
        return [(f"`{name}`", one.summary, one.when, one.source) for name, one in INITIALISATIONS.items()]


class TolerancesTable(GeneratedTable):
    """The tolerances of the tests."""

    header = ("name", "tolerance", "why")

    def rows(self) -> Iterable[Sequence[str]]:
        self.env.note_dependency(str(TOLERANCES))
        return [(f"`{name}`", value, reason) for name, value, reason in tolerances(TOLERANCES.read_text("utf-8"))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("variants-table", VariantsTable)
    app.add_directive("initialisations-table", InitialisationsTable)
    app.add_directive("tolerances-table", TolerancesTable)
    return {"parallel_read_safe": True}
