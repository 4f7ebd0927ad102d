"""The tables of ``docs/onnx.md``, which the tests hold to what happens."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
_NAME = re.compile(r"`(\w+)`")


def table(first_column: str) -> dict[str, str]:
    """The rows of the table whose first column has this heading: names to what is said of them."""
    text = PAGE.read_text("utf-8")
    _, _, behind = text.partition(f"| {first_column} | ")
    rows = [line.strip("| ").split(" | ", 1) for line in behind.split("\n\n")[0].splitlines()[2:]]
    return {name.strip("`"): said for name, said in rows}


def refused(said: str) -> set[str]:
    """The names that a row says are refused, none where it is expressed."""
    return set(_NAME.findall(said)) if said.startswith("refused: ") else set()
