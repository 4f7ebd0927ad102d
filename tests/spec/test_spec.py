"""Cells and networks as data: what is refused, and what comes back as it went."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peephole.errors import ArgumentError
from peephole.spec import (
    ACTIVATIONS,
    KINDS,
    READOUTS,
    VARIANTS,
    CellSpec,
    EmbeddingSpec,
    LinearSpec,
    MLPSpec,
    NetworkSpec,
    RecurrentSpec,
    body_spec,
    network_from_dict,
    to_dict,
    variant,
)
from peephole.weights import cell_shapes, module_shapes, network_shapes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cell": "gru"}, "cell must be one of lstm, rnn"),
        ({"input_activation": "sigmoid"}, "input_activation must be one of tanh, logistic"),
        ({"cells_per_block": 0}, "cells_per_block must be a whole number of at least 1"),
        ({"cells_per_block": True}, "cells_per_block must be a whole number"),
        ({"proj_size": -1}, "proj_size must be a whole number of at least 0"),
        ({"zoneout_cell": 1.0}, "zoneout_cell must be a probability in [0, 1)"),
        ({"recurrent_dropout": "no"}, "recurrent_dropout must be a probability"),
        ({"peepholes": 1}, "peepholes must be True or False"),
        ({"coupled": True, "forget_gate": False}, "coupled means f = 1 - i and needs input_gate and forget_gate"),
        ({"cell": "rnn", "peepholes": True}, "peepholes belongs to the LSTM"),
        (
            {"input_gate": False, "forget_gate": False, "output_gate": False, "peepholes": True},
            "peepholes needs at least one gate",
        ),
    ],
)
def test_meaningless_cell_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        CellSpec(**fields)
    assert message in str(error.value)


def test_hidden_size_must_be_a_multiple_of_cells_per_block() -> None:
    with pytest.raises(ArgumentError, match=r"\(got 10 and 4\); choose 8 or 12"):
        RecurrentSpec(cell=CellSpec(cells_per_block=4), input_size=1, hidden_size=10)


def test_projection_must_be_smaller_than_hidden_size() -> None:
    with pytest.raises(ArgumentError, match="proj_size must be smaller than hidden_size"):
        RecurrentSpec(cell=CellSpec(proj_size=4), input_size=1, hidden_size=4)


def test_unknown_variant_is_refused_with_the_list() -> None:
    with pytest.raises(ArgumentError, match="unknown variant 'gru'; choose one of lstm, lstm1997"):
        variant("gru")


@pytest.mark.parametrize("name", VARIANTS)
def test_description_in_json_gives_the_same_network(name: str) -> None:
    body = RecurrentSpec(cell=variant(name), input_size=3, hidden_size=6, num_layers=2, bidirectional=True)
    spec = NetworkSpec(body=body, output_size=2, readout="every")
    assert network_from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


def test_description_of_a_perceptron_in_json_gives_the_same_network() -> None:
    spec = NetworkSpec(body=MLPSpec(input_size=4, hidden_sizes=(3, 2), activation="relu"), output_size=1)
    assert network_from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


SIZES = st.integers(1, 6)


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    size, features = draw(SIZES), draw(SIZES)
    body: RecurrentSpec | MLPSpec
    if draw(st.booleans()):
        hidden_sizes = tuple(draw(st.lists(SIZES, min_size=1, max_size=3)))
        activation = draw(st.sampled_from(ACTIVATIONS))
        body = MLPSpec(input_size=size, hidden_sizes=hidden_sizes, activation=activation, bias=draw(st.booleans()))
    else:
        body = RecurrentSpec(
            cell=variant(draw(st.sampled_from(list(VARIANTS)))),
            input_size=size,
            hidden_size=draw(SIZES),
            num_layers=draw(st.integers(2, 3)),
            bidirectional=draw(st.booleans()),
            bias=draw(st.booleans()),
            residual=draw(st.booleans()),
            learned_state=draw(st.booleans()),
        )
    starts = (
        None,
        EmbeddingSpec(num_embeddings=features, embedding_dim=size),
        LinearSpec(input_size=features, output_size=size),
    )
    readout = draw(st.sampled_from(READOUTS))
    return NetworkSpec(input=draw(st.sampled_from(starts)), body=body, output_size=draw(SIZES), readout=readout)


@given(spec=networks())
@settings(max_examples=100)
def test_description_in_json_gives_the_same_network_whatever_it_is(spec: NetworkSpec) -> None:
    assert network_from_dict(json.loads(json.dumps(to_dict(spec)))) == spec


@pytest.mark.parametrize(
    "damage",
    [
        {"body": {}},
        {"body": None},
        {"body": {"kind": "transformer"}},
        {"body": {"kind": "recurrent", "cell": {"attention": True}, "input_size": 1, "hidden_size": 2}},
        {"body": {"kind": "recurrent", "cell": {}, "input_size": 1, "hidden_size": "8"}},
        {"body": {"kind": "mlp", "input_size": 1}},
        {"extra": 1},
        {"input": {"kind": "convolution"}},
        {"input": {"kind": "embedding", "num_embeddings": 3, "embedding_dim": 2}},
        {"input": {"kind": "embedding", "num_embeddings": 0, "embedding_dim": 1}},
        {"input": {"kind": "linear", "input_size": 3}},
        {"input": [1]},
        {"input": "embedding"},
        {"readout": "median"},
        {"body": {"kind": "recurrent", "cell": {}, "input_size": 1, "hidden_size": 2, "residual": True}},
        {"output_size": 0},
    ],
    ids=str,
)
def test_damaged_description_is_refused(damage: dict[str, Any]) -> None:
    data = to_dict(NetworkSpec(body=RecurrentSpec(input_size=1, hidden_size=2), output_size=1))
    with pytest.raises(ArgumentError):
        network_from_dict({**data, **damage})


def test_plain_cell_has_the_names_and_shapes_of_torch() -> None:
    shapes = module_shapes(RecurrentSpec(input_size=3, hidden_size=4, bidirectional=True))
    assert list(shapes)[:4] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    assert shapes["weight_ih_l0_reverse"] == (16, 3)
    assert shapes["weight_hh_l0"] == (16, 4)


def test_gates_have_one_row_a_block_and_the_candidate_one_a_cell() -> None:
    shapes = cell_shapes(CellSpec(cells_per_block=3, peepholes=True), 2, 6)
    assert shapes["W"] == (3 * 2 + 6, 2)
    assert shapes["p"] == (3, 6)


def test_network_shapes_name_every_tensor_of_an_artifact() -> None:
    body = RecurrentSpec(input_size=3, hidden_size=4, bidirectional=True, bias=False)
    shapes = network_shapes(NetworkSpec(body=body, output_size=5))
    assert set(shapes) == {f"body.weight_{part}_l0{way}" for part in ("ih", "hh") for way in ("", "_reverse")} | {
        "head.weight",
        "head.bias",
    }
    assert shapes["head.weight"] == (5, 8)
    assert "input.weight" not in shapes


def test_an_input_has_its_tensors_before_those_of_the_body() -> None:
    body = RecurrentSpec(input_size=3, hidden_size=4)
    embedded = network_shapes(
        NetworkSpec(input=EmbeddingSpec(num_embeddings=9, embedding_dim=3), body=body, output_size=5)
    )
    mapped = network_shapes(NetworkSpec(input=LinearSpec(input_size=2, output_size=3), body=body, output_size=5))
    assert list(embedded)[:2] == ["input.weight", "body.weight_ih_l0"]
    assert embedded["input.weight"] == (9, 3)
    assert list(mapped)[:2] == ["input.weight", "input.bias"]
    assert (mapped["input.weight"], mapped["input.bias"]) == ((3, 2), (3,))


def test_a_network_says_what_it_is_given() -> None:
    body = RecurrentSpec(input_size=3, hidden_size=4)
    plain = NetworkSpec(body=body, output_size=1)
    mapped = NetworkSpec(input=LinearSpec(input_size=2, output_size=3), body=body, output_size=1)
    embedded = NetworkSpec(input=EmbeddingSpec(num_embeddings=9, embedding_dim=3), body=body, output_size=1)
    assert [(one.input_size, one.vocabulary) for one in (plain, mapped, embedded)] == [(3, None), (2, None), (None, 9)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"readout": "median"}, "readout must be one of last, mean, max, every (got 'median')"),
        ({"input": 3}, "input must be EmbeddingSpec or LinearSpec or None (got int)"),
        ({"body": "lstm"}, "body must be RecurrentSpec or MLPSpec (got str)"),
        (
            {"input": EmbeddingSpec(num_embeddings=9, embedding_dim=2)},
            "the input must give as many features as the body takes (got 2 and 3); set embedding_dim",
        ),
    ],
    ids=str,
)
def test_a_meaningless_network_is_refused(fields: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"body": RecurrentSpec(input_size=3, hidden_size=4), "output_size": 1}
    with pytest.raises(ArgumentError) as error:
        NetworkSpec(**(good | fields))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_size": 0}, "input_size must be a whole number of at least 1 (got 0)"),
        ({"hidden_sizes": ()}, "hidden_sizes must name at least one layer"),
        ({"hidden_sizes": (4, 2.0)}, "hidden_sizes must be a whole number of at least 1 (got 2.0)"),
        ({"activation": "sigmoid"}, "activation must be one of tanh, logistic, relu, identity (got 'sigmoid')"),
        ({"bias": "no"}, "bias must be True or False (got 'no')"),
    ],
    ids=str,
)
def test_a_meaningless_perceptron_is_refused(fields: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"input_size": 3}
    with pytest.raises(ArgumentError) as error:
        MLPSpec(**(good | fields))
    assert message in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_body_takes_the_same_arguments(kind: str) -> None:
    body = body_spec(kind, 3, hidden_size=6, num_layers=2, bias=False)
    assert (body.input_size, body.feature_size, body.bias) == (3, 6, False)
    assert isinstance(body, MLPSpec) == (kind == "mlp")


def test_a_body_of_an_unknown_kind_or_with_what_it_has_not_is_refused() -> None:
    with pytest.raises(ArgumentError, match="unknown kind 'gru'; choose one of mlp, lstm"):
        body_spec("gru", 1)
    for name in ("bidirectional", "residual", "learned_state"):
        options: dict[str, Any] = {name: True}
        with pytest.raises(ArgumentError, match=f"{name} belongs to recurrent layers .got True with kind='mlp'"):
            body_spec("mlp", 1, **options)
    with pytest.raises(ArgumentError, match="num_layers must be a whole number of at least 1"):
        body_spec("mlp", 1, num_layers=0)


def test_residual_that_would_add_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="which no layer has here"):
        RecurrentSpec(input_size=3, hidden_size=4, residual=True)
    deep = RecurrentSpec(input_size=3, hidden_size=4, num_layers=2, residual=True)
    assert [deep.adds_input(layer) for layer in range(2)] == [False, True]
    assert RecurrentSpec(input_size=8, hidden_size=4, bidirectional=True, residual=True).adds_input(0)
