"""A loaded model predicts what the equations say, whatever the layout and the lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.artifact import Array
from peephole.equations import Layer, mlp_forward, stack_forward
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.runtime import Model
from peephole.spec import MLPSpec
from tests.runtime.models import PERCEPTRON, STREAMABLE, model, recurrent
from tests.tolerances import TOLERANCES

NETWORKS = {
    **STREAMABLE,
    "bidirectional": recurrent("peephole", bidirectional=True),
    "bidirectional, two layers": recurrent("coupled", bidirectional=True, num_layers=2),
    "bidirectional, every step": recurrent("lstm", bidirectional=True, readout="every"),
    "bidirectional, learned state": recurrent("lstm", bidirectional=True, num_layers=2, learned_state=True),
}


def inputs(loaded: Model, *axes: int, seed: int = 1) -> Array:
    shape = (*axes, loaded.network.body.input_size)
    return np.random.default_rng(seed).normal(size=shape).astype(loaded.dtype)


def by_equations(loaded: Model, x: Array) -> Array:
    """The network in NumPy float64, every step's output."""
    weights = {name: tensor.astype(np.float64) for name, tensor in loaded.weights.items()}
    body = loaded.network.body
    if isinstance(body, MLPSpec):
        layers = [
            Layer(W=weights[f"body.weight_l{i}"], b=weights.get(f"body.bias_l{i}"), activation=body.activation)
            for i in range(len(body.hidden_sizes))
        ]
        features = mlp_forward(layers, x)[-1]
    else:
        tensors = {name.removeprefix("body."): tensor for name, tensor in weights.items()}
        features = stack_forward(body, tensors, x.astype(np.float64)).y
    return features @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predict_equals_equations(tmp_path: Path, name: str, dtype: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name], dtype=dtype)
    perceptron = isinstance(loaded.network.body, MLPSpec)
    x = inputs(loaded, 4) if perceptron else inputs(loaded, 7, 4)
    expected = by_equations(loaded, x)
    if not perceptron and loaded.network.readout == "last":
        expected = expected[-1]
    got = loaded.predict(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=10 * TOLERANCES[f"runtime_{dtype}"])


@pytest.mark.parametrize("name", NETWORKS)
def test_one_sequence_is_a_batch_of_one(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    axes = () if isinstance(loaded.network.body, MLPSpec) else (5,)
    x = inputs(loaded, *axes)
    single, batch = loaded.predict(x), loaded.predict(x[..., None, :])
    assert single.tobytes() == batch[..., 0, :].tobytes()
    assert single.shape == batch.shape[:-2] + batch.shape[-1:]


@pytest.mark.parametrize("name", [name for name in NETWORKS if "perceptron" not in name])
def test_padding_does_not_change_results(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    lengths = [5, 1, 3]
    x = inputs(loaded, 5, 3)
    together = loaded.predict(x, lengths=lengths)
    for row, length in enumerate(lengths):
        alone = loaded.predict(x[:length, row])
        got = together[:length, row] if loaded.network.readout == "every" else together[row]
        np.testing.assert_allclose(got, alone, rtol=0, atol=TOLERANCES["runtime_float64"])


def test_an_empty_sequence_shows_the_head_zeros(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", recurrent("peephole"))
    y = loaded.predict(inputs(loaded, 3, 2), lengths=[0, 3])
    assert y[0].tobytes() == loaded.weights["head.bias"].tobytes()


@pytest.mark.parametrize(("readout", "shape"), [("last", (0, 3)), ("every", (4, 0, 3))])
def test_an_empty_batch_gives_an_empty_batch(tmp_path: Path, readout: str, shape: tuple[int, ...]) -> None:
    loaded = model(tmp_path / "m", recurrent("lstm", readout=readout))
    assert loaded.predict(np.zeros((4, 0, 2))).shape == shape


@given(data=st.data())
def test_whole_numbers_and_lists_are_taken_as_numbers(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    loaded = model(tmp_path_factory.mktemp("model") / "m", recurrent("lstm"))
    steps = data.draw(st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=4))
    assert loaded.predict(steps).tobytes() == loaded.predict(np.array(steps, np.float64)).tobytes()


BAD_INPUTS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "wrong features": (np.zeros((4, 3)), {}, ArgumentError, r"\[T, 2\] or \[T, B, 2\].*got \[4, 3\]"),
    "a number": (1.0, {}, ArgumentError, "x must have the shape"),
    "one step": (np.zeros(2), {}, ArgumentError, "x must have the shape"),
    "no step": (np.zeros((0, 2)), {}, ArgumentError, "at least one step"),
    "no step in a batch": (np.zeros((0, 3, 2)), {}, ArgumentError, "at least one step"),
    "text": ([["a", "b"]], {}, ArgumentTypeError, "real numbers"),
    "complex": (np.zeros((4, 2), complex), {}, ArgumentTypeError, "real numbers"),
    "ragged lists": ([[1, 2], [3]], {}, ArgumentTypeError, "array of numbers"),
    "lengths without a batch": (np.zeros((4, 2)), {"lengths": [4]}, ArgumentError, "lengths belong to a batch"),
    "too few lengths": (np.zeros((4, 2, 2)), {"lengths": [4]}, ArgumentError, "lengths must have the shape"),
    "too long": (np.zeros((4, 1, 2)), {"lengths": [5]}, ArgumentError, "lengths must be from 0 to T = 4"),
    "negative": (np.zeros((4, 1, 2)), {"lengths": [-1]}, ArgumentError, "lengths must be from 0 to T = 4"),
    "half a step": (np.zeros((4, 1, 2)), {"lengths": [1.5]}, ArgumentTypeError, "whole numbers"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_clear_error(tmp_path: Path, case: str) -> None:
    x, options, kind, message = BAD_INPUTS[case]
    loaded = model(tmp_path / "m", recurrent("lstm"))
    with pytest.raises(kind, match=message):
        loaded.predict(x, **options)


def test_a_perceptron_says_its_own_shapes(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", PERCEPTRON)
    with pytest.raises(ArgumentError, match=r"\[2\] or \[B, 2\].*got \[1, 1, 2\]"):
        loaded.predict(np.zeros((1, 1, 2)))
    with pytest.raises(ArgumentError, match="lengths belong to a batch of sequences"):
        loaded.predict(np.zeros((3, 2)), lengths=[1, 1, 1])
