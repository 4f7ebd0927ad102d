"""Running the command line in this process, and looking at a folder before and after."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from peephole.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def peephole(*arguments: str | Path) -> Done:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    code = left.value.code
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def content_of(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, every folder with None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def wave(rows: int = 90) -> list[str]:
    """Lines of a table: a day and a value that goes up and down every week."""
    values = [10 + 3 * math.sin(2 * math.pi * row / 7) + 0.01 * row for row in range(rows)]
    return ["day,value", *(f"{day(row)},{value:.4f}" for row, value in enumerate(values))]


def day(row: int) -> str:
    """The row's day of 2021."""
    import datetime

    return str(datetime.date(2021, 1, 1) + datetime.timedelta(days=row))


def write(path: Path, lines: list[str]) -> Path:
    """Write lines to a file."""
    path.write_text("\n".join(lines) + "\n")
    return path


SMALL = ("--lags", "8", "--horizon", "3", "--hidden-size", "4", "--max-epochs", "3")


def fit(file: Path, out: Path, *more: str) -> Done:
    """Fit a small network to a table of :func:`wave`."""
    return peephole("fit", "forecast", file, "--time", "day", "--target", "value", *SMALL, "--out", out, *more)
