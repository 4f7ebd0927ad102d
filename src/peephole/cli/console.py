"""What the commands say and where: results on standard output, everything else on standard error.

With ``--json`` standard output holds one JSON document and nothing else, so that a program can read it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import rich.box
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on standard output and nothing else; no progress bars."),
]


class StoppedError(Exception):
    """Ctrl-C stopped a command that has something to say on how to go on; the exit code is 130."""


def in_terminal() -> bool:
    """Whether standard error is a terminal, where progress can be shown."""
    return sys.stderr.isatty()


def out() -> Console:
    """The console of standard output; plain text where it is not a terminal."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """The console of standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for the reader on standard output, with Rich markup."""
    out().print(text)


def say_plain(text: str) -> None:
    """A line for the reader on standard output, printed as it is."""
    out().print(escape(text))


def warn(text: str) -> None:
    """A warning on standard error, printed as it is."""
    err().print(f"[bold yellow]Warning:[/] {escape(text)}")


def fail(text: str) -> None:
    """The one message of a command that cannot go on, on standard error."""
    err().print(f"[bold red]Error:[/] {escape(text)}")


def print_json(document: Mapping[str, Any]) -> None:
    """The one JSON document of a command; a value that is NaN or infinite is null there."""
    sys.stdout.write(dump_json(document))


def dump_json(document: Mapping[str, Any]) -> str:
    """Strict JSON text; a value that is NaN or infinite becomes null."""
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> Table:
    """A table with its numbers flush right; the first ``text_columns`` columns are text."""
    made = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place < text_columns else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def show(title: str, made: Table) -> None:
    """Print a table below its title on standard output, as wide as it needs where that is not a terminal."""
    say(f"[bold]{escape(title)}[/]")
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)
    console.print(made)
