"""A single layer in one file: its parameters by safetensors, and beside them what layer it is.

::

    tensors     every parameter of peephole.weights.module_shapes under its name, all of one floating dtype
    metadata    "format": "peephole.layer", "format_version": "1", "peephole_version": "0.1.0",
                "layer": JSON, {"spec": {the fields of RecurrentSpec}, "batch_first": false, "dropout": 0.0}

Any reader of safetensors sees the tensors, under torch's names where the cell is torch's. Nothing in the file is code.
A whole network is saved as an :mod:`peephole.artifact`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from peephole import files
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.nn.building import build_layer, tensors_of
from peephole.nn.lstm import LSTM
from peephole.nn.rnn import RNN
from peephole.spec import RecurrentSpec, stack_from_dict, to_dict
from peephole.version import VERSION
from peephole.weights import misfit, module_shapes

FORMAT = "peephole.layer"
FORMAT_VERSION = 1

ARGUMENTS = ("batch_first", "batch_first_states", "dropout")
"""What the file holds beyond the spec: the arguments that change what a layer does."""


def save_layer(layer: LSTM | RNN, path: str | os.PathLike[str]) -> None:
    """Save a layer as the file ``path``, in place of an older one; a crash on the way leaves the older one whole.

    Args:
        layer: of any variant; all parameters of one dtype and finite.
        path: the file; ``.safetensors`` is the usual ending.

    Raises:
        ArgumentTypeError: for another module, or parameters of several dtypes.
        ArgumentError: for a parameter that holds NaN or infinity.
        ArtifactError: where the file cannot be written.

    Example:
        >>> from peephole import nn
        >>> nn.save_layer(nn.LSTM(3, 8, variant="layer_norm", batch_first=True), "layer.safetensors")
        >>> nn.load_layer("layer.safetensors")
        LSTM(3, 8, batch_first=True, layer_norm=True)
    """
    given = cast(object, layer)
    if not isinstance(given, (LSTM, RNN)):
        raise ArgumentTypeError(f"save_layer: layer must be a peephole.nn.LSTM or RNN (got {type(given).__name__})")
    tensors = tensors_of(given, module_shapes(given.spec))
    problem = _unfit(tensors, given.spec)
    if problem:
        raise ArgumentError(f"save_layer: the layer cannot be saved: {problem}")
    described = {"spec": to_dict(given.spec), **{name: getattr(given, name) for name in ARGUMENTS}}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "peephole_version": VERSION,
        "layer": json.dumps(described),
    }
    try:
        with files.replacing(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, metadata))
    except OSError as error:
        raise ArtifactError(f"save_layer: {path} cannot be written ({error.strerror or error})") from error


def load_layer(path: str | os.PathLike[str], *, device: torch.device | str | None = None) -> LSTM | RNN:
    """The layer that :func:`save_layer` saved, in its dtype.

    Args:
        path: the file.
        device: where the parameters go; the CPU if left out.

    Raises:
        ArtifactError: where the file cannot be read, holds no layer, was made by a newer version, or where a check
            fails: names, shapes and dtypes of the tensors, all values finite.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> layer, x = nn.RNN(3, 8, nonlinearity="relu"), torch.randn(7, 2, 3)
        >>> nn.save_layer(layer, "layer.safetensors")
        >>> torch.equal(nn.load_layer("layer.safetensors")(x)[0], layer(x)[0])
        True
    """
    metadata, tensors = _read(Path(path), device or "cpu")
    if metadata.get("format") != FORMAT:
        raise ArtifactError(
            f"load_layer: {path} must say format={FORMAT!r} in its metadata (got {metadata.get('format')!r}); "
            "build the layer, and give load_state_dict what safetensors.torch.load_file reads"
        )
    version = metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        raise ArtifactError(
            f"load_layer: {path} must have format_version {FORMAT_VERSION} (got {version!r}, made by Peephole "
            f"{metadata.get('peephole_version')}); install a newer Peephole"
        )
    spec, arguments = _description(path, metadata.get("layer", ""))
    problem = _unfit(tensors, spec)
    if problem:
        raise ArtifactError(f"load_layer: the tensors of {path} do not fit its spec: {problem}")
    try:
        return build_layer(spec, tensors, arguments)
    except (ArgumentError, ArgumentTypeError, TypeError) as error:
        raise ArtifactError(f"load_layer: {path} describes a layer that cannot be made: {error}") from error


def _unfit(tensors: Mapping[str, Tensor], spec: RecurrentSpec) -> str | None:
    """What is wrong with the tensors of a layer, or None."""
    if spec.num_layers > len(tensors):
        # also keeps a number of layers that nobody can have from being counted out one by one
        return f"{spec.num_layers} layers, but only {len(tensors)} tensors"
    problem = misfit(tensors, module_shapes(spec))
    if problem:
        return problem
    dtypes = sorted({str(tensor.dtype) for tensor in tensors.values()})
    if len(dtypes) > 1 or not next(iter(tensors.values())).is_floating_point():
        return f"all tensors must be of one floating dtype (got {', '.join(dtypes)})"
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} holds values that are NaN or infinite"
    return None


def _read(path: Path, device: torch.device | str) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with cast(Any, safetensors).safe_open(path, framework="pt", device=str(device)) as opened:
            # copied, for a tensor may be a view of the file, which somebody may write to
            return opened.metadata() or {}, {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    except OSError as error:
        raise ArtifactError(f"load_layer: {path} cannot be read ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:
        raise ArtifactError(f"load_layer: {path} is not a safetensors file, or not all of one ({error})") from error


def _description(path: object, text: str) -> tuple[RecurrentSpec, dict[str, Any]]:
    """Spec and arguments out of the metadata."""
    try:
        described: dict[str, Any] = dict(json.loads(text))
        if described.keys() != {"spec", *ARGUMENTS}:
            raise ArgumentError(f"they must hold spec, {', '.join(ARGUMENTS)} (got {', '.join(described)})")
        return stack_from_dict(described.pop("spec")), described
    except (ArgumentError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"load_layer: the metadata of {path} do not describe a layer: {error}") from error
