"""A stack of recurrent layers in an ONNX graph: its inputs, one node a layer, and its final states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from peephole.artifact import Array
from peephole.conversion.onnx_graph import INT32, Graph, Shape
from peephole.conversion.onnx_operator import operator_arrays, operator_attributes, operator_of
from peephole.spec import RecurrentSpec
from peephole.weights import cells, learned_state


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
    """What a stack begins with.

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
        raw: ``Y [T, D, B, H]`` of the last layer.
        state: ``h`` (and ``c``), ``[layers x directions, B, H]``.
    """

    raw: str
    state: dict[str, str]


def begin(
    graph: Graph,
    spec: RecurrentSpec,
    weights: Mapping[str, Array],
    layout: Layout,
    *,
    lengths: bool,
    initial_state: bool,
    prefix: str = "",
) -> Given:
    """The inputs of a recurrent graph, brought into the operator's layout; the learned state where none is given."""
    x = graph.input("input", [*layout.steps, spec.input_size])
    known = graph.input("lengths", ["batch"], whole=True) if lengths else None
    names = _state_names(spec)
    state: dict[str, str] = {}
    if initial_state:
        state = {name: graph.input(f"{name}_0", _state_shape(spec, layout)) for name in names}
        if layout.batch_first_states:
            state = {name: turned(graph, given, f"{name}_0_turned") for name, given in state.items()}
    if layout.batch_first:
        x = turned(graph, x, "time_major")
    if spec.learned_state and not initial_state:
        state = _learned(graph, spec, weights, x, prefix)
    return Given(x, known, state)


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
    sizes = graph.node("Shape", [x], ["sizes"])
    batch = graph.node("Gather", [sizes, graph.constant("batch_axis", [1])], ["batch_size"], {"axis": 0})
    one = graph.constant("one_row", [1])
    shape = graph.node("Concat", [one, batch, one], ["one_for_each"], {"axis": 0})
    rows = {name: np.stack([state[name] for state in each])[:, None] for name in _state_names(spec)}
    return {
        name: graph.node("Expand", [graph.constant(f"learned_{name}", row), shape], [f"{name}_0_learned"])
        for name, row in rows.items()
    }


def run(graph: Graph, spec: RecurrentSpec, weights: Mapping[str, Array], given: Given, *, prefix: str = "") -> Ended:
    """One node a layer; between two, the directions side by side."""
    names, x, raw = _state_names(spec), given.x, ""
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
        if layer + 1 < spec.num_layers:
            x = side_by_side(graph, spec, raw, f"features_l{layer}")
    return Ended(raw, _held(graph, {name: _joined(graph, spec, f"Y_{name}") for name in names}, given))


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
    empty = graph.node("Equal", [given.lengths, graph.constant("nothing", 0)], ["empty"])
    empty = graph.node("Unsqueeze", [empty, graph.constant("last_axis", [1])], ["empty_rows"])
    return {
        name: graph.node("Where", [empty, given.state[name], tensor], [f"held_{name}"])
        for name, tensor in final.items()
    }


def side_by_side(graph: Graph, spec: RecurrentSpec, raw: str, name: str) -> str:
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
