"""Swapping the recurrent layers of a model, there and back, loses nothing and is whole or not done."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrizations, prune

from peephole import nn
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import ConversionWarning, convert
from peephole.nn.network import Network
from peephole.spec import NetworkSpec, RecurrentSpec
from tests.nn.cases import carry_back, close, noise, set_seed, total

BODY = RecurrentSpec(input_size=4, hidden_size=6)


class Tagger(torch.nn.Module):
    """A published kind of model: embedding, two bidirectional layers, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(20, 4)
        self.encoder = torch.nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True, dropout=0.5)
        self.head = torch.nn.Linear(12, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of every token."""
        return self.head(self.encoder(self.embed(tokens))[0])


class Stepper(torch.nn.Module):
    """Two cells stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.LSTMCell(4, 6, bias=False)
        self.second = torch.nn.RNNCell(6, 3, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """The last output."""
        state: Any = None
        y: Tensor | None = None
        for one in x:
            state = self.first(one, state)
            y = self.second(state[0], y)
        return cast(Tensor, y)


def _layers() -> dict[str, Callable[[], torch.nn.Module]]:
    return {
        "lstm": lambda: torch.nn.LSTM(4, 6, 2, bias=False, batch_first=True, bidirectional=True, proj_size=3),
        "rnn": lambda: torch.nn.RNN(4, 6, nonlinearity="relu", dtype=torch.float64),
        "lstm_cell": lambda: torch.nn.LSTMCell(4, 6, dtype=torch.bfloat16),
        "rnn_cell": lambda: torch.nn.RNNCell(4, 6, bias=False),
    }


@pytest.mark.parametrize("name", list(_layers()))
def test_there_and_back_is_the_same_layer(name: str) -> None:
    theirs = _layers()[name]().eval()
    ours = convert(theirs)
    again = convert(ours, to="torch")
    assert type(ours).__module__.startswith("peephole.nn")
    assert type(ours).__name__ == type(theirs).__name__
    assert type(again) is type(theirs)
    assert vars(again).keys() == vars(theirs).keys()
    for key in ("input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bias", "proj_size", "mode"):
        assert getattr(again, key, None) == getattr(theirs, key, None)
    for module in (ours, again):
        state = theirs.state_dict()
        assert list(module.state_dict()) == list(state)
        assert all(torch.equal(q, state[key]) for key, q in module.state_dict().items())
        assert not module.training
    assert getattr(again, "nonlinearity", None) == getattr(theirs, "nonlinearity", None)


@pytest.mark.parametrize("made", [Tagger, Stepper])
def test_a_converted_model_gives_the_same_results_and_gradients(made: type[torch.nn.Module]) -> None:
    set_seed(2)
    theirs = made().double()
    x = torch.randint(20, (3, 5)) if made is Tagger else noise(5, 3, 4)
    ours = convert(theirs)
    results: list[Tensor] = []
    for model in (theirs, ours):
        set_seed(4)
        results.append(cast(Any, model)(x))
        carry_back(total(results[-1]))
    close(results[1], results[0], "nn_torch_float64")
    close([q.grad for q in ours.parameters()], [q.grad for q in theirs.parameters()], "nn_torch_float64")


def test_the_original_stays_as_it_is() -> None:
    theirs = Tagger()
    ours = convert(theirs)
    assert type(theirs.encoder) is torch.nn.LSTM
    with torch.no_grad():
        cast(Any, ours.encoder).weight_ih_l0.zero_()
    assert bool(cast(Tensor, theirs.encoder.weight_ih_l0).any())


def test_in_place_the_optimiser_made_before_goes_on() -> None:
    set_seed(0)
    plain = Tagger().double().eval()
    model = copy.deepcopy(plain)
    optimisers = [torch.optim.Adam(one.parameters(), lr=0.1) for one in (plain, model)]
    before = list(model.parameters())
    assert convert(model, inplace=True) is model
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    tokens = torch.randint(20, (3, 5))
    for _ in range(3):
        for one, optimiser in zip((plain, model), optimisers, strict=True):
            optimiser.zero_grad()
            carry_back(cast(Tensor, one(tokens)).square().mean())
            cast(Any, optimiser).step()
    close(list(model.parameters()), list(plain.parameters()), "nn_training_float64")


class CharRNN(torch.nn.Module):
    """The other published kind: the next character from all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(20, 4)
        self.layers = torch.nn.LSTM(4, 8, 2, dropout=0.2)
        self.head = torch.nn.Linear(8, 20)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of every next character."""
        return self.head(self.layers(self.embed(tokens))[0])


@pytest.mark.parametrize("made", [Tagger, CharRNN])
def test_a_converted_model_trains_along_the_same_curve(made: type[torch.nn.Module]) -> None:
    set_seed(0)
    theirs = made().double()
    losses: list[Tensor] = []
    for model in (theirs, convert(theirs)):
        set_seed(1)  # for the batches and for dropout, which draws as torch's
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
        curve: list[Tensor] = []
        for _ in range(20):
            tokens = torch.randint(20, (6, 3))
            scores = cast(Tensor, model(tokens))
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), tokens.flatten() % scores.shape[-1])
            optimiser.zero_grad()
            carry_back(loss)
            cast(Any, optimiser).step()
            curve.append(loss.detach())
        losses.append(torch.stack(curve))
    assert losses[0][-1] < losses[0][0]
    close(losses[1], losses[0], "nn_training_float64")


def test_a_layer_in_two_places_stays_one_layer() -> None:
    shared = torch.nn.LSTM(4, 4)
    model = torch.nn.ModuleDict({"a": shared, "b": shared, "c": torch.nn.ModuleList([shared])})
    for made in (convert(model), convert(convert(model), to="torch")):
        one = made["a"]
        assert one is made["b"]
        assert one is cast(Any, made["c"])[0]


def test_parameters_that_two_layers_share_stay_shared() -> None:
    first, second = torch.nn.LSTM(4, 6), torch.nn.LSTM(4, 6)
    second.weight_ih_l0 = first.weight_ih_l0
    made = convert(torch.nn.ModuleList([first, second]))
    assert cast(Any, made[0]).weight_ih_l0 is cast(Any, made[1]).weight_ih_l0
    assert len(list(made.parameters())) == 7


def test_frozen_parameters_stay_frozen_and_the_mode_stays() -> None:
    model = Tagger()
    model.encoder.weight_hh_l1.requires_grad_(False)
    model.encoder.eval()
    made = convert(model)
    encoder = cast(nn.LSTM, made.encoder)
    assert [q.requires_grad for q in made.parameters()] == [q.requires_grad for q in model.parameters()]
    assert made.training
    assert not encoder.training
    assert encoder.dropout == model.encoder.dropout


def test_dropout_without_a_place_is_kept_without_a_second_warning() -> None:
    with pytest.warns(UserWarning, match="num_layers"):
        theirs = torch.nn.LSTM(4, 6, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = convert(convert(theirs), to="torch")
    assert again.dropout == theirs.dropout


def test_hooks_are_kept_and_their_handles_remove_them() -> None:
    model, seen = Tagger(), list[str]()
    handle = model.encoder.register_forward_hook(lambda module, _, __: seen.append(type(module).__module__))
    model.encoder.register_forward_pre_hook(lambda _, __: seen.append("before"))
    model.encoder.register_full_backward_hook(lambda _, __, ___: seen.append("back"))
    convert(model, inplace=True)
    carry_back(model(torch.randint(20, (3, 5))).sum())
    assert seen == ["before", "peephole.nn.lstm", "back"]
    handle.remove()
    model(torch.randint(20, (3, 5)))
    assert seen[3:] == ["before"]


def test_what_a_user_has_put_on_a_layer_is_kept() -> None:
    theirs = torch.nn.LSTM(4, 6)
    cast(Any, theirs).nickname = "encoder"
    assert cast(Any, convert(convert(theirs), to="torch")).nickname == "encoder"


def test_converting_draws_nothing_from_the_generator() -> None:
    model = Tagger()
    before = torch.random.get_rng_state()
    convert(model)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_converting_what_is_converted_changes_nothing() -> None:
    made = convert(Tagger())
    encoder = made.encoder
    assert convert(made, inplace=True).encoder is encoder


class _Own(torch.nn.LSTM):
    """A user's subclass."""


def _held_in_a_list() -> torch.nn.Module:
    model = Tagger()
    cast(Any, model).stack = [model.encoder]
    return model


def _with_own_forward() -> torch.nn.Module:
    layer = torch.nn.LSTM(4, 6)
    cast(Any, layer).forward = print
    return layer


def _with_bound_hook() -> torch.nn.Module:
    layer = torch.nn.LSTM(4, 6)
    cast(Any, layer).register_load_state_dict_pre_hook(print)
    return layer


def _pruned() -> torch.nn.Module:
    layer = torch.nn.LSTM(4, 6)
    cast(Any, prune).random_unstructured(layer, "weight_hh_l0", amount=0.5)
    return layer


def _misshapen() -> torch.nn.Module:
    layer = torch.nn.LSTM(4, 6)
    layer.weight_ih_l0 = torch.nn.Parameter(torch.zeros(24, 5))
    return layer


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: _Own(4, 6), r"\(_Own\) is a subclass"),
        (lambda: parametrizations.weight_norm(torch.nn.LSTM(4, 6), "weight_hh_l0"), "has parametrized weights"),
        (
            _pruned,
            r"other parameters than its class makes \(extra \['weight_hh_l0_orig'\], missing \['weight_hh_l0'\]\)",
        ),
        (_misshapen, r"has weight_ih_l0 of the shape \(24, 5\)"),
        (_held_in_a_list, r"\(Tagger\) keeps a layer in stack, a plain list, too"),
        (_with_own_forward, "has a forward of its own"),
        (_with_bound_hook, "pre-hook that holds the layer itself"),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_what_would_lose_something_is_refused_and_nothing_is_converted(
    made: Callable[[], torch.nn.Module], why: str, inplace: bool
) -> None:
    model = torch.nn.ModuleDict({"good": torch.nn.RNN(4, 6), "bad": made()})
    with pytest.raises(ArgumentError, match=rf"convert: nothing was converted to peephole, for bad.*{why}"):
        convert(model, inplace=inplace)
    assert type(model["good"]) is torch.nn.RNN


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: nn.LSTM(4, 6, variant="peephole"), r"has peepholes=True, which torch.nn.LSTM cannot have"),
        (lambda: nn.LSTM(4, 6, variant="coupled", cells_per_block=2), "has coupled=True, cells_per_block=2"),
        (lambda: nn.RNN(4, 6, nonlinearity="logistic"), "has input_activation='logistic'"),
        (lambda: nn.RNN(4, 6, layer_norm=True, nonlinearity="relu"), "layer_norm=True"),
        (lambda: nn.LSTMCell(4, 6, proj_size=2), "has proj_size=2, which torch.nn.LSTMCell cannot have"),
        (lambda: nn.RNNCell(4, 6, zoneout_hidden=0.5), "has zoneout_hidden=0.5"),
        (
            lambda: Network(NetworkSpec(body=RecurrentSpec(input_size=4, hidden_size=6), output_size=2)),
            "runs its layers",
        ),
    ],
)
def test_what_torch_cannot_express_is_refused_by_name(made: Callable[[], torch.nn.Module], why: str) -> None:
    model = torch.nn.ModuleDict({"good": nn.RNN(4, 6), "bad": made()})
    with pytest.raises(ArgumentError, match=rf"convert: nothing was converted to torch, for bad.*{why}"):
        convert(model, to="torch", inplace=True)
    assert type(model["good"]) is nn.RNN


def test_every_reason_is_told_at_once() -> None:
    model = torch.nn.Sequential(nn.LSTM(4, 6, variant="peephole"), nn.LSTM(4, 6, variant="coupled"))
    with pytest.raises(ArgumentError, match=r"for 0 \(LSTM\) has peepholes=True.*; 1 \(LSTM\) has coupled=True"):
        convert(model, to="torch")


def test_layers_without_a_counterpart_are_left_and_named() -> None:
    model = torch.nn.ModuleDict({"gru": torch.nn.GRU(4, 6), "cell": torch.nn.GRUCell(4, 6), "rnn": torch.nn.RNN(4, 6)})
    with pytest.warns(ConversionWarning, match=r"convert: left as they are, .*: gru \(GRU\), cell \(GRUCell\)"):
        made = convert(model)
    assert type(made["gru"]) is torch.nn.GRU
    assert type(made["rnn"]) is nn.RNN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(made, to="torch")


def test_a_model_without_recurrent_layers_is_told() -> None:
    with pytest.warns(ConversionWarning, match="there is no recurrent layer to convert to torch"):
        convert(torch.nn.Linear(3, 4), to="torch")


def test_arguments_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match=r"convert: model must be a torch.nn.Module \(got dict\)"):
        convert(cast(Any, {}))
    with pytest.raises(ArgumentError, match="convert: to must be 'peephole' or 'torch'"):
        convert(Tagger(), to=cast(Any, "keras"))
    with pytest.raises(ArgumentTypeError, match="convert: inplace must be True or False"):
        convert(Tagger(), inplace=cast(Any, 1))
