"""Checkpoints: everything a run needs to go on as if it had never stopped, written beside and then renamed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from peephole import files
from peephole.errors import ArtifactError

FORMAT = "peephole-checkpoint"
FORMAT_VERSION = 1


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a checkpoint; a crash on the way leaves the previous one.

    Args:
        path: the file; its folder must exist.
        state: tensors and plain Python values, nested in dicts and lists.

    Raises:
        ArtifactError: where the file cannot be written (no such folder, no right, a full disk).
    """
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **state}
    try:
        with files.replacing(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise ArtifactError(
            f"checkpoint: {Path(path)} cannot be written ({error}); the previous checkpoint, if any, is unharmed"
        ) from error


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        ArtifactError: for a file that is missing, damaged, no checkpoint or of a newer version.
    """
    file = Path(path)
    if not file.is_file():
        raise ArtifactError(f"checkpoint: there is no file {file} to resume from; start without resume")
    try:
        content = cast("object", torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # what is no pickle makes the reader raise anything
        raise ArtifactError(f"checkpoint: {file} is damaged or no checkpoint; delete it and start again") from error
    state = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if state.get("format") != FORMAT:
        raise ArtifactError(f"checkpoint: {file} is no checkpoint of Peephole; name the right file")
    if state["format_version"] > FORMAT_VERSION:
        raise ArtifactError(
            f"checkpoint: {file} has format version {state['format_version']}, this Peephole reads {FORMAT_VERSION}; "
            "install a newer one"
        )
    return state
