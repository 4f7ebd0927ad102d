"""What PyTorch's own tests expect to be refused: torch refuses it, and we do, in one sentence.

`docs/torch_behaviours.md` names the test of PyTorch behind each of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from peephole import nn
from peephole.errors import PeepholeError
from tests.nn.beside import CELLS, LAYERS, hx_of, input_of, mapped, pair
from tests.nn.cases import tensors

REFUSED = (RuntimeError, ValueError, TypeError, AttributeError, IndexError)  # the last two by accident, in torch
BAD = 7


def _both_refuse(theirs: Callable[[], object], ours: Callable[[], object], *, sentence: str = "") -> None:
    with pytest.raises(REFUSED):
        theirs()
    with pytest.raises(PeepholeError, match=sentence) as caught:
        ours()
    assert "\n" not in str(caught.value)


def _resized(shape: torch.Size, axis: int) -> torch.Tensor:
    sizes = list(shape)
    sizes[axis] = BAD
    return torch.zeros(sizes, dtype=torch.float64)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_size": 0},
        {"input_size": 0},
        {"num_layers": 0},
        {"hidden_size": 5.0},
        {"input_size": "3"},
        {"bias": 0},
        {"bias": 1},
        {"bias": "True"},
        {"batch_first": 1},
        {"dropout": 2},
        {"dropout": -0.1},
        {"dropout": True},
    ],
    ids=str,
)
def test_arguments_that_mean_nothing_are_refused(kind: str, arguments: dict[str, Any]) -> None:
    chosen: dict[str, Any] = {"input_size": 3, "hidden_size": 5, **arguments}
    (name,) = arguments
    _both_refuse(
        lambda: getattr(torch.nn, kind)(**chosen), lambda: getattr(nn, kind)(**chosen), sentence=f"{kind}: {name} must"
    )


def test_a_projection_that_is_no_smaller_or_negative_is_refused() -> None:
    for size in (5, 6, -1):
        _both_refuse(
            lambda size=size: torch.nn.LSTM(3, 5, proj_size=size),
            lambda size=size: nn.LSTM(3, 5, proj_size=size),
            sentence="proj_size must be",
        )


def test_only_the_lstm_has_a_projection() -> None:
    arguments: Any = {"proj_size": 10}
    with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
        torch.nn.RNN(30, 20, 2, **arguments)
    with pytest.raises(TypeError, match="unexpected keyword argument 'proj_size'"):
        nn.RNN(30, 20, 2, **arguments)


def test_a_nonlinearity_that_is_none_is_refused() -> None:
    unknown: Any = "sine"
    for theirs, ours in (
        (lambda: torch.nn.RNN(3, 5, nonlinearity=unknown), lambda: nn.RNN(3, 5, nonlinearity=unknown)),
        (
            lambda: torch.nn.RNNCell(3, 5, nonlinearity=unknown)(torch.zeros(2, 3)),
            lambda: nn.RNNCell(3, 5, nonlinearity=unknown),
        ),
    ):
        _both_refuse(theirs, ours, sentence="nonlinearity must be one of")


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
def test_states_of_wrong_shapes_are_refused_by_name(kind: str, axis: int) -> None:
    more = {"proj_size": 2} if kind == "projected" else {}
    theirs, ours = pair("LSTM" if kind == "projected" else kind, 4, 6, 2, **more)
    x, hx = input_of("LSTM"), hx_of(ours)
    good = tensors(hx)
    for at, name in enumerate(("h_0", "c_0")[: len(good)]):
        parts = [_resized(q.shape, axis) if at == place else q for place, q in enumerate(good)]
        wrong = tuple(parts) if len(parts) > 1 else parts[0]
        _both_refuse(lambda wrong=wrong: theirs(x, wrong), lambda wrong=wrong: ours(x, wrong), sentence=f"{name} must")


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
def test_inputs_of_wrong_shapes_are_refused(kind: str, axis: int) -> None:
    more = {"proj_size": 2} if kind == "projected" else {}
    theirs, ours = pair("LSTM" if kind == "projected" else kind, 4, 6, 2, **more)
    x, hx = _resized(input_of("LSTM").shape, axis), hx_of(ours)
    _both_refuse(lambda: theirs(x, hx), lambda: ours(x, hx), sentence="input_size=4|h_0 must have the shape")


@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
def test_batch_first_layers_refuse_states_and_features_of_another_size(kind: str) -> None:
    more = {"proj_size": 2} if kind == "projected" else {}
    theirs, ours = pair("LSTM" if kind == "projected" else kind, 4, 6, batch_first=True, **more)
    x, wrong = torch.zeros(2, 3, 4, dtype=torch.float64), mapped(lambda q: _resized(q.shape, 2), hx_of(ours, 2))
    _both_refuse(lambda: theirs(x, wrong), lambda: ours(x, wrong), sentence=r"h_0 must have the shape")
    _both_refuse(lambda: theirs(x[..., :3]), lambda: ours(x[..., :3]), sentence="the last axis of input")


@pytest.mark.parametrize("kind", LAYERS)
def test_a_batched_state_beside_a_single_sequence_and_the_reverse_are_refused(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x, hx = input_of(kind), hx_of(ours)
    alone = mapped(lambda q: q[:, 0], hx)
    _both_refuse(lambda: theirs(x[:, 0], hx), lambda: ours(x[:, 0], hx), sentence="h_0 must have the shape")
    _both_refuse(lambda: theirs(x, alone), lambda: ours(x, alone), sentence="h_0 must have the shape")


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_inputs_of_wrong_rank_are_refused(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x = input_of(kind)
    wrong = [x[None, None], x[0, 0] if kind in LAYERS else x[None]]
    for one in wrong:
        _both_refuse(lambda one=one: theirs(one), lambda one=one: ours(one), sentence=f"{kind}: input must be")


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_inputs_of_another_dtype_are_refused(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x = input_of(kind).float()
    _both_refuse(lambda: theirs(x), lambda: ours(x), sentence=r"input must have the dtype .*\.to\(torch.float64\)")


@pytest.mark.parametrize("kind", LAYERS)
def test_tensors_of_two_devices_are_refused(kind: str) -> None:
    """PyTorch's test has two GPUs; here the second device is torch's own ``meta``, which torch itself lets pass."""
    _, ours = pair(kind, 4, 6)
    x, hx = input_of(kind), hx_of(ours)
    with pytest.raises(PeepholeError, match="input must be on the device of the parameters, cpu"):
        ours(x.to("meta"))
    with pytest.raises(PeepholeError, match="h_0 must be on the device of the parameters, cpu"):
        ours(x, mapped(lambda q: q.to("meta"), hx))
    with pytest.raises(PeepholeError, match="input must be on the device of the parameters, meta"):
        ours.to("meta")(x)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_batch_with_a_state_of_another_size_is_refused(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    packed, hx = pack_padded_sequence(input_of(kind), torch.tensor([5, 4, 2])), hx_of(ours, 2)
    _both_refuse(lambda: theirs(packed, hx), lambda: ours(packed, hx), sentence=r"h_0 must have the shape \(1, 3, 6\)")


@pytest.mark.parametrize(
    ("shape", "states"),
    [
        ((3, 11), [(3, 20), (3, 20)]),
        ((3, 1), [(3, 20), (3, 20)]),
        ((3, 10), [(3, 21), (3, 20)]),
        ((3, 10), [(3, 20), (3, 21)]),
        ((3, 10), [(5, 20), (5, 20)]),
        ((3, 10), [(1, 20), (3, 20)]),
        ((3, 10), [(3, 20), (1, 20)]),
        ((3, 10), [(3, 1), (3, 20)]),
        ((3, 10), [(3, 20), (3, 1)]),
        ((3, 10), [(3, 1, 1, 20), (3, 1, 1, 20)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", CELLS)
def test_cells_do_not_broadcast(kind: str, shape: tuple[int, ...], states: list[tuple[int, ...]]) -> None:
    theirs, ours = pair(kind, 10, 20)
    x = torch.zeros(shape, dtype=torch.float64)
    parts = [torch.zeros(one, dtype=torch.float64) for one in states]
    if kind == "RNNCell" and parts[0].shape == (3, 20) and shape == (3, 10):
        parts.reverse()  # it has no second state: the first is to be the wrong one
    hx = tuple(parts) if kind == "LSTMCell" else parts[0]
    _both_refuse(lambda: theirs(x, hx), lambda: ours(x, hx), sentence=f"{kind}: ")


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_of_no_units_is_refused_where_torch_has_one(kind: str) -> None:
    assert getattr(torch.nn, kind)(10, 0).hidden_size == 0
    with pytest.raises(PeepholeError, match=f"{kind}: hidden_size must be at least 1"):
        getattr(nn, kind)(10, 0)


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_the_states_of_an_lstm_and_of_an_rnn_are_not_mistaken(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x, hx = input_of(kind), hx_of(ours)
    wrong = hx[0] if kind.startswith("LSTM") else (hx, hx)
    _both_refuse(lambda: theirs(x, wrong), lambda: ours(x, wrong), sentence=f"{kind}: hx must be the t")
