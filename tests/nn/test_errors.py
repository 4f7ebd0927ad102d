"""Wrong use is told in one sentence that says what came and what to do."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from peephole.errors import ArgumentError, ArgumentTypeError, PeepholeError
from peephole.nn import LSTM, MLP, RNN
from peephole.spec import CellSpec
from tests.nn.cases import noise, set_seed

X = noise(5, 3, 4, dtype=torch.float32)


def _lstm(**arguments: Any) -> LSTM:
    set_seed(0)
    return LSTM(4, 6, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hidden_size": 10, "cells_per_block": 4},
            r"LSTM: hidden_size must be a multiple .*got 10 and 4.*choose 8 or 12",
        ),
        ({"input_size": 0}, "LSTM: input_size must be at least 1"),
        ({"num_layers": -1}, "LSTM: num_layers must be at least 1"),
        ({"dropout": 1.5}, r"LSTM: dropout must be a probability in \[0, 1\] \(got 1.5\)"),
        ({"dropout": True}, "LSTM: dropout must be a probability"),
        ({"proj_size": 6}, "LSTM: proj_size must be smaller than hidden_size"),
        ({"variant": "vanilla"}, "unknown variant 'vanilla'; choose one of lstm, "),
        ({"variant": "rnn"}, r"LSTM: variant must be a cell of the LSTM family .*use peephole.nn.RNN"),
        ({"coupled": True, "forget_gate": False}, "coupled means f = 1 - i"),
        ({"zoneout_cell": 1.0}, "zoneout_cell must be a probability"),
        ({"input_activation": "softmax"}, "input_activation must be one of tanh, logistic, relu, identity"),
    ],
)
def test_arguments_that_break_a_rule_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cast(Any, LSTM)(**{"input_size": 4, "hidden_size": 6, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 6.0}, "LSTM: hidden_size must be a whole number"),
        ({"num_layers": True}, "LSTM: num_layers must be a whole number"),
        ({"bias": 1}, "LSTM: bias must be True or False"),
        ({"batch_first": "yes"}, "LSTM: batch_first must be True or False"),
        ({"variant": 3}, "LSTM: variant must be a name or a CellSpec"),
        ({"dtype": torch.int64}, "LSTM: dtype must be a floating dtype"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        cast(Any, LSTM)(**{"input_size": 4, "hidden_size": 6, **arguments})


def test_an_rnn_refuses_what_it_does_not_have() -> None:
    with pytest.raises(ArgumentError, match="RNN: nonlinearity must be one of"):
        RNN(4, 6, nonlinearity=cast(Any, "sine"))
    with pytest.raises(ArgumentError, match=r"RNN: variant must be a cell of the RNN family .*use peephole.nn.LSTM"):
        RNN(4, 6, variant=CellSpec())
    with pytest.raises(ArgumentTypeError, match="an RNN has no cell"):
        RNN(4, 6)(X, (X, X))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[0, 0], r"LSTM: input must be \[time, batch, features\]"),
        (X[None], r"got shape \(1, 5, 3, 4\)"),
        (X[..., :3], r"input_size=4 \(got shape \(5, 3, 3\)\); pass that many features"),
        (X.permute(0, 2, 1), "axis 1 has that size: transpose the input"),
        (X.double(), r"LSTM: input must have the dtype of the parameters, torch.float32 \(got torch.float64\)"),
        (X.int(), "input must have the dtype of the parameters"),
        (X.to("meta"), "LSTM: input must be on the device of the parameters, cpu"),
        (X.numpy(), r"input must be a tensor or a PackedSequence \(got ndarray\).*torch.from_numpy"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: Any, message: str) -> None:
    with pytest.raises(PeepholeError, match=message):
        _lstm()(x)


@pytest.mark.parametrize(
    ("hx", "message"),
    [
        (torch.zeros(1, 3, 6), "LSTM: hx must be the tuple"),
        ((torch.zeros(1, 3, 6),), r"hx must be the tuple \(h_0, c_0\) \(got 1 tensors\)"),
        ((torch.zeros(1, 3, 6), torch.zeros(1, 3, 5)), r"c_0 must have the shape \(1, 3, 6\) \(got \(1, 3, 5\)\)"),
        ((torch.zeros(1, 5, 6), torch.zeros(1, 5, 6)), "its batch is the input's time axis: swap"),
        (
            (torch.zeros(3, 1, 6), torch.zeros(3, 1, 6)),
            r"keep the layers first even with batch_first: transpose\(0, 1\)",
        ),
        ((torch.zeros(3, 6), torch.zeros(3, 6)), r"h_0 must have the shape \(1, 3, 6\)"),
        ((torch.zeros(1, 3, 6).double(), torch.zeros(1, 3, 6)), "h_0 must have the dtype of the parameters"),
        ((torch.zeros(1, 3, 6), None), "c_0 must be a tensor"),
        ((torch.zeros(1, 3, 6, device="meta"), torch.zeros(1, 3, 6)), "h_0 must be on the device"),
    ],
)
def test_states_that_do_not_fit_are_refused(hx: Any, message: str) -> None:
    with pytest.raises(PeepholeError, match=message):
        _lstm()(X, hx)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 6, 1], r"between 0 and the number of time steps, 5 \(got 6 at position 1\)"),
        ([5, -1, 1], r"got -1 at position 1"),
        ([5, 5], r"one number for each of the 3 sequences \(got shape \(2,\)\)$"),
        ([5, 5, 5, 5, 5], "that is the number of time steps: swap"),
        ([], r"got shape \(0,\)"),
        (5, r"got shape \(\)"),
        ([1.0, 2.0, 3.0], r"lengths must be whole numbers \(got list\)"),
        (torch.tensor([1.0, 2.0, 3.0]), r"whole numbers \(got Tensor of torch.float32\)"),
        (np.array([True, True, False]), r"whole numbers \(got ndarray of bool\)"),
        (["a", "b", "c"], "lengths must be whole numbers"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths: Any, message: str) -> None:
    with pytest.raises(PeepholeError, match=message):
        _lstm()(X, lengths=lengths)


@pytest.mark.parametrize("lengths", [[5, 0, 2], (5, 0, 2), np.array([5, 0, 2], np.int32), torch.tensor([5, 0, 2])])
def test_lengths_are_taken_as_list_tuple_array_or_tensor(lengths: Any) -> None:
    made = _lstm()
    assert torch.equal(made(X, lengths=lengths)[0], made(X, lengths=[5, 0, 2])[0])


def test_parameters_that_were_exchanged_for_others_never_reach_the_kernels() -> None:
    for wrong in (torch.zeros(24, 5), torch.zeros(24, 6, dtype=torch.float64), torch.zeros(24, 6, device="meta")):
        made = _lstm()
        made.weight_hh_l0 = torch.nn.Parameter(wrong)
        with pytest.raises(
            ArgumentError, match=r"peephole.nn: R must be of shape \(24, 6\), torch.float32, on the CPU"
        ):
            made(X)


def test_lengths_beside_a_packed_sequence_are_refused() -> None:
    packed = pack_padded_sequence(X, torch.tensor([5, 4, 4]))
    with pytest.raises(ArgumentError, match="PackedSequence has its own"):
        cast(Any, _lstm())(packed, lengths=[5, 4, 4])


def test_a_state_dict_that_does_not_fit_is_refused_by_name() -> None:
    made = _lstm(variant="peephole")
    with pytest.raises(RuntimeError, match="weight_peephole_l0"):
        made.load_state_dict(_lstm().state_dict())


def test_a_perceptron_refuses_what_does_not_fit() -> None:
    with pytest.raises(ArgumentTypeError, match=r"MLP: hidden_sizes must be a sequence \(got 3\); pass \(3,\)"):
        MLP(4, cast(Any, 3))
    with pytest.raises(ArgumentError, match="at least one layer"):
        MLP(4, ())
    with pytest.raises(ArgumentError, match="MLPSpec: activation must be one of"):
        MLP(4, (3,), cast(Any, "softmax"))
    with pytest.raises(ArgumentError, match=r"MLP: masks\[0\] must have the shape \(3, 4\)"):
        MLP(4, (3,), masks=[torch.ones(4, 3)])
    with pytest.raises(ArgumentError, match=r"MLP: masks\[0\] must hold zeros and ones"):
        MLP(4, (3,), masks=[torch.full((3, 4), 0.5)])
    with pytest.raises(ArgumentError, match="MLP: masks must name every layer"):
        MLP(4, (3, 2), masks=[None])
    with pytest.raises(ArgumentError, match=r"MLP: the last axis of input must be input_size=4"):
        MLP(4, (3,))(X[..., :3])
    with pytest.raises(ArgumentTypeError, match="MLP: input must have the dtype"):
        MLP(4, (3,))(X.double())
