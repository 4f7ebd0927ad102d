"""The command line. One file per command; what a command needs is imported when it runs.

``peephole.cli.main`` is the entry point. It needs typer and rich, which come with ``pip install peephole[train]``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process.

    Exit codes: 0 done; 1 a check failed (``gradcheck``); 2 bad input, with one message on standard error;
    130 interrupted.

    Args:
        arguments: what stands behind ``peephole``; those of the process where None.

    Raises:
        SystemExit: always.
    """
    try:
        from peephole.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("typer", "rich"):
            raise
        print(
            f"Error: the command line needs {missing}, which is not installed; pip install peephole[train]",
            file=sys.stderr,
        )
        sys.exit(2)
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
