"""``initialise`` reaches every recurrent layer and cell inside of a module, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from peephole.errors import ArgumentError
from peephole.nn import LSTM, RNN, LSTMCell, Network, RNNCell, initialise
from peephole.spec import EmbeddingSpec, NetworkSpec, body_spec
from tests.nn.cases import close, set_seed


class Model(nn.Module):
    """Layers and cells in every kind of container, one of them in two places."""

    def __init__(self) -> None:
        super().__init__()
        set_seed(0)
        self.embed = nn.Embedding(9, 4)
        self.layers = nn.ModuleList([LSTM(4, 6, 2, bidirectional=True), LSTM(12, 6, variant="peephole")])
        self.cells = nn.ModuleDict({"a": LSTMCell(4, 6), "b": nn.Sequential(LSTMCell(6, 6, variant="layer_norm"))})
        self.again = self.layers[0]
        self.head = nn.Linear(6, 2)


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: q.detach().clone() for name, q in module.state_dict().items()}


def test_every_layer_and_cell_is_drawn_as_it_would_be_alone() -> None:
    model, alone = Model(), Model()
    initialise(model, "orthogonal", forget_bias=1.0, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    for one in (*alone.layers, alone.cells["a"], *alone.cells["b"].children()):
        initialise(one, "orthogonal", forget_bias=1.0, generator=generator)
    expected = _state(alone)
    assert all(torch.equal(q, expected[name]) for name, q in _state(model).items())


def test_what_is_not_recurrent_stays_as_it_is() -> None:
    model, before = Model(), _state(Model())
    initialise(model, "glorot")
    changed = {name for name, q in _state(model).items() if not torch.equal(q, before[name])}
    assert not any(name.startswith(("embed", "head")) for name in changed)
    assert any(name.startswith("layers.1") for name in changed)
    assert any(name.startswith("cells.b") for name in changed)


@pytest.mark.parametrize("kind", ["lstm", "peephole", "rnn"])
def test_the_recurrent_layers_of_a_network_are_reached(kind: str) -> None:
    start = EmbeddingSpec(num_embeddings=5, embedding_dim=4)
    network = Network(NetworkSpec(input=start, body=body_spec(kind, 4, hidden_size=6), output_size=2))
    initialise(network, "keras")
    recurrent = network.body.get_parameter("weight_hh_l0").detach()
    close(recurrent.T @ recurrent, torch.eye(6), "nn_orthogonal_float32")


@pytest.mark.parametrize("made", [LSTMCell, RNNCell])
def test_a_cell_is_drawn_as_the_layer_of_its_kind(made: type[LSTMCell] | type[RNNCell]) -> None:
    cell, layer = made(4, 6), (LSTM if made is LSTMCell else RNN)(4, 6)
    initialise(cell, "lecun", generator=torch.Generator().manual_seed(1))
    initialise(layer, "lecun", generator=torch.Generator().manual_seed(1))
    drawn = _state(layer)
    assert all(torch.equal(q, drawn[f"{name}_l0"]) for name, q in _state(cell).items())


def test_where_one_layer_is_refused_none_is_drawn() -> None:
    model = nn.Sequential(LSTM(4, 6), RNN(6, 6))
    before = _state(model)
    with pytest.raises(ArgumentError, match=r"^initialise, 1: forget_bias sets the bias of the forget gate"):
        initialise(model, "glorot", forget_bias=1.0)
    assert all(torch.equal(q, before[name]) for name, q in _state(model).items())


def test_weights_that_are_computed_from_others_are_refused() -> None:
    layer = LSTM(4, 6)
    nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    with pytest.raises(ArgumentError, match=r"^initialise: every weight must be a parameter \(got .*weight_hh_l0"):
        initialise(layer)
