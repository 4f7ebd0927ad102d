"""The plain cells are those of torch: the same numbers, gradients, names, seeds and returns."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from peephole.nn import LSTM, RNN
from tests.nn.cases import close, noise, set_seed, state_of, total

SHAPES = [
    pytest.param(layers, two, id=f"{layers}layers-{'bi' if two else 'uni'}")
    for layers in (1, 2, 3)
    for two in (False, True)
]


def _gradients(layer: torch.nn.Module, inputs: list[Tensor], outcome: object) -> list[Tensor]:
    return list(torch.autograd.grad(total(outcome), [*inputs, *layer.parameters()]))


@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("proj_size", [0, 3], ids=["plain", "projected"])
def test_lstm_equals_torch_forward_and_backward(
    num_layers: int, bidirectional: bool, bias: bool, proj_size: int
) -> None:
    arguments: dict[str, Any] = {
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "bias": bias,
        "proj_size": proj_size,
        "dtype": torch.float64,
    }
    set_seed(3)
    theirs = torch.nn.LSTM(4, 6, **arguments)
    set_seed(3)
    ours = LSTM(4, 6, **arguments)
    x = noise(5, 3, 4, gradient=True)
    hx = state_of(ours, 3, gradient=True)
    expected, actual = theirs(x, hx), ours(x, hx)
    close(actual, expected, "nn_torch_float64")
    close(_gradients(ours, [x, *hx], actual), _gradients(theirs, [x, *hx], expected), "nn_torch_float64")


@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_equals_torch_forward_and_backward(
    num_layers: int, bidirectional: bool, bias: bool, nonlinearity: Any
) -> None:
    arguments: dict[str, Any] = {
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "bias": bias,
        "nonlinearity": nonlinearity,
        "dtype": torch.float64,
    }
    set_seed(3)
    theirs = torch.nn.RNN(4, 6, **arguments)
    set_seed(3)
    ours = RNN(4, 6, **arguments)
    x, h = noise(5, 3, 4, gradient=True), state_of(ours, 3, gradient=True)
    expected, actual = theirs(x, h), ours(x, h)
    close(actual, expected, "nn_torch_float64")
    close(_gradients(ours, [x, h], actual), _gradients(theirs, [x, h], expected), "nn_torch_float64")


def test_float32_equals_torch_within_float_error() -> None:
    theirs = torch.nn.LSTM(4, 6, 2, bidirectional=True)
    ours = LSTM(4, 6, 2, bidirectional=True)
    ours.load_state_dict(theirs.state_dict())
    x = noise(7, 3, 4, dtype=torch.float32, gradient=True)
    expected, actual = theirs(x), ours(x)
    close(actual, expected, "nn_torch_float32")
    close(_gradients(ours, [x], actual), _gradients(theirs, [x], expected), "nn_torch_float32")


@pytest.mark.parametrize("proj_size", [0, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_ragged_equals_torch_packed(bidirectional: bool, proj_size: int) -> None:
    theirs = torch.nn.LSTM(4, 6, 2, bidirectional=bidirectional, proj_size=proj_size, dtype=torch.float64)
    ours = LSTM(4, 6, 2, bidirectional=bidirectional, proj_size=proj_size, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    lengths = [3, 6, 1, 4]
    x, hx = noise(6, 4, 4, gradient=True), state_of(ours, 4, gradient=True)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    packed_output, final = theirs(packed, hx)
    expected = (pad_packed_sequence(packed_output)[0], final)
    actual = ours(x, hx, lengths=lengths)
    close(actual, expected, "nn_torch_float64")
    close(_gradients(ours, [x, *hx], actual), _gradients(theirs, [x, *hx], expected), "nn_torch_float64")


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_input_gives_what_torch_gives(enforce_sorted: bool) -> None:
    theirs = torch.nn.LSTM(4, 6, 2, bidirectional=True, dtype=torch.float64)
    ours = LSTM(4, 6, 2, bidirectional=True, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 5, 1, 3]
    packed = pack_padded_sequence(noise(5, 4, 4), torch.tensor(lengths), enforce_sorted=enforce_sorted)
    hx = state_of(ours, 4)
    expected, actual = theirs(packed, hx), ours(packed, hx)
    close([q for q in actual[0] if q is not None], [q for q in expected[0] if q is not None], "nn_torch_float64")
    close(actual[1], expected[1], "nn_torch_float64")


def test_packed_rnn_of_full_lengths_equals_torch() -> None:
    theirs = torch.nn.RNN(4, 6, dtype=torch.float64)
    ours = RNN(4, 6, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    packed = pack_padded_sequence(noise(5, 2, 4), torch.tensor([5, 5]))
    expected, actual = theirs(packed), ours(packed)
    close([actual[0].data, actual[1]], [expected[0].data, expected[1]], "nn_torch_float64")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 4)], ids=["batch", "single"])
def test_layouts_are_those_of_torch(batch_first: bool, shape: tuple[int, ...]) -> None:
    theirs = torch.nn.LSTM(4, 6, 2, batch_first=batch_first, dtype=torch.float64)
    ours = LSTM(4, 6, 2, batch_first=batch_first, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = noise(*shape)
    expected = theirs(x)
    close(ours(x), expected, "nn_torch_float64")
    close(ours(x, expected[1]), theirs(x, expected[1]), "nn_torch_float64")


def test_dropout_between_layers_draws_as_torch_does() -> None:
    theirs = torch.nn.LSTM(4, 6, 3, dropout=0.5, dtype=torch.float64)
    ours = LSTM(4, 6, 3, dropout=0.5, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    x = noise(5, 3, 4)
    set_seed(5)
    expected = theirs(x)
    set_seed(5)
    close(ours(x), expected, "nn_torch_float64")
    close(ours.eval()(x), theirs.eval()(x), "nn_torch_float64")


def test_the_same_seed_gives_the_same_weights_under_the_same_names() -> None:
    for arguments in ({}, {"bias": False}, {"num_layers": 2, "bidirectional": True, "proj_size": 2}):
        set_seed(11)
        theirs = torch.nn.LSTM(3, 5, **cast(Any, arguments)).state_dict()
        set_seed(11)
        ours = LSTM(3, 5, **cast(Any, arguments)).state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    set_seed(11)
    theirs_rnn = torch.nn.RNN(3, 5, 2, bidirectional=True).state_dict()
    set_seed(11)
    ours_rnn = RNN(3, 5, 2, bidirectional=True).state_dict()
    assert list(ours_rnn) == list(theirs_rnn)
    assert all(torch.equal(ours_rnn[name], theirs_rnn[name]) for name in theirs_rnn)


def test_state_dicts_load_both_ways() -> None:
    theirs = torch.nn.LSTM(4, 6, 2, bidirectional=True, proj_size=2)
    ours = LSTM(4, 6, 2, bidirectional=True, proj_size=2)
    ours.load_state_dict(theirs.state_dict())
    assert all(torch.equal(ours.state_dict()[name], q) for name, q in theirs.state_dict().items())
    again = torch.nn.LSTM(4, 6, 2, bidirectional=True, proj_size=2)
    again.load_state_dict(LSTM(4, 6, 2, bidirectional=True, proj_size=2).state_dict())


def _positional(made: type) -> list[inspect.Parameter]:
    parameters = inspect.signature(made).parameters.values()
    return [q for q in parameters if q.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]


def test_positional_arguments_and_defaults_are_those_of_torch() -> None:
    sizes, settings = ["input_size", "hidden_size", "num_layers"], ["bias", "batch_first", "dropout", "bidirectional"]
    positional = _positional(LSTM)
    assert [q.name for q in positional] == [*sizes, *settings, "proj_size", "device", "dtype"]
    empty = inspect.Parameter.empty
    assert [q.default for q in positional] == [empty, empty, 1, True, False, 0.0, False, 0, None, None]
    assert [q.name for q in _positional(RNN)] == [*sizes, "nonlinearity", *settings, "device", "dtype"]


@pytest.mark.parametrize(
    "arguments", [{}, {"num_layers": 2, "bias": False, "bidirectional": True, "proj_size": 2, "dropout": 0.5}]
)
def test_representation_is_that_of_torch(arguments: dict[str, Any]) -> None:
    assert repr(LSTM(3, 5, **arguments)) == repr(torch.nn.LSTM(3, 5, **arguments))


def test_representation_names_the_variant() -> None:
    assert repr(LSTM(3, 6, variant="peephole", cells_per_block=3)) == "LSTM(3, 6, peepholes=True, cells_per_block=3)"
    assert repr(RNN(3, 6, nonlinearity="relu", truncated=True)) == "RNN(3, 6, nonlinearity='relu', truncated=True)"


def test_attributes_are_those_of_torch() -> None:
    ours = LSTM(3, 5, 2, bias=False, batch_first=True, bidirectional=True, proj_size=2)
    theirs = torch.nn.LSTM(3, 5, 2, bias=False, batch_first=True, bidirectional=True, proj_size=2)
    for name in (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ):
        assert getattr(ours, name) == getattr(theirs, name)
    assert [[q.shape for q in cell] for cell in ours.all_weights] == [
        [q.shape for q in cell] for cell in cast("list[list[Tensor]]", theirs.all_weights)
    ]
    assert ours.flatten_parameters() is None


def test_copies_pickles_and_saved_modules_give_the_same_bits() -> None:
    ours = LSTM(3, 6, 2, variant="peephole", cells_per_block=2, bidirectional=True)
    x = noise(4, 2, 3, dtype=torch.float32)
    expected = ours(x)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for again in (
        copy.deepcopy(ours),
        cast(LSTM, pickle.loads(pickle.dumps(ours))),
        cast(LSTM, torch.load(file, weights_only=False)),
    ):
        assert again.spec == ours.spec
        close(again(x), expected, "nn_same_bits")


def test_dropout_without_a_place_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="num_layers=1"):
        LSTM(3, 5, dropout=0.5)
