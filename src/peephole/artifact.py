"""A saved model: a folder with ``model.json`` and ``weights.safetensors``.

::

    model.json            {"format": "peephole", "format_version": 2, "peephole_version": "0.1.0",
                           "network": {...}, "task": {...} or null,
                           "weights": {"file": "weights.safetensors", "sha256": "..."}}
    weights.safetensors   every tensor of peephole.weights.network_shapes, float32 or float64

Nothing in it is code: reading a model from elsewhere runs nothing. :func:`load` checks everything that is read, so
that a truncated, altered or misfit model is an error and never a wrong forecast. NumPy and safetensors are enough.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.numpy

from peephole import files
from peephole.errors import ArgumentError, ArtifactError
from peephole.spec import (
    EncoderDecoderSpec,
    NetworkSpec,
    RecurrentSpec,
    network_from_dict,
    to_dict,
)
from peephole.version import VERSION
from peephole.weights import misfit, network_shapes

FORMAT = "peephole"
FORMAT_VERSION = 2
MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

_OWN_WEIGHTS = re.compile(r"weights(-[0-9a-f]{16})?\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model as it was read.

    Attributes:
        network: the network.
        weights: its tensors by the names of :func:`peephole.weights.network_shapes`, in that order,
            read-only, all float32 or all float64.
        task: what the network is for, as plain JSON types (``task["kind"]`` says which task), or None.
        sha256: of the file of the weights; two models with the same one have the same weights.
        peephole_version: the version that saved it.
    """

    network: NetworkSpec | EncoderDecoderSpec
    weights: Mapping[str, Array]
    task: Mapping[str, Any] | None
    sha256: str
    peephole_version: str


def save(
    path: str | os.PathLike[str],
    network: NetworkSpec | EncoderDecoderSpec,
    weights: Mapping[str, Array],
    *,
    task: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Save a model as the folder ``path``; a crash on the way leaves no half of one.

    Over an older model, the new weights are written beside the old ones under a name of their own; replacing
    ``model.json``, which says which weights belong to it, is the one step that makes the new model the valid one.

    Args:
        path: the folder; it must be absent or empty unless ``overwrite``.
        network: the network.
        weights: every tensor of :func:`peephole.weights.network_shapes`, all float32 or all float64, all finite.
        task: what the network is for, as plain JSON types with strings as keys.
        overwrite: whether an older model in the folder may be replaced. Other files there are left alone.

    Raises:
        ArgumentError: where ``path`` is taken, or ``weights`` or ``task`` break their rules.
        ArtifactError: where the folder cannot be written.
    """
    folder = Path(path)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}
    problem = _unfit(tensors, network)
    if problem:
        raise ArgumentError(f"artifact.save: the weights do not fit their network: {problem}")
    data = safetensors.numpy.save(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    taken = _is_taken(folder, overwrite=overwrite)
    weights_file = f"weights-{sha256[:16]}.safetensors" if taken else WEIGHTS_FILE
    model = _model_text(network, task, weights_file, sha256)
    try:
        if taken:
            _write(folder, model, weights_file, data)
            _remove_old_weights(folder, keep=weights_file)
        else:
            with files.creating_folder(folder) as fresh:
                _write(fresh, model, weights_file, data)
    except OSError as error:
        raise ArtifactError(f"artifact: the folder {folder} cannot be written ({error.strerror or error})") from error


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read a model from the folder ``path``.

    Raises:
        ArtifactError: where there is no model, where it was made by a newer version, or where a check fails:
            the checksum of the weights, the names, shapes and dtypes of the tensors, all values finite.
    """
    folder = Path(path)
    model = _read_model(folder)
    network = _network(folder, model)
    weights_file, sha256 = _weights_entry(folder, model)
    tensors = _read_tensors(weights_file, sha256)
    problem = _unfit(tensors, network)
    if problem:
        raise ArtifactError(f"artifact: {weights_file} does not fit the network of its {MODEL_FILE}: {problem}")
    weights = {name: tensors[name] for name in network_shapes(network)}
    for tensor in weights.values():
        tensor.flags.writeable = False
    task = model.get("task")
    if task is not None and not isinstance(task, dict):
        raise _malformed(folder, "task must be an object or null")
    return Artifact(
        network=network,
        weights=weights,
        task=cast("dict[str, Any] | None", task),
        sha256=sha256,
        peephole_version=str(model.get("peephole_version")),
    )


def _unfit(tensors: Mapping[str, Array], network: NetworkSpec | EncoderDecoderSpec) -> str | None:
    """What is wrong with the tensors of a network, or None."""
    bodies = (network.body,) if isinstance(network, NetworkSpec) else (network.encoder, network.decoder)
    for body in bodies:
        if isinstance(body, RecurrentSpec) and body.num_layers > len(tensors):
            # also keeps a number of layers that nobody can have from being counted out one by one
            return f"{body.num_layers} layers, but only {len(tensors)} tensors"
    problem = misfit(tensors, network_shapes(network))
    if problem:
        return problem
    dtypes = sorted({str(tensor.dtype) for tensor in tensors.values()})
    if dtypes not in (["float32"], ["float64"]):
        return f"all tensors must be float32 or all float64 (got {', '.join(dtypes)})"
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            return f"{name} holds values that are NaN or infinite"
    return None


def _is_taken(folder: Path, *, overwrite: bool) -> bool:
    """Whether the folder holds something, which is refused unless it may be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"artifact.save: path must be a folder (got the file {folder}); choose another name")
    taken = folder.is_dir() and any(folder.iterdir())
    if taken and not overwrite:
        raise ArgumentError(
            f"artifact.save: the folder {folder} exists and is not empty; choose another, or pass overwrite=True"
        )
    return taken


def _model_text(
    network: NetworkSpec | EncoderDecoderSpec, task: Mapping[str, Any] | None, weights_file: str, sha256: str
) -> str:
    model = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "peephole_version": VERSION,
        "network": to_dict(network),
        "task": None if task is None else dict(task),
        "weights": {"file": weights_file, "sha256": sha256},
    }
    try:
        return json.dumps(model, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"artifact.save: task must hold plain, finite JSON values only ({error})") from error


def _write(folder: Path, model: str, weights_file: str, data: bytes) -> None:
    """The weights first: ``model.json`` makes them the model."""
    with files.replacing(folder / weights_file) as temporary:
        temporary.write_bytes(data)
    with files.replacing(folder / MODEL_FILE) as temporary:
        temporary.write_text(model, encoding="utf-8")


def _remove_old_weights(folder: Path, *, keep: str) -> None:
    for file in folder.iterdir():
        if file.name != keep and _OWN_WEIGHTS.fullmatch(file.name):
            file.unlink()


def _read_model(folder: Path) -> dict[str, Any]:
    """``model.json``, of a version that this one understands."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ArtifactError(f"artifact: {folder} {what}; give the folder that a model was saved to")
    try:
        text = (folder / MODEL_FILE).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ArtifactError(f"artifact: there is no {MODEL_FILE} in {folder}; it holds no model") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"artifact: {folder / MODEL_FILE} cannot be read ({error})") from error
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(folder, f"it is not JSON ({error})") from error
    if not isinstance(model, dict) or cast("dict[str, Any]", model).get("format") != FORMAT:
        raise _malformed(folder, f'it does not say "format": "{FORMAT}"')
    _check_version(folder, cast("dict[str, Any]", model))
    return cast("dict[str, Any]", model)


def _check_version(folder: Path, model: dict[str, Any]) -> None:
    version = model.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _malformed(folder, f"format_version must be a whole number of at least 1 (got {version!r})")
    if version > FORMAT_VERSION:
        raise ArtifactError(
            f"artifact: {folder} has format version {version}, made by Peephole {model.get('peephole_version')}; "
            f"this Peephole reads versions up to {FORMAT_VERSION}; install a newer one"
        )


def _network(folder: Path, model: dict[str, Any]) -> NetworkSpec | EncoderDecoderSpec:
    description = cast("dict[str, Any]", model.get("network"))
    if not isinstance(cast(object, description), dict):
        raise _malformed(folder, "network must be an object")
    try:
        return network_from_dict(description)
    except (ArgumentError, ValueError) as error:
        raise _malformed(folder, f"the network is described wrongly: {error}") from error


def _weights_entry(folder: Path, model: dict[str, Any]) -> tuple[Path, str]:
    """Path and checksum of the weights; the name may not lead out of the folder."""
    entry = model.get("weights")
    if not isinstance(entry, dict):
        raise _malformed(folder, "weights must be an object")
    name, sha256 = (cast("dict[str, Any]", entry).get(key) for key in ("file", "sha256"))
    if not isinstance(name, str) or not _OWN_WEIGHTS.fullmatch(name):
        raise _malformed(
            folder, f"weights.file must be {WEIGHTS_FILE!r} or 'weights-<16 digits>.safetensors' (got {name!r})"
        )
    if not isinstance(sha256, str):
        raise _malformed(folder, f"weights.sha256 must be a text (got {sha256!r})")
    return folder / name, sha256


def _read_tensors(path: Path, sha256: str) -> dict[str, Array]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"artifact: {path} cannot be read ({error.strerror}); save the model again") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ArtifactError(
            f"artifact: {path} was truncated or altered: its SHA-256 must be {sha256} (got {found}); "
            "copy or save the model again"
        )
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"artifact: {path} is not a safetensors file of numbers ({error})") from error


def _malformed(folder: Path, rule: str) -> ArtifactError:
    return ArtifactError(f"artifact: {folder / MODEL_FILE} does not describe a model: {rule}")
