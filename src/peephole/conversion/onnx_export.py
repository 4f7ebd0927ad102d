"""Layers and whole networks as ONNX models, out of specs and NumPy arrays.

Batch and time are free in every call of the model; :mod:`peephole.conversion.onnx_operator` says what can be
expressed. A model has these inputs and outputs, float32 or float64, ``[B, T, …]`` in the place of ``[T, B, …]`` with
``batch_first``:

==============  ==========================  ====================================================================
input           ``[T, B, I]``               sequences, at least one of at least one step
input           ``[T, B]`` int64            for an embedding, whole numbers from 0 to ``num_embeddings - 1``
lengths         ``[B]`` int64               with ``lengths``: valid steps of each sequence, 0 to ``T``
h_0, c_0        ``[layers x dirs, B, H]``   with ``initial_state``: the state before the first step
output          ``[T, B, dirs·H]``          a layer's; 0 behind the end of a sequence
output          ``[B, K]``, ``[T, B, K]``   a network's, as its readout says
h_n, c_n        ``[layers x dirs, B, H]``   the state after the last valid step (a network's: with ``initial_state``)
==============  ==========================  ====================================================================

Without ``initial_state`` a stack begins with zeros, or with the state that it learned. A network whose body is a
perceptron takes samples without time, ``[B, I]`` (``[B]``), unless its readout, ``lengths`` or ``batch_first`` speak of
time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, cast

import numpy as np

from peephole.artifact import Array
from peephole.conversion.onnx_graph import Graph, Shape
from peephole.conversion.onnx_operator import check_expressible, refused_fields
from peephole.conversion.onnx_readout import READOUTS
from peephole.conversion.onnx_stack import (
    Layout,
    begin,
    linear,
    run,
    samples,
    sequences,
    state_outputs,
    without_padding,
)
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import Activation, EmbeddingSpec, LinearSpec, MLPSpec, NetworkSpec, RecurrentSpec, to_dict
from peephole.weights import misfit, module_shapes, network_shapes

Dtype = Literal["float32", "float64"]
_OWNER = "export_onnx"
_BODY = "body."
_NETWORK_FIELDS = frozenset({"input", "body", "output_size", "readout"})
_PART_FIELDS: Mapping[type, frozenset[str]] = MappingProxyType(
    {
        EmbeddingSpec: frozenset({"kind", "num_embeddings", "embedding_dim"}),
        LinearSpec: frozenset({"kind", "input_size", "output_size"}),
        MLPSpec: frozenset({"kind", "input_size", "hidden_sizes", "activation", "bias"}),
    }
)
_NODE_OF: Mapping[Activation, str | None] = MappingProxyType(
    {"tanh": "Tanh", "logistic": "Sigmoid", "relu": "Relu", "identity": None}
)


def layer_model(
    spec: RecurrentSpec,
    weights: Mapping[str, Array],
    *,
    lengths: bool = False,
    initial_state: bool = False,
    batch_first: bool = False,
    batch_first_states: bool = False,
    dtype: Dtype | None = None,
) -> Any:
    """A stack of recurrent layers as an ONNX model.

    Args:
        spec: the stack.
        weights: its arrays under the names of :func:`peephole.weights.module_shapes`.
        lengths: whether the model takes ``lengths``.
        initial_state: whether it takes ``h_0`` (and ``c_0``); without, it begins with zeros, or with the learned state.
        batch_first: whether input and output are ``[B, T, size]``; states are not affected.
        batch_first_states: whether states are ``[B, layers x directions, H]``.
        dtype: what the weights are rounded to on the way; their own dtype where None.

    Returns:
        An ``onnx.ModelProto`` with the outputs ``output``, ``h_n`` and for an LSTM ``c_n``.

    Raises:
        ArgumentError: for what the operator cannot express, by name, or weights that do not fit the spec.
        ArgumentTypeError: for weights that are neither float32 nor float64.
        MissingDependencyError: where ``onnx`` is not installed.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import onnx_export
        >>> stack = spec.body_spec("peephole", 3, num_layers=2)
        >>> zeros = {name: np.zeros(shape, "float32") for name, shape in weights.module_shapes(stack).items()}
        >>> model = onnx_export.layer_model(stack, zeros, initial_state=True)
        >>> [one.name for one in model.graph.input], [one.name for one in model.graph.output]
        (['input', 'h_0', 'c_0'], ['output', 'h_n', 'c_n'])
    """
    check_expressible(_OWNER, spec)
    _check_weights(weights, module_shapes(spec))
    graph = Graph(_OWNER, _dtype(weights, dtype))
    layout = Layout(batch_first, batch_first_states)
    given = sequences(graph, layout, spec.input_size, weights, lengths=lengths)
    given = begin(graph, spec, weights, given, layout, initial_state=initial_state)
    ended = run(graph, spec, weights, given)
    output, axes = READOUTS["every"](graph, ended.features, given, layout)
    graph.output("output", output, [*axes, spec.feature_size])
    state_outputs(graph, spec, ended, layout)
    return graph.model("peephole", {"peephole.layer": json.dumps(to_dict(spec))})


def network_model(
    spec: NetworkSpec,
    weights: Mapping[str, Array],
    *,
    lengths: bool = False,
    initial_state: bool = False,
    batch_first: bool = False,
    dtype: Dtype | None = None,
    task: Mapping[str, Any] | None = None,
) -> Any:
    """A whole network as an ONNX model.

    Args:
        spec: the network.
        weights: its arrays under the names of :func:`peephole.weights.network_shapes`, as an artifact has them.
        lengths: whether the model takes ``lengths``.
        initial_state: whether it takes ``h_0`` (and ``c_0``) and gives ``h_n`` (and ``c_n``), for streaming.
        batch_first: whether the input, and the output of every step, are ``[B, T, size]``.
        dtype: what the weights are rounded to on the way; their own dtype where None.
        task: what the network is for, as an artifact has it. It is kept in the model's metadata, under
            ``peephole.task``; scaling and the like are not part of the graph.

    Returns:
        An ``onnx.ModelProto`` with the output ``output``.

    Raises:
        ArgumentError: for what ONNX cannot express, by name, weights that do not fit the spec, or ``initial_state`` of
            a perceptron.
        ArgumentTypeError: for weights that are neither float32 nor float64.
        MissingDependencyError: where ``onnx`` is not installed.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import onnx_export
        >>> network = spec.NetworkSpec(body=spec.body_spec("lstm", 3), output_size=2, readout="mean")
        >>> zeros = {name: np.zeros(shape, "float32") for name, shape in weights.network_shapes(network).items()}
        >>> model = onnx_export.network_model(network, zeros, lengths=True)
        >>> [one.name for one in model.graph.input], [one.name for one in model.graph.output]
        (['input', 'lengths'], ['output'])
    """
    _check_network(spec)
    _check_weights(weights, network_shapes(spec))
    graph = Graph(_OWNER, _dtype(weights, dtype))
    options = {"lengths": lengths, "initial_state": initial_state}
    write = _over_a_stack if isinstance(spec.body, RecurrentSpec) else _over_a_perceptron
    write(graph, spec, weights, Layout(batch_first), **options)
    metadata = {"peephole.network": json.dumps(to_dict(spec))}
    if task is not None:
        metadata["peephole.task"] = json.dumps(dict(task))
    return graph.model("peephole", metadata)


def _check_network(spec: NetworkSpec) -> None:
    found = refused_fields(spec, _NETWORK_FIELDS, {})
    if spec.readout not in READOUTS:
        found["readout"] = f"the export knows {', '.join(READOUTS)}"
    for part in (spec.input, spec.body):
        if isinstance(part, tuple(_PART_FIELDS)):
            found |= refused_fields(part, _PART_FIELDS[type(part)], {})
    if found:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise ArgumentError(
            f"{_OWNER}: the network must be one that can be written (got {told}); "
            "peephole.runtime runs it without torch"
        )
    if isinstance(spec.body, RecurrentSpec):
        check_expressible(_OWNER, spec.body)


def _check_weights(weights: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    problem = misfit(weights, shapes)
    if problem:
        raise ArgumentError(f"{_OWNER}: the weights must be those of the spec: {problem}")


def _dtype(weights: Mapping[str, Array], wanted: Dtype | None) -> np.dtype[Any]:
    found = sorted({str(array.dtype) for array in weights.values()})
    if found not in (["float32"], ["float64"]):
        raise ArgumentTypeError(
            f"{_OWNER}: weights must be float32 or all float64 (got {', '.join(found)}); convert them first"
        )
    if wanted not in (None, "float32", "float64"):
        raise ArgumentError(f"{_OWNER}: dtype must be 'float32' or 'float64' (got {wanted!r})")
    return np.dtype(wanted or found[0])


def _over_a_stack(
    graph: Graph, spec: NetworkSpec, weights: Mapping[str, Array], layout: Layout, *, lengths: bool, initial_state: bool
) -> None:
    """The graph of a network with a recurrent body."""
    body = cast(RecurrentSpec, spec.body)
    given = sequences(graph, layout, spec.input or body.input_size, weights, lengths=lengths)
    given = begin(graph, body, weights, given, layout, initial_state=initial_state, prefix=_BODY)
    ended = run(graph, body, weights, given, prefix=_BODY)
    _head(graph, spec, weights, *READOUTS[spec.readout](graph, ended.features, given, layout))
    if initial_state:
        state_outputs(graph, body, ended, layout)


def _over_a_perceptron(
    graph: Graph, spec: NetworkSpec, weights: Mapping[str, Array], layout: Layout, *, lengths: bool, initial_state: bool
) -> None:
    """The graph of a network with a perceptron as its body, which sees each step by itself."""
    body = cast(MLPSpec, spec.body)
    if initial_state:
        raise ArgumentError(f"{_OWNER}: initial_state belongs to a recurrent body (got an MLP); leave it out")
    entry = spec.input or body.input_size
    if not (lengths or layout.batch_first or spec.readout != "last"):
        _head(graph, spec, weights, _perceptron(graph, body, weights, samples(graph, entry, weights)), ["batch"])
        return
    given = sequences(graph, layout, entry, weights, lengths=lengths)
    features = without_padding(graph, given, _perceptron(graph, body, weights, given.x), "features")
    _head(graph, spec, weights, *READOUTS[spec.readout](graph, features, given, layout))


def _perceptron(graph: Graph, spec: MLPSpec, weights: Mapping[str, Array], x: str) -> str:
    for layer in range(len(spec.hidden_sizes)):
        bias = weights[f"{_BODY}bias_l{layer}"] if spec.bias else None
        x = linear(graph, x, weights[f"{_BODY}weight_l{layer}"], bias, f"l{layer}")
        activation = _NODE_OF[spec.activation]
        x = x if activation is None else graph.node(activation, [x], [f"y_l{layer}"])
    return x


def _head(graph: Graph, spec: NetworkSpec, weights: Mapping[str, Array], features: str, axes: Shape) -> None:
    y = linear(graph, features, weights["head.weight"], weights["head.bias"], "head")
    graph.output("output", y, [*axes, spec.output_size])
