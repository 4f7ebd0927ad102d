"""What of a saved state does not fit is told in one sentence that names the argument it belongs to."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from peephole.nn import LSTM, RNN, LSTMCell, RNNCell

State = dict[str, Tensor]


def _state(made: nn.Module, prefix: str = "") -> State:
    return {prefix + name: q for name, q in made.state_dict().items()}


@pytest.mark.parametrize(
    ("layer", "state", "message"),
    [
        (LSTM(4, 6, peepholes=True), _state(nn.LSTM(4, 6)), "lacks weight_peephole_l0, which the layer has for p"),
        (LSTM(4, 6, layer_norm=True), _state(LSTM(4, 6)), "lacks norm_gain_l0, norm_shift_l0, .* for layer_norm; load"),
        (LSTM(4, 6, learned_state=True), _state(LSTM(4, 6)), "lacks h_0_l0, c_0_l0, .* has for learned_state"),
        (LSTM(4, 6), _state(LSTM(4, 6, learned_state=True)), "has h_0_l0, c_0_l0, .* build .* learned_state=True"),
        (LSTM(4, 6), _state(nn.LSTM(4, 6, bias=False)), "lacks bias_ih_l0, bias_hh_l0, .* for bias;"),
        (LSTM(4, 6, 2), _state(nn.LSTM(4, 6)), "lacks weight_ih_l1, .* of layers or directions that were not"),
        (LSTM(4, 6, bidirectional=True), _state(LSTM(4, 6)), "lacks .* for bidirectional=True"),
        (LSTM(4, 6), _state(nn.LSTMCell(4, 6)), r"its keys are those of a cell \(weight_ih\); rename them"),
        (LSTMCell(4, 6), _state(nn.LSTM(4, 6)), r"its keys are those of a layer \(weight_ih_l0\); rename them"),
        (RNN(4, 6), _state(nn.RNN(4, 6), "module."), "begin with 'module.'; take the prefix of Distributed"),
        (RNN(4, 6), {}, "lacks weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, all of them; pass the part"),
        (LSTM(4, 6), _state(LSTM(4, 6, peepholes=True)), "has weight_peephole_l0, for .*; build the layer with p"),
        (LSTM(4, 6), _state(nn.LSTM(4, 6, 3)), "has weight_ih_l1, .* and 4 more, .*build .* num_layers=3"),
        (LSTM(4, 6), _state(nn.LSTM(4, 6, bidirectional=True)), "build the layer with bidirectional=True"),
        (RNN(4, 6, bias=False), _state(nn.RNN(4, 6)), "has bias_ih_l0, bias_hh_l0, .* build .* bias=True"),
        (RNNCell(4, 6), {**_state(RNNCell(4, 6)), "rubbish": torch.zeros(1)}, "has rubbish, .*; pass strict=False to"),
        (LSTM(4, 6), _state(nn.LSTM(5, 6)), r"shapes .*weight_ih_l0 \(24, 5\) for \(24, 4\)\); .* input_size=5;"),
        (LSTM(4, 6), _state(nn.LSTM(4, 7)), "it is the state of hidden_size=7;"),
        (LSTM(4, 6), _state(nn.LSTM(4, 6, proj_size=2)), "it is the state of proj_size=2;"),
        (LSTM(4, 6, coupled=True), _state(nn.LSTM(4, 6)), r"an LSTM with three gates \(.* rows i, g, o\);"),
        (LSTM(4, 6), _state(nn.RNN(4, 6)), "it is the state of an RNN"),
        (LSTM(4, 6), _state(nn.GRU(4, 6)), "of an LSTM with two gates or of torch.nn.GRU"),
        (LSTM(4, 6), _state(LSTM(4, 6, cells_per_block=2)), "the state of a layer built with other arguments"),
        (LSTMCell(4, 6), _state(nn.LSTMCell(3, 5)), "LSTMCell: .* of input_size=3 and hidden_size=5;"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_told_in_one_sentence(layer: nn.Module, state: State, message: str) -> None:
    with pytest.raises(RuntimeError, match=message) as caught:
        layer.load_state_dict(state)
    title, *sentences = str(caught.value).split("\n")
    owner = type(layer).__name__
    assert title == f"Error(s) in loading state_dict for {owner}:"
    assert len(sentences) == 1
    assert sentences[0].startswith(f"\t{owner}: ")


def test_missing_and_unexpected_keys_are_two_sentences() -> None:
    with pytest.raises(RuntimeError, match=r"lacks weight_gates_l0.*\n.*has norm_gain_l0, norm_shift_l0, for which"):
        LSTM(4, 6, full_gate_recurrence=True).load_state_dict(_state(LSTM(4, 6, layer_norm=True)))


@pytest.mark.parametrize("made", [LSTM, RNN])
def test_what_torch_returns_is_returned(made: Any) -> None:
    ours, theirs = made(4, 6), getattr(nn, made.__name__)(4, 6)
    state = {**_state(theirs), "more": torch.zeros(1)}
    del state["bias_hh_l0"]
    expected, actual = (one.load_state_dict(state, strict=False) for one in (theirs, ours))
    assert type(actual) is type(expected)
    assert actual == expected
    assert str(ours.load_state_dict(_state(theirs))) == "<All keys matched successfully>"


def test_shapes_that_differ_are_an_error_without_strict_too_as_in_torch() -> None:
    for made in (LSTM(4, 6), nn.LSTM(4, 6)):
        with pytest.raises(RuntimeError, match="weight_ih_l0"):
            made.load_state_dict(_state(nn.LSTM(5, 6)), strict=False)


def test_inside_a_model_the_place_is_named() -> None:
    model = nn.ModuleDict({"encoder": nn.Sequential(LSTM(4, 6)), "head": nn.Linear(6, 2)})
    other = nn.ModuleDict({"encoder": nn.Sequential(LSTM(5, 6)), "head": nn.Linear(6, 3)})
    with pytest.raises(RuntimeError, match=r"LSTM 'encoder.0': the state_dict has other shapes") as caught:
        model.load_state_dict(other.state_dict())
    assert "size mismatch for head.weight" in str(caught.value)
    assert "size mismatch for encoder" not in str(caught.value)


def test_assigning_takes_the_tensors_themselves() -> None:
    made, state = LSTM(4, 6), _state(nn.LSTM(4, 6, dtype=torch.float64))
    made.load_state_dict(state, assign=True)
    weight = made.get_parameter("weight_ih_l0")
    assert weight.dtype == torch.float64
    assert weight.data_ptr() == state["weight_ih_l0"].data_ptr()


def test_a_pickle_of_a_time_with_fewer_fields_gets_their_defaults() -> None:
    made = LSTM(4, 6, peepholes=True)
    older: dict[str, Any] = dict(vars(made))
    spec = object.__new__(type(made.spec))
    for name in ("cell", "input_size", "hidden_size", "num_layers", "bidirectional", "bias"):
        object.__setattr__(spec, name, getattr(made.spec, name))
    older["spec"] = spec
    for name in ("batch_first_states", "_recipe", "_cell_names", "_cell_text", "_learned_names", "_weight_names"):
        del older[name]
    again = LSTM.__new__(LSTM)
    cast(Any, again).__setstate__(older)
    assert again.spec == made.spec
    x = torch.ones(2, 3, 4)
    assert torch.equal(again(x)[0], made(x)[0])
