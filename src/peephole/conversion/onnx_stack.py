"""A stack of recurrent layers in an ONNX graph: the sequences it is given, one node a layer, its final states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from peephole.artifact import Array
from peephole.conversion.onnx_graph import INT32, Graph, Shape
from peephole.conversion.onnx_operator import operator_arrays, operator_attributes, operator_of
from peephole.spec import EmbeddingSpec, LinearSpec, RecurrentSpec
from peephole.weights import cells, learned_state

Entry = int | EmbeddingSpec | LinearSpec
"""What a network begins with: so many features as they are, an embedding, or a linear map."""


class Layout(NamedTuple):
    """Which axes of the user's come first.

    Attributes:
        batch_first: the input and the output of every step are ``[B, T, size]``.
        batch_first_states: states are ``[B, layers x directions, size]``.
    """

    batch_first: bool = False
    batch_first_states: bool = False

    @property
    def steps(self) -> Shape:
        """The axes of a sequence before its features."""
        return ["batch", "time"] if self.batch_first else ["time", "batch"]


class Given(NamedTuple):
    """What a body begins with.

    Attributes:
        x: ``[T, B, I]``.
        lengths: ``[B]`` int64, or None.
        state: ``h`` (and ``c``), ``[layers x directions, B, H]``, empty for zeros.
    """

    x: str
    lengths: str | None
    state: dict[str, str]


class Ended(NamedTuple):
    """What a stack gives.

    Attributes:
        features: ``[T, B, D·H]`` of the last layer, 0 behind the end of a sequence.
        state: ``h`` (and ``c``), ``[layers x directions, B, H]``.
    """

    features: str
    state: dict[str, str]


def sequences(graph: Graph, layout: Layout, entry: Entry, weights: Mapping[str, Array], *, lengths: bool) -> Given:
    """Sequences as a graph takes them, brought to ``[T, B, I]`` and through what the network begins with.

    Args:
        graph: which gets the inputs ``input`` and, with ``lengths``, ``lengths``.
        layout: of the input.
        entry: the features that are taken as they are, or the embedding or linear map before the body.
        weights: of the network, for the entry.
        lengths: whether the graph takes them.
    """
    embeds = isinstance(entry, EmbeddingSpec)
    features = [] if embeds else [entry if isinstance(entry, int) else entry.input_size]
    x = graph.input("input", [*layout.steps, *features], whole=embeds)
    known = graph.input("lengths", ["batch"], whole=True) if lengths else None
    if layout.batch_first:
        x = graph.node("Transpose", [x], ["time_major"], {"perm": [1, 0] if embeds else [1, 0, 2]})
    if embeds and known is not None:  # what lies behind the end need not be a number of the embedding
        x = graph.node("Where", [_within(graph, x, known), x, graph.constant("nothing", 0)], ["within"])
    return Given(_entered(graph, entry, weights, x), known, {})


def samples(graph: Graph, entry: Entry, weights: Mapping[str, Array]) -> str:
    """Samples without time as a graph takes them, ``[B, I]``, through what the network begins with."""
    embeds = isinstance(entry, EmbeddingSpec)
    features = [] if embeds else [entry if isinstance(entry, int) else entry.input_size]
    return _entered(graph, entry, weights, graph.input("input", ["batch", *features], whole=embeds))


def _entered(graph: Graph, entry: Entry, weights: Mapping[str, Array], x: str) -> str:
    """The features that a body takes: looked up, mapped, or as they are."""
    if isinstance(entry, int):
        return x
    weight = weights["input.weight"]
    if isinstance(entry, EmbeddingSpec):
        return graph.node("Gather", [graph.constant("weight_input", weight), x], ["embedded"], {"axis": 0})
    return linear(graph, x, weight, weights["input.bias"], "input")


def linear(graph: Graph, x: str, weight: Array, bias: Array | None, name: str) -> str:
    """``W x + b`` over the last axis."""
    z = graph.node("MatMul", [x, graph.constant(f"weight_{name}", weight.T)], [f"product_{name}"])
    return z if bias is None else graph.node("Add", [z, graph.constant(f"bias_{name}", bias)], [f"z_{name}"])


def _within(graph: Graph, x: str, lengths: str) -> str:
    """``[T, B]``: whether a step lies inside of its sequence."""
    if graph.has("is_within"):
        return "is_within"
    steps = graph.node("Gather", [_sizes(graph, x), graph.constant("nothing", 0)], ["step_count"], {"axis": 0})
    every = graph.node("Range", [graph.constant("nothing", 0), steps, graph.constant("one", 1)], ["steps"])
    column = graph.node("Unsqueeze", [every, graph.constant("last_axis", [1])], ["step_column"])
    return graph.node("Less", [column, lengths], ["is_within"])


def _valid(graph: Graph, x: str, lengths: str) -> str:
    """The same, ``[T, B, 1]``."""
    if graph.has("is_valid"):
        return "is_valid"
    within = _within(graph, x, lengths)
    return graph.node("Unsqueeze", [within, graph.constant("feature_axis", [2])], ["is_valid"])


def without_padding(graph: Graph, given: Given, tensor: str, name: str, *, padding: float = 0.0) -> str:
    """The tensor ``[T, B, F]`` with another number behind the end of every sequence."""
    if given.lengths is None:
        return tensor
    mask = _valid(graph, given.x, given.lengths)
    return graph.node("Where", [mask, tensor, graph.constant(f"{name}_padding", padding)], [name])


def empty_rows(graph: Graph, lengths: str) -> str:
    """``[B, 1]``: whether a sequence has no step."""
    if graph.has("is_empty"):
        return "is_empty"
    empty = graph.node("Equal", [lengths, graph.constant("nothing", 0)], ["is_nothing"])
    return graph.node("Unsqueeze", [empty, graph.constant("last_axis", [1])], ["is_empty"])


def _sizes(graph: Graph, x: str) -> str:
    return "sizes" if graph.has("sizes") else graph.node("Shape", [x], ["sizes"])


def begin(
    graph: Graph,
    spec: RecurrentSpec,
    weights: Mapping[str, Array],
    given: Given,
    layout: Layout,
    *,
    initial_state: bool,
    prefix: str = "",
) -> Given:
    """The same with the state to begin with: an input of the graph, the learned one, or none for zeros."""
    if initial_state:
        state = {name: graph.input(f"{name}_0", _state_shape(spec, layout)) for name in _state_names(spec)}
        if layout.batch_first_states:
            state = {name: turned(graph, whole, f"{name}_0_turned") for name, whole in state.items()}
        return given._replace(state=state)
    return given._replace(state=_learned(graph, spec, weights, given.x, prefix)) if spec.learned_state else given


def turned(graph: Graph, tensor: str, name: str) -> str:
    """The tensor with its first two axes in each other's place."""
    return graph.node("Transpose", [tensor], [name], {"perm": [1, 0, 2]})


def _state_names(spec: RecurrentSpec) -> tuple[str, ...]:
    return ("h",) if spec.cell.cell == "rnn" else ("h", "c")


def _state_shape(spec: RecurrentSpec, layout: Layout) -> Shape:
    count = spec.num_layers * spec.num_directions
    return [*(["batch", count] if layout.batch_first_states else [count, "batch"]), spec.hidden_size]


def _learned(graph: Graph, spec: RecurrentSpec, weights: Mapping[str, Array], x: str, prefix: str) -> dict[str, str]:
    """The learned state for each sequence of the batch."""
    each = [learned_state(weights, spec, *cell, prefix=prefix) for cell in cells(spec)]
    batch = graph.node("Gather", [_sizes(graph, x), graph.constant("batch_axis", [1])], ["batch_size"], {"axis": 0})
    one = graph.constant("one_row", [1])
    shape = graph.node("Concat", [one, batch, one], ["one_for_each"], {"axis": 0})
    rows = {name: np.stack([state[name] for state in each])[:, None] for name in _state_names(spec)}
    return {
        name: graph.node("Expand", [graph.constant(f"learned_{name}", row), shape], [f"{name}_0_learned"])
        for name, row in rows.items()
    }


def run(graph: Graph, spec: RecurrentSpec, weights: Mapping[str, Array], given: Given, *, prefix: str = "") -> Ended:
    """One node a layer; behind it the directions side by side, and the layer's input added where it is residual."""
    names, x = _state_names(spec), given.x
    if spec.residual:
        x = without_padding(graph, given, x, "without_padding")
    ends = "" if given.lengths is None else graph.node("Cast", [given.lengths], ["sequence_lens"], {"to": INT32})
    before = {name: _split(graph, spec, whole) for name, whole in given.state.items()}
    for layer in range(spec.num_layers):
        arrays = operator_arrays(spec, weights, layer, prefix=prefix)
        own = {name: graph.constant(f"{name}_l{layer}", array) for name, array in arrays.items()}
        states = [before[name][layer] if name in before else "" for name in names]
        inputs = [x, own["W"], own["R"], own.get("B", ""), ends, *states, own.get("P", "")]
        while not inputs[-1]:
            inputs.pop()
        outputs = [f"Y_l{layer}", *(f"Y_{name}_l{layer}" for name in names)]
        raw = graph.node(operator_of(spec.cell), inputs, outputs, operator_attributes(spec))
        features = _side_by_side(graph, spec, raw, f"features_l{layer}")
        x = graph.node("Add", [features, x], [f"sum_l{layer}"]) if spec.adds_input(layer) else features
    return Ended(x, _held(graph, {name: _joined(graph, spec, f"Y_{name}") for name in names}, given))


def _split(graph: Graph, spec: RecurrentSpec, whole: str) -> list[str]:
    """A state of all layers as one of each."""
    if spec.num_layers == 1:
        return [whole]
    parts = [f"{whole}_l{layer}" for layer in range(spec.num_layers)]
    sizes = graph.constant("directions", [spec.num_directions] * spec.num_layers)
    graph.node("Split", [whole, sizes], parts, {"axis": 0})
    return parts


def _joined(graph: Graph, spec: RecurrentSpec, name: str) -> str:
    """The final states of each layer as one of all."""
    parts = [f"{name}_l{layer}" for layer in range(spec.num_layers)]
    return parts[0] if len(parts) == 1 else graph.node("Concat", parts, [name], {"axis": 0})


def _held(graph: Graph, final: dict[str, str], given: Given) -> dict[str, str]:
    """An empty sequence ends in the state that it began with; the operator leaves open what it gives there."""
    if given.lengths is None or not given.state:
        return final
    empty = empty_rows(graph, given.lengths)
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


def state_outputs(graph: Graph, spec: RecurrentSpec, ended: Ended, layout: Layout) -> None:
    """Make the final states outputs of the graph."""
    for name, tensor in ended.state.items():
        given = turned(graph, tensor, f"{name}_turned") if layout.batch_first_states else tensor
        graph.output(f"{name}_n", given, _state_shape(spec, layout))
