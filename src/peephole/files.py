"""Writing files so that a crash leaves either the old content or the new, never half of one.

What is new is written beside its place, under a temporary name in the same folder, and then renamed.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    An exception in the block removes the temporary file and leaves what was at ``path`` as it was.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The path to write to, with the suffix of ``path``.

    Raises:
        OSError: where the folder does not exist or does not let itself be written to.
    """
    target = Path(path)
    temporary = _beside(target)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def creating_folder(path: str | os.PathLike[str]) -> Generator[Path]:
    """A temporary folder beside ``path`` to fill; it takes its name when the block ends well.

    An exception in the block removes the temporary folder.

    Args:
        path: the folder to make, absent or empty; folders above it are made where they are missing.

    Yields:
        The folder to fill.

    Raises:
        OSError: where ``path`` is there and not an empty folder, or where its folder cannot be written to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    temporary.mkdir()
    try:
        yield temporary
        if target.is_dir():
            target.rmdir()  # only POSIX renames over an empty folder; one that is not empty raises OSError here
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
