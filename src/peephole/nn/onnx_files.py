"""Modules to ONNX files, and the recurrent layers of ONNX files to modules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from peephole.conversion import onnx_export, onnx_graph, onnx_import
from peephole.errors import ArgumentTypeError
from peephole.nn.building import build_layer, tensors_of
from peephole.nn.lstm import LSTM
from peephole.nn.network import Network
from peephole.nn.rnn import RNN
from peephole.weights import module_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedLayer:
    """A layer out of an ONNX file.

    Attributes:
        layer: the module, in the dtype of the file.
        state: the initial state that the file gives, as the layer's ``hx`` argument takes it; None where the file gives
            none (zeros) or its graph makes it (``nodes`` names it then).
        lengths: the lengths that the file gives, ``[B]``; None where every sequence has all steps or the graph makes
            them.
        nodes: the nodes of the file that the layer was made of, first layer first: for each the inputs that no constant
            gives and the tensors that do.

    Example:
        >>> from peephole import nn
        >>> nn.export_onnx(nn.LSTM(3, 8), "layer.onnx", initial_state=True)
        >>> (loaded,) = nn.load_onnx("layer.onnx")
        >>> loaded.state is None, [sorted(inputs) for inputs in loaded.nodes.values()]
        (True, [['X', 'initial_c', 'initial_h']])
    """

    layer: LSTM | RNN
    state: tuple[Tensor, ...] | Tensor | None
    lengths: Tensor | None
    nodes: Mapping[str, Mapping[str, str]]


def export_onnx(
    module: LSTM | RNN | Network,
    path: str | os.PathLike[str],
    *,
    lengths: bool = False,
    initial_state: bool = False,
    dtype: onnx_export.Dtype | None = None,
) -> None:
    """Write a module as an ONNX file that ONNX Runtime and others run; batch and time are free in every call.

    The file holds what the module does in use: dropout and random masks belong to training. A layer has the inputs
    and outputs of the module, ``input`` and ``output, h_n, c_n``; a network has ``input`` and ``output``.

    Args:
        module: a layer or a network, whose ``batch_first`` (and ``batch_first_states``) the file shares.
        path: the file; what was there is replaced when all is written and checked.
        lengths: whether the graph takes ``lengths``, int64 ``[B]``: the valid steps of each sequence.
        initial_state: whether it takes ``h_0`` (and ``c_0``), ``[layers x directions, B, H]``; without, it begins with
            zeros, or with the state that the module learned.
        dtype: what the weights are rounded to on the way, ``"float32"`` or ``"float64"``; their own where None.
            ONNX Runtime runs these operators in float32 alone.

    Raises:
        ArgumentError: for what the operators of ONNX cannot express (layer norm, zoneout, projection, full gate
            recurrence, peepholes of several cells per block), each by name; nothing is written then.
        ArgumentTypeError: for another module, or weights in half precision.
        ArtifactError: where the file cannot be written.
        MissingDependencyError: where ``onnx`` is not installed (``pip install peephole[onnx]``).

    Example:
        >>> import onnx
        >>> from peephole import nn
        >>> nn.export_onnx(nn.LSTM(3, 8, peepholes=True), "layer.onnx", lengths=True)
        >>> graph = onnx.load("layer.onnx").graph
        >>> [one.name for one in graph.input], [one.name for one in graph.output]
        (['input', 'lengths'], ['output', 'h_n', 'c_n'])
    """
    given = cast(object, module)
    options: dict[str, Any] = {"lengths": lengths, "initial_state": initial_state, "dtype": dtype}
    if isinstance(given, Network):
        options["batch_first"] = given.batch_first
        model = onnx_export.network_model(given.spec, _arrays(given, given.state_dict()), **options)
    elif isinstance(given, (LSTM, RNN)):
        weights = tensors_of(given, module_shapes(given.spec))
        options |= {"batch_first": given.batch_first, "batch_first_states": given.batch_first_states}
        model = onnx_export.layer_model(given.spec, _arrays(given, weights), **options)
    else:
        raise ArgumentTypeError(
            f"export_onnx: module must be peephole.nn's LSTM, RNN or Network (got {type(given).__name__}); "
            "a model with other modules around them goes through torch.onnx.export"
        )
    onnx_graph.write_model(path, model, owner="export_onnx")


def load_onnx(path: str | os.PathLike[str], *, node: str | None = None) -> list[LoadedLayer]:
    """The recurrent layers of an ONNX file, ``LSTM`` and ``RNN`` nodes, as modules.

    Nodes that follow each other with nothing between but what lays two directions side by side become one stack. The
    rest of the graph is not read.

    Args:
        path: the file.
        node: the name of one node (or of its first output, where it has none) to read alone; all where None.

    Returns:
        The layers in the order of the graph.

    Raises:
        ArgumentError: where there is no such node, or for what our cells cannot do, by name: the direction
            ``reverse`` alone, ``clip``, other activations, weights that the graph computes or that are not finite,
            nodes inside of others.
        ArgumentTypeError: for weights that are neither float32 nor float64.
        ArtifactError: where the file is not ONNX, or not all of it.
        MissingDependencyError: where ``onnx`` is not installed (``pip install peephole[onnx]``).

    Example:
        >>> from peephole import nn
        >>> nn.export_onnx(nn.LSTM(3, 8, num_layers=2, coupled=True), "layer.onnx")
        >>> nn.load_onnx("layer.onnx")[0].layer
        LSTM(3, 8, num_layers=2, coupled=True)
    """
    return [_loaded(found) for found in onnx_import.read_layers(path, node=node)]


def _arrays(module: torch.nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    for name, weight in weights.items():
        if weight.dtype not in (torch.float32, torch.float64):
            raise ArgumentTypeError(
                f"export_onnx: weights must be float32 or float64 (got {weight.dtype} in {name}); "
                f"convert the {type(module).__name__} by .float() first"
            )
    return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}


def _loaded(found: onnx_import.OnnxLayer) -> LoadedLayer:
    tensors = {name: _tensor(array) for name, array in found.weights.items()}
    layer = build_layer(found.spec, tensors, {"batch_first": found.batch_first})
    state = None if found.state is None else tuple(_tensor(part) for part in found.state)
    return LoadedLayer(
        layer=layer,
        state=state[0] if state is not None and isinstance(layer, RNN) else state,
        lengths=None if found.lengths is None else _tensor(found.lengths),
        nodes=found.nodes,
    )


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.as_tensor(array.copy())
