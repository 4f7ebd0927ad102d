"""A network made from its description: body, head, and the names of the artifact."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import LSTM, MLP, RNN, Network
from peephole.spec import MLPSpec, NetworkSpec, RecurrentSpec, variant
from peephole.weights import network_shapes
from tests.nn.cases import carry_back, close, noise, set_seed


def _spec(name: str, *, bidirectional: bool = False, readout: Any = "last") -> NetworkSpec:
    body = RecurrentSpec(cell=variant(name), input_size=4, hidden_size=6, num_layers=2, bidirectional=bidirectional)
    return NetworkSpec(body=body, output_size=3, readout=readout)


def _network(spec: NetworkSpec) -> Network:
    set_seed(0)
    return Network(spec, dtype=torch.float64)


MLP_SPEC = NetworkSpec(body=MLPSpec(input_size=4, hidden_sizes=(6, 5)), output_size=3)


@pytest.mark.parametrize("spec", [_spec("peephole", bidirectional=True), _spec("rnn"), _spec("layer_norm"), MLP_SPEC])
def test_parameters_have_the_names_and_shapes_of_the_artifact(spec: NetworkSpec) -> None:
    network = _network(spec)
    assert {name: tuple(q.shape) for name, q in network.named_parameters()} == network_shapes(spec)
    assert isinstance(network.body, MLP if spec is MLP_SPEC else (LSTM, RNN))


@pytest.mark.parametrize(("name", "bidirectional"), [*itertools.product(["lstm", "rnn"], [False, True])])
def test_last_readout_is_every_readout_at_the_last_valid_step(name: str, bidirectional: bool) -> None:
    last = _network(_spec(name, bidirectional=bidirectional))
    every = _network(_spec(name, bidirectional=bidirectional, readout="every"))
    x, lengths = noise(5, 3, 4), [5, 2, 0]
    close(last(x), every(x)[-1], "nn_order_of_sums")
    outputs = every(x, lengths=lengths)
    expected = torch.stack([outputs[max(length - 1, 0), at] for at, length in enumerate(lengths)])
    close(last(x, lengths=lengths), expected, "nn_order_of_sums")
    close(last(x, lengths=lengths)[2], cast(Tensor, last.head.bias), "nn_same_bits")
    close(last(x[:, 0]), last(x[:, :1])[0], "nn_order_of_sums")
    close(last(x[:, 1], lengths=[2]), last(x[:2, 1]), "nn_order_of_sums")


@pytest.mark.parametrize("name", ["lstm", "rnn", "full_gate_recurrence"])
def test_chunks_with_carried_state_equal_the_whole(name: str) -> None:
    network = _network(_spec(name, readout="every"))
    x = noise(6, 3, 4)
    whole, end = network.run(x)
    first, state = network.run(x[:4])
    second, final = network.run(x[4:], state)
    close([torch.cat([first, second]), final], [whole, end], "nn_order_of_sums")


def test_perceptron_takes_lags_as_features() -> None:
    network = _network(MLP_SPEC)
    assert network(noise(7, 4)).shape == (7, 3)


@pytest.mark.parametrize("spec", [_spec("peephole"), MLP_SPEC])
def test_arrays_go_out_and_come_back(spec: NetworkSpec) -> None:
    network = _network(spec)
    arrays = network.to_arrays()
    assert {name: array.shape for name, array in arrays.items()} == network_shapes(spec)
    set_seed(9)
    other = Network(spec, dtype=torch.float64)
    other.load_arrays(arrays)
    x = noise(5, 3, 4)
    close(other(x), network(x), "nn_same_bits")
    missing = {name: array for name, array in arrays.items() if name != "head.bias"}
    with pytest.raises(ArgumentError, match=r"missing 'head\.bias'"):
        other.load_arrays(missing)
    with pytest.raises(ArgumentError, match=r"head.bias must have the shape \[3\] \(got \[1\]\)"):
        other.load_arrays({**arrays, "head.bias": arrays["head.bias"][:1]})


def test_everything_learns() -> None:
    network = _network(_spec("peephole", bidirectional=True, readout="every"))
    carry_back(network(noise(5, 3, 4)).square().sum())
    assert all(q.grad is not None and bool(q.grad.any()) for q in network.parameters())


def test_a_state_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match=r"hx of an RNN must be the tuple \(h_0,\)"):
        _network(_spec("rnn")).run(noise(5, 3, 4), (noise(2, 3, 6), noise(2, 3, 6)))
