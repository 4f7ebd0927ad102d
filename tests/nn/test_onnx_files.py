"""Modules to ONNX files and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from peephole.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from peephole.nn import LSTM, MLP, RNN, Network, export_onnx, load_onnx
from peephole.spec import NetworkSpec, RecurrentSpec, variant
from tests.conversion.sessions import Session
from tests.nn.cases import close, layer, noise, state_of, tensors

FILE = "layer.onnx"


@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
@pytest.mark.parametrize("name", ["lstm", "coupled_peephole", "no_forget_gate", "rnn_relu"])
def test_a_file_gives_what_the_module_gives(name: str, batch_first: bool, tmp_path: Path) -> None:
    made = layer(name, num_layers=2, bidirectional=True, dtype=torch.float32)
    made.batch_first = batch_first
    export_onnx(made, tmp_path / FILE, lengths=True, initial_state=True)
    session = Session.of(tmp_path / FILE)
    for steps, lengths in ((5, [5, 0, 3]), (2, [1])):
        batch = len(lengths)
        x, state = (
            noise(*((batch, steps) if batch_first else (steps, batch)), 4, dtype=torch.float32),
            state_of(made, batch),
        )
        given = dict(zip(("h_0", "c_0"), tensors(state), strict=False))
        found = session(input=x, lengths=lengths, **given)
        with torch.no_grad():
            expected = tensors(made(x, state, lengths=lengths))
        close([torch.as_tensor(array) for array in found.values()], expected, "onnx_runtime_float32")


@pytest.mark.parametrize("name", ["lstm", "coupled_peephole", "logistic", "rnn_relu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_layer_comes_back_as_it_went(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    made = layer(name, num_layers=2, bidirectional=True, dtype=dtype)
    export_onnx(made, tmp_path / FILE)
    (loaded,) = load_onnx(tmp_path / FILE)
    assert loaded.layer.spec == made.spec
    assert (loaded.state, loaded.lengths) == (None, None)
    for key, parameter in made.named_parameters():
        close(loaded.layer.get_parameter(key), parameter, "nn_same_bits")
    x, state = noise(5, 3, 4, dtype=dtype), state_of(made, 3)
    close(loaded.layer(x, state), made(x, state), "nn_same_bits")


def test_dropout_is_a_matter_of_training(tmp_path: Path) -> None:
    made = LSTM(4, 6, 2, dropout=0.5, recurrent_dropout=0.5).train()
    export_onnx(made, tmp_path / FILE)
    assert made.training
    x = noise(5, 3, 4, dtype=torch.float32)
    found = Session.of(tmp_path / FILE)(input=x)["output"]
    with torch.no_grad():
        close(torch.as_tensor(found), made.eval()(x)[0], "onnx_runtime_float32")


def test_a_weight_that_is_made_of_others_is_written_as_it_is_used(tmp_path: Path) -> None:
    made = layer("lstm", dtype=torch.float32)
    cast(Any, torch.nn.utils.parametrizations).weight_norm(made, "weight_hh_l0")
    export_onnx(made, tmp_path / FILE)
    x = noise(5, 3, 4, dtype=torch.float32)
    with torch.no_grad():
        expected = made(x)[0]
    close(torch.as_tensor(Session.of(tmp_path / FILE)(input=x)["output"]), expected, "onnx_runtime_float32")


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]], ids=["whole", "ragged"])
@pytest.mark.parametrize("readout", ["last", "every"])
def test_a_network_gives_its_numbers(readout: Any, lengths: list[int] | None, tmp_path: Path) -> None:
    body = RecurrentSpec(cell=variant("peephole"), input_size=4, hidden_size=6, bidirectional=True)
    network = Network(NetworkSpec(body=body, output_size=3, readout=readout)).eval()
    export_onnx(network, tmp_path / FILE, lengths=lengths is not None)
    x = noise(5, 3, 4, dtype=torch.float32)
    found = Session.of(tmp_path / FILE)(input=x, **({} if lengths is None else {"lengths": lengths}))["output"]
    with torch.no_grad():
        close(torch.as_tensor(found), network(x, lengths=lengths), "onnx_runtime_float32")


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="layer_norm=True"):
        export_onnx(layer("layer_norm"), tmp_path / FILE)
    with pytest.raises(ArgumentTypeError, match=r"got torch.bfloat16 in weight_ih_l0\); convert the LSTM by .float"):
        export_onnx(layer("lstm").to(torch.bfloat16), tmp_path / FILE)
    for wrong in (MLP(3, (4,)), torch.nn.LSTM(3, 4)):
        with pytest.raises(ArgumentTypeError, match=rf"module must be peephole.nn's .*\(got {type(wrong).__name__}"):
            export_onnx(cast(Any, wrong), tmp_path / FILE)
    assert not list(tmp_path.iterdir())


def test_without_onnx_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install peephole\[onnx\]"):
        export_onnx(RNN(3, 4), tmp_path / FILE)
    with pytest.raises(MissingDependencyError, match=r"pip install peephole\[onnx\]"):
        load_onnx(tmp_path / FILE)
