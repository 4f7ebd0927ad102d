"""The table of PyTorch's behaviours names tests that there are, and all of those that were written for it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "torch_behaviours.md"
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
ROW = re.compile(r"^\| (?!behaviour|---)(.+) \|$", re.MULTILINE)


def _rows() -> list[list[str]]:
    return [row.split(" | ") for row in ROW.findall(PAGE.read_text("utf-8"))]


def _tests(pattern: str) -> set[str]:
    files = [file for file in HERE.glob(pattern) if file != Path(__file__)]
    return {name for file in files for name in DEFINED.findall(file.read_text("utf-8"))}


def test_every_row_says_what_is_checked_by_whom_and_how_ours_compares() -> None:
    rows = _rows()
    assert rows
    for row in rows:
        behaviour, theirs, ours, own = row
        assert behaviour
        assert re.search(r"`test_\w+`", theirs), row
        assert ours.startswith(("same", "better", "different: ")), row
        assert re.fullmatch(r"`test_\w+`", own), row


def test_every_test_that_is_named_is_there_once() -> None:
    named = [row[-1].strip("`") for row in _rows()]
    assert sorted(named) == sorted(set(named))
    assert set(named) <= _tests("test_*.py")


def test_every_test_that_was_written_for_the_table_is_in_it() -> None:
    named = {row[-1].strip("`") for row in _rows()}
    assert _tests("test_torch_behaviours*.py") | _tests("test_second_derivatives_of_cells.py") <= named
