"""Wrong use is told in one sentence that says what came and what to do."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from peephole.errors import ArgumentError, ArgumentTypeError, PeepholeError
from peephole.nn import LSTM, MLP, RNN, EncoderDecoder, LSTMCell, Network, RNNCell
from peephole.spec import CellSpec, EncoderDecoderSpec, MLPSpec, NetworkSpec, RecurrentSpec, body_spec
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
        ([1.0, 2.0, 3.0], r"lengths must be whole numbers \(got list of float\)"),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "peephol"}, r"LSTM: unknown variant 'peephol'; choose one of .*; did you mean 'peephole'\?$"),
        ({"init": "Orthogonal"}, r"LSTM: init must be one of .* \(got 'Orthogonal'\); did you mean 'orthogonal'\?$"),
        ({"init": "xavier"}, r"\(got 'xavier'\); did you mean 'glorot'\?$"),
        ({"input_activation": "sigmoid"}, r"LSTM: input_activation .*; did you mean 'logistic'\?$"),
        ({"zoneout_hidden": "0.1"}, r"LSTM: zoneout_hidden must be a probability"),
        ({"proj_size": -1}, r"LSTM: proj_size must be a whole number of at least 0 \(got -1\)"),
        ({"residual": True}, "LSTM: residual adds a layer's input to its output"),
        ({"dtype": "float32"}, r"LSTM: dtype must be a floating dtype of torch \(got 'float32'\)"),
    ],
)
def test_a_rule_is_told_in_the_name_of_the_layer_with_what_was_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PeepholeError, match=message):
        cast(Any, LSTM)(4, 6, **arguments)


@pytest.mark.parametrize("made", [RNN, RNNCell])
def test_an_activation_by_another_name_is_told_ours(made: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"^{made.__name__}: nonlinearity .*; did you mean 'logistic'\?$"):
        made(4, 6, nonlinearity="sigmoid")


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.ones(3, 5, dtype=torch.bool), r"got Tensor of torch.bool\); of a mask pass the sums over time"),
        ([[1], [1, 2], [1]], r"whole numbers \(got list of list\)"),
        ([None, 1, 2], r"whole numbers \(got list of NoneType and int\)"),
        (torch.ones(3, dtype=torch.int64, device="meta"), "LSTM: lengths must have values"),
    ],
)
def test_lengths_of_a_strange_kind_are_refused(lengths: Any, message: str) -> None:
    with pytest.raises(PeepholeError, match=message):
        _lstm()(X, lengths=lengths)


@pytest.mark.parametrize("made", [LSTM, RNN, LSTMCell, RNNCell, MLP])
def test_sparse_inputs_are_refused(made: Any) -> None:
    layer = made(4, (6,)) if made is MLP else made(4, 6)
    with pytest.raises(ArgumentTypeError, match=rf"{made.__name__}: input must be dense \(got a sparse tensor\)"):
        layer(X[0].to_sparse())


def test_a_nested_batch_is_told_lengths() -> None:
    with pytest.raises(ArgumentTypeError, match=r"got a nested tensor\); pass the padded batch and lengths="):
        _lstm()(cast(Any, torch.nested).as_nested_tensor([X[:, 0], X[:2, 0]], layout=torch.jagged))


def test_a_state_of_which_a_part_is_none_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match=r"LSTM: c_0 must be a tensor \(got NoneType\); for zeros leave out"):
        _lstm()(X, (torch.zeros(1, 3, 6), cast(Any, None)))


def test_sizes_are_taken_as_numpy_counts_them() -> None:
    made = cast(Any, LSTM)(np.int64(4), np.int32(6), np.int64(2))
    assert repr(made) == "LSTM(4, 6, num_layers=2)"
    assert type(made.spec.input_size) is int


def test_specs_refuse_parts_of_another_kind() -> None:
    with pytest.raises(ArgumentError, match=r"RecurrentSpec: cell must be CellSpec \(got str\)"):
        RecurrentSpec(cell=cast(Any, "lstm"), input_size=4, hidden_size=6)
    with pytest.raises(ArgumentError, match=r"MLPSpec: hidden_sizes must be tuple or list \(got int\)"):
        MLPSpec(input_size=4, hidden_sizes=cast(Any, 32))
    with pytest.raises(ArgumentError, match=r"Network: spec must be NetworkSpec \(got RecurrentSpec\)"):
        Network(cast(Any, RecurrentSpec(input_size=4, hidden_size=6)))
    with pytest.raises(ArgumentError, match=r"EncoderDecoder: spec must be EncoderDecoderSpec \(got NoneType\)"):
        EncoderDecoder(cast(Any, None))


def test_a_network_says_what_it_does_not_use() -> None:
    spec = NetworkSpec(body=MLPSpec(input_size=4), output_size=1)
    with pytest.warns(UserWarning, match=r"Network: dropout .* does nothing with an MLP \(got dropout=0.5\)"):
        Network(spec, dropout=0.5)


def test_the_state_of_a_simple_network_is_a_tuple() -> None:
    made = Network(NetworkSpec(body=body_spec("rnn", 4, hidden_size=6), output_size=1))
    with pytest.raises(ArgumentTypeError, match=r"Network: hx of an RNN must be the tuple \(h_0,\) \(got a tensor\)"):
        made.run(X, cast(Any, torch.zeros(1, 3, 6)))


@pytest.mark.parametrize(("argument", "message"), [({"sampling": "a"}, "probability"), ({"generator": 1}, "generator")])
def test_draws_of_an_encoder_decoder_are_checked(argument: dict[str, Any], message: str) -> None:
    body = RecurrentSpec(input_size=4, hidden_size=6)
    made = EncoderDecoder(EncoderDecoderSpec(encoder=body, decoder=body, output_size=4))
    with pytest.raises(PeepholeError, match=f"EncoderDecoder: .*{message}"):
        made(X, X, **argument)
