"""Under autocast the layers take what torch's take, and compute in the dtype of their parameters."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from peephole.errors import ArgumentTypeError
from peephole.nn import LSTM, MLP, RNN, EncoderDecoder, LSTMCell, Network, RNNCell
from peephole.spec import EncoderDecoderSpec, NetworkSpec, RecurrentSpec, body_spec
from tests.nn.cases import carry_back, close, layer, noise, tensors, total

LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (LSTM, {}),
    (LSTM, {"num_layers": 2, "bidirectional": True}),
    (RNN, {"num_layers": 2}),
]
LOWER = [torch.bfloat16, torch.float16]


def autocast(dtype: torch.dtype) -> Any:
    """Autocast on the CPU."""
    return torch.autocast("cpu", dtype=dtype)


def _dtypes(values: object) -> list[torch.dtype]:
    return [q.dtype for q in tensors(values)]


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("made", "arguments"), LAYERS)
def test_layers_give_the_dtypes_and_numbers_of_torch(made: Any, arguments: Any, given: torch.dtype) -> None:
    theirs = getattr(torch.nn, made.__name__)(4, 6, **arguments)
    ours = made(4, 6, **arguments)
    ours.load_state_dict(theirs.state_dict())
    x = noise(5, 3, 4, dtype=torch.float32).to(given)
    with autocast(torch.bfloat16):
        expected, actual = theirs(x), ours(x)
        again = ours(x, expected[1])
    assert _dtypes(actual) == _dtypes(expected) == _dtypes(again)
    close(actual, expected, "nn_half")


@pytest.mark.parametrize("state", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("made", [LSTMCell, RNNCell])
def test_cells_give_the_dtypes_and_numbers_of_torch(made: Any, given: torch.dtype, state: torch.dtype | None) -> None:
    theirs = getattr(torch.nn, made.__name__)(4, 6)
    ours = made(4, 6)
    ours.load_state_dict(theirs.state_dict())
    x, h = noise(3, 4, dtype=torch.float32).to(given), None if state is None else noise(3, 6).to(state)
    hx = h if h is None or made is RNNCell else (h, h)
    with autocast(torch.bfloat16):
        expected, actual = theirs(x, hx), ours(x, hx)
    assert _dtypes(actual) == _dtypes(expected)
    close(actual, expected, "nn_half")


@pytest.mark.parametrize("lower", LOWER)
@pytest.mark.parametrize("name", ["lstm", "peephole", "layer_norm", "full_gate_recurrence", "rnn_logistic"])
def test_the_computation_is_that_of_the_parameters_dtype(name: str, lower: torch.dtype) -> None:
    made = layer(name, num_layers=2, bidirectional=True, dtype=torch.float32)
    x = noise(5, 3, 4, dtype=torch.float32).to(lower)
    expected = made(x.float(), lengths=[5, 0, 3])
    with autocast(lower):
        actual = made(x, lengths=[5, 0, 3])
    assert set(_dtypes(actual)) == {lower}
    close([q.float() for q in tensors(actual)], [q.to(lower).float() for q in tensors(expected)], "nn_same_bits")


def test_the_states_of_every_step_stay_in_full() -> None:
    made = layer("peephole", dtype=torch.float32)
    x = noise(5, 3, 4, dtype=torch.float32)
    with autocast(torch.bfloat16):
        states = cast(Any, made)(x, return_states=True)[2]
    close(states, cast(Any, made)(x, return_states=True)[2], "nn_same_bits")


@pytest.mark.parametrize("name", ["lstm", "coupled_peephole"])
def test_gradients_reach_input_and_parameters_in_their_dtypes(name: str) -> None:
    made = layer(name, dtype=torch.float32)
    x = noise(5, 3, 4, dtype=torch.float32).to(torch.bfloat16).requires_grad_()
    with autocast(torch.bfloat16):
        output = made(x)[0]
    carry_back(total(output.float()))
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    found = [q.grad for q in made.parameters()]
    full = x.detach().float().requires_grad_()
    expected = torch.autograd.grad(total(made(full)[0]), list(made.parameters()))
    close(found, expected, "nn_half")


def test_packed_batches_are_taken() -> None:
    made = layer("peephole", dtype=torch.float32)
    packed = pack_padded_sequence(noise(5, 3, 4, dtype=torch.bfloat16), torch.tensor([5, 4, 1]))
    with autocast(torch.bfloat16):
        output = made(packed)[0]
    assert isinstance(output, PackedSequence)
    assert output.data.dtype == torch.bfloat16


def test_float64_is_left_alone_as_torch_leaves_it() -> None:
    theirs, x = torch.nn.LSTM(4, 6, dtype=torch.float64), noise(5, 3, 4)
    ours = LSTM(4, 6, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    with autocast(torch.bfloat16):
        close(ours(x), theirs(x), "nn_torch_float64")
        with pytest.raises(RuntimeError):
            torch.nn.LSTM(4, 6)(x)
        with pytest.raises(ArgumentTypeError, match="LSTM: input must have the dtype of the parameters"):
            LSTM(4, 6)(x)


@pytest.mark.parametrize("dtype", LOWER)
@pytest.mark.parametrize("name", ["lstm", "peephole", "rnn"])
def test_layers_of_half_precision_run_on_a_cpu(name: str, dtype: torch.dtype) -> None:
    full = layer(name, num_layers=2, bidirectional=True, dtype=torch.float32)
    half = layer(name, num_layers=2, bidirectional=True, dtype=torch.float32).to(dtype)
    x = noise(5, 3, 4, dtype=torch.float32)
    actual = half(x.to(dtype), lengths=[5, 0, 3])
    assert set(_dtypes(actual)) == {dtype}
    close([q.float() for q in tensors(actual)], tensors(full(x, lengths=[5, 0, 3])), "nn_half")


@pytest.mark.parametrize("dtype", LOWER)
@pytest.mark.parametrize("made", [LSTMCell, RNNCell])
def test_cells_of_half_precision_run_on_a_cpu(made: Any, dtype: torch.dtype) -> None:
    full = made(4, 6)
    x = noise(3, 4, dtype=torch.float32)
    expected = tensors(full(x))
    actual = tensors(full.to(dtype)(x.to(dtype)))
    assert set(_dtypes(actual)) == {dtype}
    close([q.float() for q in actual], expected, "nn_half")


def test_outside_of_autocast_another_dtype_is_refused_as_before() -> None:
    with pytest.raises(ArgumentTypeError, match="input must have the dtype of the parameters"):
        LSTM(4, 6)(noise(5, 3, 4, dtype=torch.float32).to(torch.bfloat16))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False), pytest.raises(ArgumentTypeError):
        LSTM(4, 6)(noise(5, 3, 4, dtype=torch.float32).to(torch.bfloat16))


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32])
def test_a_perceptron_gives_the_dtype_of_torchs_linear_layers(given: torch.dtype) -> None:
    made = MLP(4, (6, 3))
    x = noise(5, 4, dtype=torch.float32).to(given)
    with autocast(torch.bfloat16):
        y = made(x)
    assert y.dtype == torch.bfloat16
    close(y, made(x.float()).bfloat16(), "nn_same_bits")
    y.sum().backward()
    assert made.get_parameter("weight_l0").grad is not None


@pytest.mark.parametrize("kind", ["mlp", "lstm", "rnn"])
def test_a_network_takes_lower_inputs_under_autocast(kind: str) -> None:
    made = Network(NetworkSpec(body=body_spec(kind, 4, hidden_size=6), output_size=2))
    x = noise(5, 3, 4, dtype=torch.float32)
    with autocast(torch.bfloat16):
        y = made(x.bfloat16(), lengths=[5, 2, 1])
    assert y.dtype == torch.bfloat16
    close(y.float(), made(x, lengths=[5, 2, 1]), "nn_half")


def test_an_encoder_decoder_works_under_autocast() -> None:
    body, wide = RecurrentSpec(input_size=4, hidden_size=6), RecurrentSpec(input_size=4, hidden_size=5, num_layers=2)
    spec = EncoderDecoderSpec(encoder=body, decoder=wide, output_size=4, attention="additive", attention_size=3)
    made, x = EncoderDecoder(spec), noise(5, 3, 4, dtype=torch.float32)
    with autocast(torch.bfloat16):
        y = made(x.bfloat16(), x.bfloat16())
    assert y.dtype == torch.bfloat16
    close(y.float(), made(x, x), "nn_half")
    y.sum().backward()
    assert made.encoder.get_parameter("weight_hh_l0").grad is not None
