"""Layers and whole networks as ONNX models, out of specs and NumPy arrays.

Batch and time are free in every call of the model; :mod:`peephole.conversion.onnx_operator` says what can be
expressed. A model has these inputs and outputs, float32 or float64, ``[B, T, …]`` in the place of ``[T, B, …]`` with
``batch_first``:

==============  ==========================  ====================================================================
input           ``[T, B, I]``               sequences, at least one of at least one step (a perceptron: ``[B, I]``)
lengths         ``[B]`` int64               with ``lengths``: valid steps of each sequence, 0 to ``T``
h_0, c_0        ``[layers x dirs, B, H]``   with ``initial_state``: the state before the first step (zero without)
output          ``[T, B, dirs·H]``          a layer's; 0 behind the end of a sequence
output          ``[B, K]``, ``[T, B, K]``   a network's, as its readout says
h_n, c_n        ``[layers x dirs, B, H]``   the state after the last valid step (a network's: with ``initial_state``)
==============  ==========================  ====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from peephole.artifact import Array
from peephole.conversion.onnx_graph import INT32, Graph, Shape
from peephole.conversion.onnx_operator import (
    check_expressible,
    operator_arrays,
    operator_attributes,
    operator_of,
    refused_fields,
)
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


class _Stack(NamedTuple):
    """What the nodes of a stack give: the last one's ``Y [T, D, B, H]``, and the final states in torch's layout."""

    raw: str
    final: dict[str, str]


class _Given(NamedTuple):
    """The inputs that a graph has, by name; ``None`` for one that it does not have."""

    input: str
    lengths: str | None
    state: dict[str, str]


def layer_model(
    spec: RecurrentSpec,
    weights: Mapping[str, Array],
    *,
    lengths: bool = False,
    initial_state: bool = False,
    batch_first: bool = False,
    dtype: Dtype | None = None,
) -> Any:
    """A stack of recurrent layers as an ONNX model.

    Args:
        spec: the stack.
        weights: its arrays under the names of :func:`peephole.weights.module_shapes`.
        lengths: whether the model takes ``lengths``.
        initial_state: whether it takes ``h_0`` (and ``c_0``).
        batch_first: whether input and output are ``[B, T, size]``; states are not affected.
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
    given = _inputs(graph, spec, lengths=lengths, initial_state=initial_state, batch_first=batch_first)
    stack = _stack(graph, spec, weights, given)
    output = _side_by_side(graph, spec, stack.raw, "features")
    if batch_first:
        output = graph.node("Transpose", [output], ["batch_first"], {"perm": [1, 0, 2]})
    graph.output("output", output, [*_axes(batch_first), spec.feature_size])
    _state_outputs(graph, spec, stack)
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
        given = _inputs(graph, body, lengths=lengths, initial_state=initial_state, batch_first=batch_first)
        stack = _stack(graph, body, weights, given, prefix="body.")
        features, axes = READOUTS[spec.readout](graph, body, stack, given, batch_first)
        graph.output("output", _head(graph, weights, features), [*axes, spec.output_size])
        if initial_state:
            _state_outputs(graph, body, stack)
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
    if weights.keys() != shapes.keys():
        missing, extra = sorted(shapes.keys() - weights.keys()), sorted(weights.keys() - shapes.keys())
        raise ArgumentError(f"{_OWNER}: weights must be those of the spec (missing {missing}, not in it {extra})")
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ArgumentError(f"{_OWNER}: {name} must have the shape {list(shape)} (got {list(weights[name].shape)})")


def _dtype(weights: Mapping[str, Array], wanted: Dtype | None) -> np.dtype[Any]:
    found = sorted({str(array.dtype) for array in weights.values()})
    if found not in (["float32"], ["float64"]):
        raise ArgumentTypeError(
            f"{_OWNER}: weights must be float32 or all float64 (got {', '.join(found)}); convert them first"
        )
    if wanted not in (None, "float32", "float64"):
        raise ArgumentError(f"{_OWNER}: dtype must be 'float32' or 'float64' (got {wanted!r})")
    return np.dtype(wanted or found[0])


def _axes(batch_first: bool) -> Shape:
    return ["batch", "time"] if batch_first else ["time", "batch"]


def _state_names(spec: RecurrentSpec) -> tuple[str, ...]:
    return ("h",) if spec.cell.cell == "rnn" else ("h", "c")


def _state_shape(spec: RecurrentSpec) -> Shape:
    return [spec.num_layers * spec.num_directions, "batch", spec.hidden_size]


def _inputs(graph: Graph, spec: RecurrentSpec, *, lengths: bool, initial_state: bool, batch_first: bool) -> _Given:
    """The inputs of a recurrent graph, the sequences brought to ``[T, B, I]``, the lengths to int32."""
    x = graph.input("input", [*_axes(batch_first), spec.input_size])
    known = graph.input("lengths", ["batch"], whole=True) if lengths else None
    names = _state_names(spec) if initial_state else ()
    state = {name: graph.input(f"{name}_0", _state_shape(spec)) for name in names}
    if batch_first:
        x = graph.node("Transpose", [x], ["time_major"], {"perm": [1, 0, 2]})
    return _Given(x, known, state)


def _stack(
    graph: Graph, spec: RecurrentSpec, weights: Mapping[str, Array], given: _Given, *, prefix: str = ""
) -> _Stack:
    """One node a layer; between two, the directions side by side."""
    layers, names = spec.num_layers, _state_names(spec)
    ends = "" if given.lengths is None else graph.node("Cast", [given.lengths], ["sequence_lens"], {"to": INT32})
    before = {name: _split(graph, spec, whole) for name, whole in given.state.items()}
    after: dict[str, list[str]] = {name: [] for name in names}
    x = raw = given.input
    for layer in range(layers):
        arrays = operator_arrays(spec, weights, layer, prefix=prefix)
        own = {name: graph.constant(f"{name}_l{layer}", array) for name, array in arrays.items()}
        states = [before[name][layer] if name in before else "" for name in names]
        inputs = [x, own["W"], own["R"], own.get("B", ""), ends, *states, own.get("P", "")]
        while not inputs[-1]:
            inputs.pop()
        finals = [f"Y_{name}_l{layer}" for name in names]
        raw = graph.node(operator_of(spec.cell), inputs, [f"Y_l{layer}", *finals], operator_attributes(spec))
        for name, final in zip(names, finals, strict=True):
            after[name].append(final)
        if layer + 1 < layers:
            x = _side_by_side(graph, spec, raw, f"features_l{layer}")
    joined = {
        name: parts[0] if layers == 1 else graph.node("Concat", parts, [f"Y_{name}"], {"axis": 0})
        for name, parts in after.items()
    }
    return _Stack(raw, _held(graph, joined, given))


def _split(graph: Graph, spec: RecurrentSpec, whole: str) -> list[str]:
    """A state of all layers as one of each."""
    if spec.num_layers == 1:
        return [whole]
    parts = [f"{whole}_l{layer}" for layer in range(spec.num_layers)]
    sizes = graph.constant("directions", [spec.num_directions] * spec.num_layers)
    graph.node("Split", [whole, sizes], parts, {"axis": 0})
    return parts


def _held(graph: Graph, final: dict[str, str], given: _Given) -> dict[str, str]:
    """An empty sequence ends in the state that it began with; the operator leaves open what it gives there."""
    if given.lengths is None or not given.state:
        return final
    empty = graph.node("Equal", [given.lengths, graph.constant("nothing", 0)], ["empty"])
    empty = graph.node("Unsqueeze", [empty, graph.constant("last_axis", [1])], ["empty_rows"])
    return {
        name: graph.node("Where", [empty, given.state[name], tensor], [f"held_{name}"])
        for name, tensor in final.items()
    }


def _side_by_side(graph: Graph, spec: RecurrentSpec, raw: str, name: str) -> str:
    """``[T, D, B, H]`` as ``[T, B, D·H]``."""
    if not spec.bidirectional:
        return graph.node("Squeeze", [raw, graph.constant("direction_axis", [1])], [name])
    turned = graph.node("Transpose", [raw], [f"{name}_turned"], {"perm": [0, 2, 1, 3]})
    shape = graph.constant("side_by_side", [0, 0, spec.feature_size])
    return graph.node("Reshape", [turned, shape], [name])


def _state_outputs(graph: Graph, spec: RecurrentSpec, stack: _Stack) -> None:
    for name, tensor in stack.final.items():
        graph.output(f"{name}_n", tensor, _state_shape(spec))


def _every(graph: Graph, spec: RecurrentSpec, stack: _Stack, given: _Given, batch_first: bool) -> tuple[str, Shape]:
    """The features of every step."""
    features = _side_by_side(graph, spec, stack.raw, "features")
    if batch_first:
        features = graph.node("Transpose", [features], ["batch_first"], {"perm": [1, 0, 2]})
    return features, _axes(batch_first)


def _last(graph: Graph, spec: RecurrentSpec, stack: _Stack, given: _Given, batch_first: bool) -> tuple[str, Shape]:
    """The features of each sequence's last valid step; step 0 of an empty one, which is 0."""
    features = _side_by_side(graph, spec, stack.raw, "features")
    if given.lengths is None:
        last = graph.node("Gather", [features, graph.constant("last_step", -1)], ["last"], {"axis": 0})
        return last, ["batch"]
    turned = graph.node("Transpose", [features], ["by_sequence"], {"perm": [1, 0, 2]})
    before = graph.node("Sub", [given.lengths, graph.constant("one", 1)], ["length_less_one"])
    at = graph.node("Max", [before, graph.constant("nothing", 0)], ["last_step"])
    at = graph.node("Unsqueeze", [at, graph.constant("last_axis", [1])], ["last_steps"])
    return graph.node("GatherND", [turned, at], ["last"], {"batch_dims": 1}), ["batch"]


READOUTS: Mapping[str, Callable[[Graph, RecurrentSpec, _Stack, _Given, bool], tuple[str, Shape]]] = MappingProxyType(
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
