"""ONNX Runtime's LSTM operator over our weights, called as quickly as it can be: on bound memory, without copies."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from peephole.bench.problem import Entrant, Problem
from peephole.weights import row_slices

_Array = np.ndarray[Any, Any]
_OPSET, _IR = 14, 8


def onnxruntime_entrant(problem: Problem, threads: int) -> Entrant:
    """One LSTM node over a whole sequence, or one step of it with a linear head, the state kept in bound memory.

    Raises:
        ImportError: where onnx or onnxruntime is not installed.
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
    """The graph: the LSTM, and in a step the head behind its last ``h``."""
    helper: Any = importlib.import_module("onnx.helper")
    numpy_helper: Any = importlib.import_module("onnx.numpy_helper")
    number: int = importlib.import_module("onnx").TensorProto.FLOAT
    T, B, H = problem.x.shape
    step = problem.case.work == "step"
    tensors = _weights(problem)
    behind = ["P"] if "P" in tensors else []
    nodes = [
        helper.make_node(
            "LSTM",
            ["x", "W", "R", "B", "", "h", "c", *behind],
            ["", "Y_h", "Y_c"] if step else ["Y"],
            hidden_size=H,
            input_forget=int(problem.case.cell.coupled),
        )
    ]
    if step:
        tensors |= {"axis": np.zeros(1, np.int64), "V": problem.head.weight.detach().numpy()}
        tensors["d"] = problem.head.bias.detach().numpy()
        nodes.append(helper.make_node("Squeeze", ["Y_h", "axis"], ["features"]))
        nodes.append(helper.make_node("Gemm", ["features", "V", "d"], ["y"], transB=1))
    given = {"x": (T, B, H), "h": (1, B, H), "c": (1, B, H)}
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info(name, number, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, number, None) for name in (("y", "Y_h", "Y_c") if step else ("Y",))],
        initializer=[numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    return model.SerializeToString()


def _weights(problem: Problem) -> dict[str, _Array]:
    """``W, R, B, P`` of the operator, whose gates stand in the order ``i, o, f, g``."""
    weights = {name: weight.detach().numpy() for name, weight in problem.layer.named_parameters()}
    cell, H = problem.case.cell, problem.case.shape.hidden

    def rows(name: str) -> _Array:
        stacked, at = weights[name], row_slices(cell, H)
        empty = np.zeros((H, *stacked.shape[1:]), stacked.dtype)  # a coupled forget gate: not looked at
        return np.concatenate([stacked[at[gate]] if gate in at else empty for gate in ("i", "o", "f", "g")])

    found = {"W": rows("weight_ih_l0"), "R": rows("weight_hh_l0")}
    found["B"] = np.concatenate([rows("bias_ih_l0"), rows("bias_hh_l0")])
    if cell.peepholes:
        by_gate = dict(zip(cell.gates, weights["weight_peephole_l0"], strict=True))
        found["P"] = np.concatenate([by_gate.get(gate, np.zeros(H, np.float32)) for gate in ("i", "o", "f")])
    return {name: array[None] for name, array in found.items()}


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
