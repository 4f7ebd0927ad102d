"""What a trace shows is what the equations of the cell say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from peephole import inspection
from peephole.artifact import Artifact
from peephole.equations import stack_forward
from peephole.errors import ArgumentError
from peephole.runtime import Model
from peephole.spec import CellSpec, EmbeddingSpec, LinearSpec, MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import network_shapes
from tests.cells import CELLS, EVERYTHING_AT_ONCE
from tests.tolerances import TOLERANCES


def saved(body: RecurrentSpec | MLPSpec, start: EmbeddingSpec | LinearSpec | None = None) -> Artifact:
    rng = np.random.default_rng(0)
    network = NetworkSpec(input=start, body=body, output_size=1)
    weights = {name: 0.5 * rng.standard_normal(shape) for name, shape in network_shapes(network).items()}
    return Artifact(network=network, weights=weights, task=None, sha256="", peephole_version="")


def recurrent(cell: CellSpec, **arguments: Any) -> Artifact:
    return saved(RecurrentSpec(cell=cell, input_size=2, hidden_size=6, **arguments))


X = np.random.default_rng(1).standard_normal((7, 2))


@pytest.mark.parametrize("learned_state", [False, True], ids=["from zero", "learned state"])
@pytest.mark.parametrize("name", CELLS)
def test_every_layer_and_direction_is_the_stack_of_the_equations(name: str, learned_state: bool) -> None:
    model = recurrent(CELLS[name], num_layers=2, bidirectional=True, learned_state=learned_state)
    body = model.network.body
    assert isinstance(body, RecurrentSpec)
    tensors = {key.removeprefix("body."): value for key, value in model.weights.items()}
    tapes = iter(stack_forward(body, tensors, X[:, None]).cells)
    for layer in range(2):
        for direction in range(2):
            found, tape = inspection.trace(model, X, layer=layer, direction=direction), next(tapes)
            np.testing.assert_allclose(found["h"], tape.y[:, 0], atol=TOLERANCES["same_sum_in_another_order"])
            if tape.c is not None:
                np.testing.assert_allclose(found["c"], tape.c[:, 0], atol=TOLERANCES["same_sum_in_another_order"])


@pytest.mark.parametrize("name", CELLS)
def test_a_trace_holds_the_parts_the_cell_has(name: str) -> None:
    cell = CELLS[name]
    found = inspection.trace(recurrent(cell), X)
    parts = "".join(cell.rows) + ("f" if cell.coupled else "") + "ch"
    assert sorted(found) == sorted(parts if cell.cell == "lstm" else "h")
    for letter in set(found) & set("ifo"):
        assert found[letter].shape == (len(X), 6 // cell.cells_per_block)
        assert 0 <= found[letter].min() <= found[letter].max() <= 1


def test_coupled_gates_add_up_to_one() -> None:
    found = inspection.trace(recurrent(CELLS["coupled"]), X)
    np.testing.assert_array_equal(found["i"] + found["f"], np.ones_like(found["i"]))


def test_a_trace_can_be_drawn_with_everything_at_once() -> None:
    found = inspection.trace(recurrent(EVERYTHING_AT_ONCE), X)
    assert inspection.gates(found, X[:, 0]).axes


START = {
    "features": None,
    "linear": LinearSpec(input_size=3, output_size=2),
    "embedding": EmbeddingSpec(num_embeddings=5, embedding_dim=2),
}


@pytest.mark.parametrize("start", START)
def test_a_trace_begins_where_the_network_does(start: str) -> None:
    body = RecurrentSpec(input_size=2, hidden_size=4, num_layers=3, residual=True)
    model = saved(body, START[start])
    x: Any = np.array([0, 4, 2, 4]) if start == "embedding" else X[:, [0, 1, 0]] if start == "linear" else X
    predicted = Model(model).predict(x)
    h = sum(inspection.trace(model, x, layer=layer)["h"][-1] for layer in range(3))  # what a residual stack gives
    expected = model.weights["head.weight"] @ h + model.weights["head.bias"]
    np.testing.assert_allclose(predicted, expected, atol=TOLERANCES["same_sum_in_another_order"])


EMBEDDED = saved(RecurrentSpec(input_size=2, hidden_size=4), START["embedding"])
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "mlp": (lambda: inspection.trace(saved(MLPSpec(input_size=2)), X), "must be recurrent"),
    "layer": (lambda: inspection.trace(recurrent(CellSpec()), X, layer=1), "1 layer"),
    "direction": (lambda: inspection.trace(recurrent(CellSpec()), X, direction=1), "1 direction"),
    "shape": (lambda: inspection.trace(recurrent(CellSpec()), X[:, :1]), "x must have shape"),
    "no steps": (lambda: inspection.trace(recurrent(CellSpec()), X[:0]), "x must have shape"),
    "a number that is none": (lambda: inspection.trace(EMBEDDED, np.array([1, 5])), "trace: x must hold whole .*got 5"),
    "rows of numbers": (lambda: inspection.trace(EMBEDDED, np.array([[1, 2]])), r"x must have shape \[steps\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        call()
