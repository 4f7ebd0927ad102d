"""ONNX Runtime's LSTM operator, an implementation of others, gives our numbers."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from peephole.nn import LSTM
from peephole.weights import row_slices, suffix
from tests.nn.cases import close, layer, noise, state_of

_make = cast(Any, helper)
_float, _int = cast(int, TensorProto.FLOAT), cast(int, TensorProto.INT32)
_ONNX_ROWS = ("i", "o", "f", "g")
_ONNX_PEEPHOLES = ("i", "o", "f")


def _rows(made: LSTM, stacked: Tensor, order: tuple[str, ...]) -> Tensor:
    """Rows in ONNX's order; a coupled forget gate has none of its own, what stands there is not looked at."""
    at = row_slices(made.spec.cell, made.hidden_size)
    return torch.cat(
        [stacked[at[name]] if name in at else torch.zeros(made.hidden_size, *stacked.shape[1:]) for name in order]
    )


def _peepholes(made: LSTM, behind: str) -> Tensor:
    rows = dict(zip(made.spec.cell.gates, made.get_parameter("weight_peephole" + behind), strict=True))
    return torch.cat([rows.get(name, torch.zeros(made.hidden_size)) for name in _ONNX_PEEPHOLES])


def _weights(made: LSTM) -> dict[str, Tensor]:
    """``W, R, B, P`` of the operator, one row of each per direction."""
    parts: dict[str, list[Tensor]] = {"W": [], "R": [], "B": []}
    for direction in range(made.spec.num_directions):
        behind = suffix(0, direction)
        parts["W"].append(_rows(made, made.get_parameter("weight_ih" + behind), _ONNX_ROWS))
        parts["R"].append(_rows(made, made.get_parameter("weight_hh" + behind), _ONNX_ROWS))
        biases = [_rows(made, made.get_parameter(name + behind), _ONNX_ROWS) for name in ("bias_ih", "bias_hh")]
        parts["B"].append(torch.cat(biases))
        if made.spec.cell.peepholes:
            parts.setdefault("P", []).append(_peepholes(made, behind))
    return {name: torch.stack(each) for name, each in parts.items()}


def _run_onnx(made: LSTM, x: Tensor, state: tuple[Tensor, Tensor], lengths: list[int]) -> list[Tensor]:
    """One LSTM node over the same weights, in ONNX Runtime."""
    arrays = {name: q.detach().numpy() for name, q in _weights(made).items()}
    arrays |= {"h": state[0].numpy(), "c": state[1].numpy(), "lengths": np.array(lengths, np.int32), "x": x.numpy()}
    node = _make.make_node(
        "LSTM",
        ["x", "W", "R", "B", "lengths", "h", "c", "P" if "P" in arrays else ""],
        ["Y", "Y_h", "Y_c"],
        hidden_size=made.hidden_size,
        direction="bidirectional" if made.bidirectional else "forward",
        input_forget=int(made.spec.cell.coupled),
    )
    graph = _make.make_graph(
        [node],
        "lstm",
        [
            _make.make_tensor_value_info(name, _int if name == "lengths" else _float, q.shape)
            for name, q in arrays.items()
        ],
        [_make.make_tensor_value_info(name, _float, None) for name in ("Y", "Y_h", "Y_c")],
    )
    model = _make.make_model(graph, opset_imports=[_make.make_opsetid("", 14)], ir_version=8)
    session = cast(Any, onnxruntime.InferenceSession)(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [torch.as_tensor(q) for q in cast("list[NDArray[Any]]", session.run(None, arrays))]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 2, 4]], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", ["lstm", "peephole", "coupled", "coupled_peephole"])
def test_onnx_runtime_gives_the_same(name: str, lengths: list[int], bidirectional: bool) -> None:
    made = layer(name, bidirectional=bidirectional, dtype=torch.float32)
    assert isinstance(made, LSTM)
    x, state = noise(5, 3, 4, dtype=torch.float32), state_of(made, 3)
    y, h_n, c_n = _run_onnx(made, x, state, lengths)
    with torch.no_grad():
        output, final = made(x, state, lengths=lengths)
    close([output, *final], [y.transpose(1, 2).flatten(2), h_n, c_n], "nn_onnx_float32")
