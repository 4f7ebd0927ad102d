"""The state of a stream as a file: an ``.npz`` of plain arrays, tied to the weights that made it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from peephole import files
from peephole.errors import ArtifactError

FORMAT = "peephole-stream 1"

Arrays = Mapping[str, np.ndarray[Any, Any]]


def write(path: str | os.PathLike[str], arrays: Arrays, *, sha256: str) -> None:
    """Write a state; a file that is there is replaced in one step.

    Args:
        path: the file, by convention ``.npz``.
        arrays: the state.
        sha256: checksum of the weights that made it.

    Raises:
        ArtifactError: where the file cannot be written.
    """
    try:
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            # some versions of NumPy type the arrays as if one could be `allow_pickle`
            cast("Any", np.savez)(file, format=np.array(FORMAT), sha256=np.array(sha256), **arrays)
    except OSError as error:
        raise ArtifactError(f"stream: {path} cannot be written ({error.strerror or error})") from error


def read(path: str | os.PathLike[str], like: Arrays, *, sha256: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read a state.

    Args:
        path: a file that :func:`write` made.
        like: arrays of the names, shapes and dtypes that must be there.
        sha256: checksum of the weights that the state must belong to.

    Raises:
        ArtifactError: where the file is no such state, or one of another model or batch size.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"stream: {path} cannot be read as a saved state ({error})") from error
    if str(arrays.pop("format", None)) != FORMAT:
        raise ArtifactError(f"stream: {path} is not a state saved by this version of Peephole ({FORMAT!r})")
    if str(arrays.pop("sha256", None)) != sha256:
        raise ArtifactError(f"stream: {path} was saved with other weights; load the model that it was saved with")
    expected, found = (
        {name: (array.shape, str(array.dtype)) for name, array in each.items()} for each in (like, arrays)
    )
    if expected != found:
        raise ArtifactError(f"stream: {path} does not fit this stream: it must hold {expected} (got {found})")
    return arrays
