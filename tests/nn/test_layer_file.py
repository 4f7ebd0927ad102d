"""A layer in one file: what goes in comes out, with what it is, and what is wrong with a file is told."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
import safetensors.torch
import torch
from torch import Tensor

from peephole import nn
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.nn.layer_file import ARGUMENTS
from peephole.spec import CellSpec, RecurrentSpec, to_dict
from tests.cells import ALL_CELLS
from tests.nn.cases import noise

stored = cast(Any, safetensors.torch)

CHANGED = {"batch_first": True, "batch_first_states": True, "dropout": 0.25}
"""Every argument that the file holds beside the spec, not at its default."""

PLAIN = {"batch_first": False, "batch_first_states": False, "dropout": 0.0}

NOT_KEPT = {"self", "device", "dtype", "variant", "nonlinearity", "init", "forget_bias", "chrono"}
"""Arguments that the tensors and the spec hold under another name, or that say what only a new layer begins with, or
that are the reader's to choose."""


def layer_of(cell: CellSpec, **arguments: Any) -> nn.LSTM | nn.RNN:
    make = nn.LSTM if cell.cell == "lstm" else nn.RNN
    return make(4, 6, variant=cell, **arguments)


def saved(path: Path, **changes: Any) -> Path:
    """A file of a plain layer with some tensors (``None``: taken out) or texts of the metadata changed."""
    layer = nn.LSTM(4, 6)
    tensors: dict[str, Any] = {**layer.state_dict()}
    described = {"spec": to_dict(layer.spec), **PLAIN}
    metadata: dict[str, Any] = {"format": "peephole.layer", "format_version": "1", "layer": json.dumps(described)}
    for name, value in changes.items():
        (metadata if name in ("format", "format_version", "layer") else tensors)[name] = value
    kept = {name: value for name, value in tensors.items() if value is not None}
    stored.save_file(kept, path, {name: text for name, text in metadata.items() if text is not None})
    return path


@pytest.mark.parametrize("name", ALL_CELLS)
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    layer = layer_of(ALL_CELLS[name], num_layers=2, bidirectional=True, bias=name != "lstm", **CHANGED)
    nn.save_layer(layer, tmp_path / "layer.safetensors")
    before = torch.get_rng_state()
    loaded = nn.load_layer(tmp_path / "layer.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert type(loaded) is type(layer)
    assert loaded.spec == layer.spec
    assert {key: getattr(loaded, key) for key in ARGUMENTS} == CHANGED
    assert repr(loaded) == repr(layer)
    for (key, got), (other, wanted) in zip(loaded.named_parameters(), layer.named_parameters(), strict=True):
        assert key == other
        assert torch.equal(got, wanted)
        assert got.requires_grad
    x = noise(3, 5, 4, dtype=torch.float32)
    assert torch.equal(loaded.eval()(x)[0], layer.eval()(x)[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_dtype_is_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    nn.save_layer(nn.LSTM(4, 6, dtype=dtype), tmp_path / "layer")
    assert {q.dtype for q in nn.load_layer(tmp_path / "layer").parameters()} == {dtype}


@pytest.mark.parametrize("make", [nn.LSTM, nn.RNN])
def test_every_argument_is_in_the_file(make: Any) -> None:
    """A new argument that is not in the spec has to enter ARGUMENTS, or the list of those that need not."""
    arguments = inspect.signature(make.__init__).parameters.keys() - NOT_KEPT
    of_the_spec = {field.name for kind in (RecurrentSpec, CellSpec) for field in fields(cast(Any, kind))}
    assert arguments - of_the_spec == set(ARGUMENTS) == CHANGED.keys()


def test_saving_again_replaces_the_file_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for layer in (nn.LSTM(4, 6), nn.RNN(4, 6)):
        nn.save_layer(layer, tmp_path / "layer")
    assert isinstance(nn.load_layer(tmp_path / "layer"), nn.RNN)
    assert [file.name for file in tmp_path.iterdir()] == ["layer"]


def test_the_tensors_are_those_of_torch_for_any_reader(tmp_path: Path) -> None:
    layer = nn.LSTM(4, 6, num_layers=2, bidirectional=True)
    nn.save_layer(layer, tmp_path / "layer")
    theirs = torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True)
    theirs.load_state_dict(stored.load_file(tmp_path / "layer"))
    assert all(torch.equal(q, layer.get_parameter(name)) for name, q in theirs.named_parameters())


@pytest.mark.parametrize("make", [torch.nn.LSTM, nn.LSTM, torch.nn.RNN, nn.RNN])
def test_a_state_dict_goes_through_safetensors_both_ways(make: Any, tmp_path: Path) -> None:
    there = make(4, 6, num_layers=2)
    stored.save_file(there.state_dict(), tmp_path / "state")
    for other in (torch.nn, nn):
        back = getattr(other, make.__name__)(4, 6, num_layers=2)
        back.load_state_dict(stored.load_file(tmp_path / "state"))
        stored.save_model(back, str(tmp_path / "model"))
        again = make(4, 6, num_layers=2)
        stored.load_model(again, tmp_path / "model")
        assert all(torch.equal(q, there.get_parameter(name)) for name, q in again.named_parameters())


def spec_with(**changes: Any) -> str:
    return json.dumps(
        {
            "spec": {**to_dict(nn.LSTM(4, 6).spec), **changes},
            "batch_first": False,
            "batch_first_states": False,
            "dropout": 0.0,
        }
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_ih_l0": None}, "do not fit its spec: missing 'weight_ih_l0'"),
        ({"weight_ih_l1": torch.zeros(1)}, "do not fit its spec: unknown 'weight_ih_l1'"),
        ({"weight_ih_l0": torch.zeros(24, 3)}, r"weight_ih_l0 must have the shape \[24, 4\] \(got \[24, 3\]\)"),
        ({"bias_ih_l0": torch.zeros(24, dtype=torch.float64)}, "all tensors must be of one floating dtype"),
        ({"bias_ih_l0": torch.full((24,), torch.nan)}, "bias_ih_l0 holds values that are NaN or infinite"),
        ({"layer": spec_with(num_layers=10**9)}, "1000000000 layers, but only 4 tensors"),
        ({"layer": spec_with(bias=False)}, "unknown 'bias_.h_l0', 'bias_.h_l0'"),
        ({"layer": spec_with(hidden_size=5)}, "must have the shape"),
        ({"layer": spec_with(hidden_size=0)}, "metadata .* do not describe a layer: RecurrentSpec: hidden_size"),
        ({"layer": spec_with(novel=1)}, "metadata .* do not describe a layer: .*novel"),
        ({"layer": spec_with(kind="mlp")}, "metadata .* do not describe a layer"),
        ({"layer": spec_with(cell={"cell": "gru"})}, "metadata .* do not describe a layer: CellSpec: cell"),
        (
            {"layer": json.dumps({"spec": to_dict(nn.LSTM(4, 6).spec)})},
            "they must hold spec, batch_first, .*, dropout",
        ),
        (
            {"layer": spec_with().replace('"batch_first": false', '"batch_first": 3')},
            "cannot be made: LSTM: batch_first",
        ),
        ({"layer": spec_with().replace('"dropout": 0.0', '"dropout": 2.0')}, "cannot be made: LSTM: dropout"),
        (
            {"layer": spec_with().replace('"cell": {', '"cell_of": {')},
            "describe a layer: RecurrentSpec: the",
        ),
        ({"layer": json.dumps({**json.loads(spec_with()), "spec": None})}, "describe a layer: RecurrentSpec: the"),
        ({"layer": "["}, "metadata .* do not describe a layer"),
        ({"layer": "3"}, "metadata .* do not describe a layer"),
        ({"layer": None}, "metadata .* do not describe a layer"),
        ({"format": None}, "must say format='peephole.layer' .*load_state_dict"),
        ({"format": "pt"}, "must say format='peephole.layer' .*load_state_dict"),
        ({"format_version": "2"}, "must have format_version 1 .got '2'.* install a newer"),
    ],
)
def test_a_file_that_is_no_layer_is_told(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"^load_layer: .*{message}"):
        nn.load_layer(saved(tmp_path / "layer", **changes))


def test_the_file_of_the_tests_is_good_unchanged(tmp_path: Path) -> None:
    assert nn.load_layer(saved(tmp_path / "layer")).spec == nn.LSTM(4, 6).spec


def test_what_happens_to_the_file_later_does_not_reach_the_layer(tmp_path: Path) -> None:
    path = saved(tmp_path / "layer")
    layer, size = nn.load_layer(path), path.stat().st_size
    with path.open("rb+") as file:
        file.write(b"\0" * size)
    assert all(int(q.count_nonzero()) for q in layer.parameters())


@pytest.mark.parametrize("bytes_kept", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_told(bytes_kept: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "layer")
    path.write_bytes(path.read_bytes()[:bytes_kept])
    with pytest.raises(ArtifactError, match="is not a safetensors file, or not all of one"):
        nn.load_layer(path)


def test_a_place_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"load_layer: .* cannot be read"):
        nn.load_layer(tmp_path / "none")
    with pytest.raises(ArtifactError, match=r"load_layer: .* cannot be read"):
        nn.load_layer(tmp_path)
    with pytest.raises(ArtifactError, match=r"save_layer: .* cannot be written"):
        nn.save_layer(nn.LSTM(4, 6), tmp_path / "none" / "layer")


def test_what_is_no_layer_or_not_finite_is_not_saved(tmp_path: Path) -> None:
    wrong: Any = torch.nn.LSTM(4, 6)
    with pytest.raises(ArgumentTypeError, match=r"save_layer: layer must be a peephole.nn.LSTM or RNN \(got LSTM\)"):
        nn.save_layer(wrong, tmp_path / "layer")
    layer = nn.LSTM(4, 6)
    with torch.no_grad():
        cast(Tensor, layer.get_parameter("bias_hh_l0"))[2] = torch.inf
    with pytest.raises(ArgumentError, match=r"save_layer: .*bias_hh_l0 holds values that are NaN or infinite"):
        nn.save_layer(layer, tmp_path / "layer")
    assert not list(tmp_path.iterdir())
