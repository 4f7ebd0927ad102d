"""The reference of the command line, written by typer from the commands themselves at every build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def write_reference(app: Sphinx) -> None:
    """Write ``generated/commands.md``, which the page of the command line includes."""
    target = Path(app.srcdir) / "generated" / "commands.md"
    target.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "typer", "peephole.cli.app", "utils", "docs", "--name", "peephole"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise ExtensionError(f"the reference of the command line could not be written: {made.stderr}")
    text = made.stdout.partition("\n")[2].strip() + "\n"  # the page has a title of its own
    if not target.exists() or target.read_text("utf-8") != text:
        target.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx when to write it."""
    app.connect("builder-inited", write_reference)
    return {"parallel_read_safe": True}
