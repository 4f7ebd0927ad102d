"""What the head of a network sees of features over time, in an ONNX graph (:mod:`peephole.equations.readout`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from peephole.conversion.onnx_graph import Graph, Shape
from peephole.conversion.onnx_stack import Given, Layout, empty_rows, turned, without_padding


def _every(graph: Graph, features: str, given: Given, layout: Layout) -> tuple[str, Shape]:
    return turned(graph, features, "batch_first") if layout.batch_first else features, layout.steps


def _last(graph: Graph, features: str, given: Given, layout: Layout) -> tuple[str, Shape]:
    """Those of the last valid step; step 0 of an empty sequence, which is 0."""
    if given.lengths is None:
        last = graph.node("Gather", [features, graph.constant("last_step", -1)], ["last"], {"axis": 0})
        return last, ["batch"]
    before = graph.node("Sub", [given.lengths, graph.constant("one", 1)], ["length_less_one"])
    at = graph.node("Max", [before, graph.constant("nothing", 0)], ["last_step"])
    at = graph.node("Unsqueeze", [at, graph.constant("last_axis", [1])], ["last_steps"])
    by_sequence = turned(graph, features, "by_sequence")
    return graph.node("GatherND", [by_sequence, at], ["last"], {"batch_dims": 1}), ["batch"]


def _mean(graph: Graph, features: str, given: Given, layout: Layout) -> tuple[str, Shape]:
    """The mean over the valid steps; behind them the features are 0 already."""
    if given.lengths is None:
        return graph.node("ReduceMean", [features], ["mean"], {"axes": [0], "keepdims": 0}), ["batch"]
    total = graph.node("ReduceSum", [features, graph.constant("time_axis", [0])], ["total"], {"keepdims": 0})
    counts = graph.node("Max", [given.lengths, graph.constant("one", 1)], ["counts"])
    counts = graph.node("Unsqueeze", [counts, graph.constant("last_axis", [1])], ["count_column"])
    return graph.node("Div", [total, graph.floating(counts, "divisor")], ["mean"]), ["batch"]


def _max(graph: Graph, features: str, given: Given, layout: Layout) -> tuple[str, Shape]:
    """The maximum over the valid steps, feature by feature; 0 for an empty sequence."""
    bounded = without_padding(graph, given, features, "bounded", padding=-math.inf)
    found = graph.node("ReduceMax", [bounded], ["maximum"], {"axes": [0], "keepdims": 0})
    if given.lengths is None:
        return found, ["batch"]
    empty = empty_rows(graph, given.lengths)
    return graph.node("Where", [empty, graph.constant("zero", 0.0), found], ["maximum_or_zero"]), ["batch"]


READOUTS: Mapping[str, Callable[[Graph, str, Given, Layout], tuple[str, Shape]]] = MappingProxyType(
    {"last": _last, "mean": _mean, "max": _max, "every": _every}
)
"""By its name: features ``[T, B, F]``, 0 behind the end, to what the head sees and the axes before its features."""
