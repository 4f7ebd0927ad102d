"""ONNX Runtime's LSTM operator over our weights, called as quickly as it can be: on bound memory, without copies."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from peephole.bench.problem import Entrant, Problem
from peephole.conversion.onnx_graph import Graph
from peephole.conversion.onnx_operator import operator_arrays, operator_attributes

_Array = np.ndarray[Any, Any]


def onnxruntime_entrant(problem: Problem, threads: int) -> Entrant:
    """One LSTM node over a whole sequence, or one step of it with a linear head, the state kept in bound memory.

    Raises:
        MissingDependencyError: where onnx is not installed.
        ImportError: where onnxruntime is not installed.
    """
    session = _session(problem, threads)
    if problem.case.work == "step":
        return _stepping(problem, session)
    T, B, H = problem.x.shape
    x, y = _value(problem.x.detach().numpy()), _value(np.zeros((T, 1, B, H), np.float32))
    zero = np.zeros((1, B, H), np.float32)
    bound = _bound(session, {"x": x, "h": _value(zero), "c": _value(zero)}, {"Y": y})

    def call() -> None:
        session.run_with_iobinding(bound.binding)

    def output() -> Tensor:
        call()
        return torch.as_tensor(y.numpy()).squeeze(1).clone()

    return Entrant(call=call, output=output, pool="onnxruntime")


def _stepping(problem: Problem, session: Any) -> Entrant:
    """Two bindings take turns, so that the state that one writes is the one that the other reads."""
    _, B, H = problem.x.shape
    given = problem.x.numpy()
    x, y = _value(given.copy()), _value(np.zeros((B, 1), np.float32))
    states = [{name: _value(np.zeros((1, B, H), np.float32)) for name in "hc"} for _ in range(2)]
    turns = [
        _bound(session, {"x": x, **old}, {"y": y, **{f"Y_{name}": value for name, value in new.items()}})
        for old, new in (states, states[::-1])
    ]

    def call() -> None:
        x.update_inplace(given)
        session.run_with_iobinding(turns[0].binding)
        turns.reverse()

    def output() -> Tensor:
        call()
        return torch.as_tensor(y.numpy()).clone()

    return Entrant(call=call, output=output, pool="onnxruntime")


def _session(problem: Problem, threads: int) -> Any:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # whoever is timed next wants the cores
    return onnxruntime.InferenceSession(_model(problem), options, providers=["CPUExecutionProvider"])


def _model(problem: Problem) -> bytes:
    """The graph: the LSTM, and in a step the head behind its last ``h``; nothing that need not be timed."""
    T, B, H = problem.x.shape
    step, spec = problem.case.work == "step", problem.layer.spec
    graph = Graph("bench", np.dtype(np.float32))
    weights = {name: weight.detach().numpy() for name, weight in problem.layer.named_parameters()}
    own = {name: graph.constant(name, array) for name, array in operator_arrays(spec, weights, 0).items()}
    x, h, c = (graph.input(name, shape) for name, shape in (("x", (T, B, H)), ("h", (1, B, H)), ("c", (1, B, H))))
    inputs = [x, own["W"], own["R"], own["B"], "", h, c, *([own["P"]] if "P" in own else [])]
    graph.node("LSTM", inputs, ["", "Y_h", "Y_c"] if step else ["Y"], operator_attributes(spec))
    if step:
        features = graph.node("Squeeze", ["Y_h", graph.constant("axis", [0])], ["features"])
        V, d = (
            graph.constant(name, q.detach().numpy())
            for name, q in (("V", problem.head.weight), ("d", problem.head.bias))
        )
        y = graph.node("Gemm", [features, V, d], ["y"], {"transB": 1})
        for name, shape in ((y, (B, problem.head.out_features)), ("Y_h", (1, B, H)), ("Y_c", (1, B, H))):
            graph.output(name, name, shape)
    else:
        graph.output("Y", "Y", (T, 1, B, H))
    return graph.model("lstm", {}).SerializeToString()


def _value(array: _Array) -> Any:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


class _Bound(NamedTuple):
    """Where a session reads and writes; a binding does not keep the arrays alive that its values point into."""

    binding: Any
    kept: tuple[Any, ...]


def _bound(session: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> _Bound:
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    return _Bound(binding, (*inputs.values(), *outputs.values()))
