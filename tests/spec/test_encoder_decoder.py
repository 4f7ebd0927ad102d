"""Encoder-decoders as data: what is refused, what comes back as it went, and when the state is mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peephole import artifact
from peephole.errors import ArgumentError, ArtifactError
from peephole.spec import (
    EmbeddingSpec,
    EncoderDecoderSpec,
    LinearSpec,
    MLPSpec,
    RecurrentSpec,
    network_from_dict,
    to_dict,
)
from peephole.weights import network_shapes
from tests.encoder_decoders import ENCODER_DECODERS

STACK = RecurrentSpec(input_size=3, hidden_size=4)
TOKENS: dict[str, Any] = {
    "encoder": STACK,
    "decoder": STACK,
    "target": EmbeddingSpec(num_embeddings=5, embedding_dim=3),
    "output_size": 5,
    "start_token": 0,
}


def spec_with(**changes: Any) -> EncoderDecoderSpec:
    return EncoderDecoderSpec(**(TOKENS | changes))


def stack(**more: Any) -> RecurrentSpec:
    return RecurrentSpec(input_size=3, hidden_size=4, **more)


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_description_in_json_gives_the_same_network(name: str) -> None:
    spec = ENCODER_DECODERS[name]
    assert network_from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


def test_what_has_a_default_may_be_missing_from_a_description() -> None:
    data = to_dict(spec_with())
    for name in ("source", "attention", "attention_size", "end_token", "bridge"):
        del data[name]
    assert network_from_dict(data) == spec_with()


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_save_and_load_gives_the_same_bits(tmp_path: Path, name: str, dtype: str) -> None:
    spec, rng = ENCODER_DECODERS[name], np.random.default_rng(0)
    weights = {key: rng.standard_normal(shape).astype(dtype) for key, shape in network_shapes(spec).items()}
    artifact.save(tmp_path / "model", spec, weights)
    loaded = artifact.load(tmp_path / "model")
    assert loaded.network == spec
    assert list(loaded.weights) == list(weights)
    for key, tensor in weights.items():
        assert loaded.weights[key].dtype == dtype
        assert loaded.weights[key].tobytes() == tensor.tobytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": STACK.cell}, "encoder must be RecurrentSpec or MLPSpec (got CellSpec)"),
        ({"decoder": MLPSpec(input_size=3)}, "decoder must be RecurrentSpec (got MLPSpec)"),
        ({"source": 5}, "source must be EmbeddingSpec or LinearSpec or None (got int)"),
        ({"decoder": stack(bidirectional=True)}, "cannot be bidirectional"),
        (
            {"decoder": stack(learned_state=True)},
            "begins from the encoder's state",
        ),
        (
            {"source": LinearSpec(input_size=1, output_size=2)},
            "input_size must be the features of source (got 3 and 2)",
        ),
        ({"target": EmbeddingSpec(num_embeddings=5, embedding_dim=2)}, "the features of target (got 3 and 2)"),
        ({"output_size": 4}, "num_embeddings must be output_size (got 5 and 4)"),
        ({"output_size": 0}, "output_size must be a whole number of at least 1"),
        ({"target": None, "start_token": None}, "input_size must be output_size, the output being the next"),
        (
            {"target": LinearSpec(input_size=2, output_size=3), "start_token": None},
            "its input_size must be output_size (got 2 and 5)",
        ),
        ({"target": LinearSpec(input_size=5, output_size=3)}, "start_token belongs to a target of tokens"),
        ({"start_token": None}, "start_token must be a whole number"),
        ({"start_token": 5}, "start_token must be a token below output_size = 5 (got 5)"),
        ({"end_token": -1}, "end_token must be a whole number of at least 0"),
        ({"attention": "dot", "attention_size": 2}, "attention must be one of additive"),
        ({"attention": "additive"}, "attention_size must be a whole number of at least 1"),
        ({"attention_size": 3}, "attention_size belongs to attention"),
        (
            {"attention": "additive", "attention_size": 2, "encoder": MLPSpec(input_size=3)},
            "a perceptron has none",
        ),
        ({"bridge": 1}, "bridge must be True or False"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        spec_with(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("encoder", "maps"),
    [
        (STACK, False),
        (RecurrentSpec(input_size=9, hidden_size=4), False),
        (stack(bidirectional=True), True),
        (stack(num_layers=2), True),
        (RecurrentSpec(input_size=3, hidden_size=5), True),
        (RecurrentSpec(cell=STACK.cell.replace(peepholes=True), input_size=3, hidden_size=4), False),
        (RecurrentSpec(cell=STACK.cell.replace(cell="rnn"), input_size=3, hidden_size=4), True),
        (MLPSpec(input_size=3, hidden_sizes=(4,)), True),
    ],
)
def test_the_state_is_handed_over_where_it_fits_and_mapped_elsewhere(encoder: Any, maps: bool) -> None:
    spec = spec_with(encoder=encoder)
    assert spec.maps_state == maps
    assert ("bridge.weight" in network_shapes(spec)) == maps
    assert spec_with(encoder=encoder, bridge=True).maps_state


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "network"},
        {"encoder": {}},
        {"encoder": None},
        {"encoder": {"kind": "transformer"}},
        {"encoder": {"kind": "mlp", "input_size": 3}},
        {"decoder": {"kind": "recurrent", "cell": {"heads": 2}, "input_size": 3, "hidden_size": 4}},
        {"target": {"kind": "recurrent"}},
        {"output_size": "5"},
        {"extra": 1},
    ],
    ids=str,
)
def test_damaged_description_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    spec = spec_with()
    data = {**to_dict(spec), **damage}
    with pytest.raises(ArgumentError):
        network_from_dict(data)
    weights = {name: np.zeros(shape, np.float32) for name, shape in network_shapes(spec).items()}
    artifact.save(tmp_path / "model", spec, weights)
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "network": data}), "utf-8")
    with pytest.raises(ArtifactError, match="described wrongly"):
        artifact.load(tmp_path / "model")


def test_layers_that_nobody_can_have_are_refused_without_counting_them(tmp_path: Path) -> None:
    spec = spec_with()
    many = spec_with(decoder=stack(num_layers=10**9))
    weights = {name: np.zeros(shape, np.float32) for name, shape in network_shapes(spec).items()}
    with pytest.raises(ArgumentError, match="1000000000 layers, but only"):
        artifact.save(tmp_path / "model", many, weights)
