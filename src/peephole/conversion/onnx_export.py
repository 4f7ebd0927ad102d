"""Layers and whole networks as ONNX models, out of specs and NumPy arrays.

Batch and time are free in every call of the model; :mod:`peephole.conversion.onnx_operator` says what can be
expressed. A model has these inputs and outputs, float32 or float64, ``[B, T, …]`` in the place of ``[T, B, …]`` with
``batch_first``:

==============  ==========================  ====================================================================
input           ``[T, B, I]``               sequences, at least one of at least one step (a perceptron: ``[B, I]``)
lengths         ``[B]`` int64               with ``lengths``: valid steps of each sequence, 0 to ``T``
h_0, c_0        ``[layers x dirs, B, H]``   with ``initial_state``: the state before the first step
output          ``[T, B, dirs·H]``          a layer's; 0 behind the end of a sequence
output          ``[B, K]``, ``[T, B, K]``   a network's, as its readout says
h_n, c_n        ``[layers x dirs, B, H]``   the state after the last valid step (a network's: with ``initial_state``)
==============  ==========================  ====================================================================

Without ``initial_state`` a stack begins with zeros, or with the state that it learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from peephole.artifact import Array
from peephole.conversion.checks import misfit
from peephole.conversion.onnx_graph import Graph, Shape
from peephole.conversion.onnx_operator import check_expressible, refused_fields
from peephole.conversion.onnx_stack import Ended, Given, Layout, begin, run, side_by_side, state_outputs, turned
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import Activation, MLPSpec, NetworkSpec, RecurrentSpec, to_dict
from peephole.weights import module_shapes, network_shapes

Dtype = Literal["float32", "float64"]
_OWNER = "export_onnx"
_NETWORK_FIELDS = frozenset({"body", "output_size", "readout"})
_MLP_FIELDS = frozenset({"kind", "input_size", "hidden_sizes", "activation", "bias"})
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
    """
    check_expressible(_OWNER, spec)
    _check_weights(weights, module_shapes(spec))
    graph = Graph(_OWNER, _dtype(weights, dtype))
    layout = Layout(batch_first, batch_first_states)
    ended = run(graph, spec, weights, begin(graph, spec, weights, layout, lengths=lengths, initial_state=initial_state))
    output = side_by_side(graph, spec, ended.raw, "features")
    if batch_first:
        output = turned(graph, output, "batch_first")
    graph.output("output", output, [*layout.steps, spec.feature_size])
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
        ArgumentError: for what ONNX cannot express, by name, weights that do not fit the spec, or ``lengths``,
            ``initial_state`` or ``batch_first`` of a perceptron.
        ArgumentTypeError: for weights that are neither float32 nor float64.
        MissingDependencyError: where ``onnx`` is not installed.
    """
    _check_network(spec)
    _check_weights(weights, network_shapes(spec))
    graph = Graph(_OWNER, _dtype(weights, dtype))
    body, asked = spec.body, {"lengths": lengths, "initial_state": initial_state, "batch_first": batch_first}
    if isinstance(body, MLPSpec):
        wrong = [name for name, value in asked.items() if value]
        if wrong:
            raise ArgumentError(f"{_OWNER}: {wrong[0]} belongs to a recurrent body (got an MLP); leave it out")
        features = _perceptron(graph, body, weights, graph.input("input", ["batch", body.input_size]))
        graph.output("output", _head(graph, weights, features), ["batch", spec.output_size])
    else:
        layout, prefix = Layout(batch_first), "body."
        given = begin(graph, body, weights, layout, lengths=lengths, initial_state=initial_state, prefix=prefix)
        ended = run(graph, body, weights, given, prefix=prefix)
        features, axes = READOUTS[spec.readout](graph, body, ended, given, layout)
        graph.output("output", _head(graph, weights, features), [*axes, spec.output_size])
        if initial_state:
            state_outputs(graph, body, ended, layout)
    metadata = {"peephole.network": json.dumps(to_dict(spec))}
    if task is not None:
        metadata["peephole.task"] = json.dumps(dict(task))
    return graph.model("peephole", metadata)


def _check_network(spec: NetworkSpec) -> None:
    found = refused_fields(spec, _NETWORK_FIELDS, {})
    if spec.readout not in READOUTS:
        found["readout"] = f"the export knows {', '.join(READOUTS)}"
    if isinstance(spec.body, MLPSpec):
        found |= refused_fields(spec.body, _MLP_FIELDS, {})
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


def _every(graph: Graph, spec: RecurrentSpec, ended: Ended, given: Given, layout: Layout) -> tuple[str, Shape]:
    """The features of every step."""
    features = side_by_side(graph, spec, ended.raw, "features")
    return turned(graph, features, "batch_first") if layout.batch_first else features, layout.steps


def _last(graph: Graph, spec: RecurrentSpec, ended: Ended, given: Given, layout: Layout) -> tuple[str, Shape]:
    """The features of each sequence's last valid step; step 0 of an empty one, which is 0."""
    features = side_by_side(graph, spec, ended.raw, "features")
    if given.lengths is None:
        last = graph.node("Gather", [features, graph.constant("last_step", -1)], ["last"], {"axis": 0})
        return last, ["batch"]
    before = graph.node("Sub", [given.lengths, graph.constant("one", 1)], ["length_less_one"])
    at = graph.node("Max", [before, graph.constant("nothing", 0)], ["last_step"])
    at = graph.node("Unsqueeze", [at, graph.constant("last_axis", [1])], ["last_steps"])
    by_sequence = turned(graph, features, "by_sequence")
    return graph.node("GatherND", [by_sequence, at], ["last"], {"batch_dims": 1}), ["batch"]


READOUTS: Mapping[str, Callable[[Graph, RecurrentSpec, Ended, Given, Layout], tuple[str, Shape]]] = MappingProxyType(
    {"last": _last, "every": _every}
)
"""What the head sees, by the name of the readout: its features, and the axes before them."""


def _perceptron(graph: Graph, spec: MLPSpec, weights: Mapping[str, Array], x: str) -> str:
    for layer in range(len(spec.hidden_sizes)):
        bias = weights[f"body.bias_l{layer}"] if spec.bias else None
        x = _linear(graph, x, weights[f"body.weight_l{layer}"], bias, f"l{layer}")
        activation = _NODE_OF[spec.activation]
        x = x if activation is None else graph.node(activation, [x], [f"y_l{layer}"])
    return x


def _head(graph: Graph, weights: Mapping[str, Array], features: str) -> str:
    return _linear(graph, features, weights["head.weight"], weights["head.bias"], "head")


def _linear(graph: Graph, x: str, weight: Array, bias: Array | None, name: str) -> str:
    """``W x + b`` over the last axis."""
    z = graph.node("MatMul", [x, graph.constant(f"weight_{name}", weight.T)], [f"product_{name}"])
    return z if bias is None else graph.node("Add", [z, graph.constant(f"bias_{name}", bias)], [f"z_{name}"])
