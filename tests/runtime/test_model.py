"""A loaded model predicts what the equations say, whatever the layout and the lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.artifact import Array
from peephole.equations import Layer, mlp_forward, readout_forward, stack_forward
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.runtime import Model
from peephole.spec import MLPSpec
from tests.runtime.models import PERCEPTRON, STREAMABLE, inputs, model, recurrent
from tests.tolerances import TOLERANCES

NETWORKS = {
    **STREAMABLE,
    "bidirectional": recurrent("peephole", bidirectional=True),
    "bidirectional, two layers": recurrent("coupled", bidirectional=True, num_layers=2),
    "bidirectional, every step": recurrent("lstm", bidirectional=True, readout="every"),
    "bidirectional, learned state": recurrent("lstm", bidirectional=True, num_layers=2, learned_state=True),
}


def by_equations(loaded: Model, x: Any, lengths: Any) -> Array:
    """The network in NumPy float64, on a batch of sequences."""
    weights = {name: tensor.astype(np.float64) for name, tensor in loaded.weights.items()}
    network, body = loaded.network, loaded.network.body
    if network.vocabulary is not None:
        x = weights["input.weight"][x]
    elif network.input is not None:
        x = x @ weights["input.weight"].T + weights["input.bias"]
    if isinstance(body, MLPSpec):
        layers = [
            Layer(W=weights[f"body.weight_l{i}"], b=weights.get(f"body.bias_l{i}"), activation=body.activation)
            for i in range(len(body.hidden_sizes))
        ]
        features = mlp_forward(layers, x)[-1]
    else:
        tensors = {name.removeprefix("body."): tensor for name, tensor in weights.items()}
        features = stack_forward(body, tensors, x.astype(np.float64), lengths=lengths).y
    shown = readout_forward(network.readout, features, lengths=lengths)
    return shown @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("lengths", [None, np.array([7, 0, 3, 1])], ids=["whole", "ragged"])
def test_predict_equals_equations(tmp_path: Path, name: str, dtype: str, lengths: Any) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name], dtype=dtype)
    x = inputs(loaded.network, 7, 4, dtype=dtype)
    got = loaded.predict(x, lengths=lengths)
    assert got.dtype == dtype
    expected = by_equations(loaded, x, lengths)
    np.testing.assert_allclose(got, expected, rtol=0, atol=10 * TOLERANCES[f"runtime_{dtype}"])


@pytest.mark.parametrize("name", NETWORKS)
def test_one_sequence_or_sample_is_a_batch_of_one(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    axes = () if isinstance(loaded.network.body, MLPSpec) else (5,)
    x = inputs(loaded.network, *axes)
    single, batch = loaded.predict(x), loaded.predict(np.expand_dims(x, len(axes)))
    assert single.tobytes() == batch[..., 0, :].tobytes()
    assert single.shape == batch.shape[:-2] + batch.shape[-1:]


@pytest.mark.parametrize("name", [name for name in NETWORKS if "perceptron" in name])
def test_samples_without_time_are_sequences_of_one_step(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    x = inputs(loaded.network, 4)
    step = loaded.predict(x[None])
    assert loaded.predict(x).tobytes() == step.tobytes()
    assert loaded.predict(x).shape == step.shape[-2:]


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_does_not_change_results(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    lengths = [5, 1, 3]
    x = inputs(loaded.network, 5, 3)
    for row, length in enumerate(lengths):
        x[length:, row] = 99 if loaded.network.vocabulary is not None else np.nan
    together = loaded.predict(x, lengths=lengths)
    for row, length in enumerate(lengths):
        alone = loaded.predict(x[:length, row : row + 1])[..., 0, :]
        got = together[:length, row] if loaded.network.readout == "every" else together[row]
        np.testing.assert_allclose(got, alone, rtol=0, atol=TOLERANCES["runtime_float64"])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_empty_sequence_shows_the_head_zeros(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", NETWORKS[name])
    y = loaded.predict(inputs(loaded.network, 3, 2), lengths=[0, 3])
    shown = y[:, 0] if loaded.network.readout == "every" else y[0]
    assert (shown == loaded.weights["head.bias"]).all()


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


BAD_WHOLE_NUMBERS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "too large": ([[0, 1], [6, 7]], {}, ArgumentError, r"from 0 to num_embeddings - 1 = 6 .got 7 at .* \[1, 1\]"),
    "negative": ([3, -2], {}, ArgumentError, r"got -2 at the position \[1, 0\]"),
    "too large within its length": ([[9, 1]], {"lengths": [1, 1]}, ArgumentError, "got 9"),
    "fractions": ([0.5, 1.0], {}, ArgumentTypeError, "must hold whole numbers.*got dtype float64"),
    "text": (["a"], {}, ArgumentTypeError, "whole numbers"),
    "one-hot": (np.zeros((4, 2, 7), int), {}, ArgumentError, r"shape \[T\] or \[T, B\] with.*got \[4, 2, 7\]"),
    "no step": (np.zeros((0, 2), int), {}, ArgumentError, "at least one step"),
    "lengths without a batch": ([1, 2], {"lengths": [1]}, ArgumentError, r"batch of sequences \[T, B\]; leave"),
}


@pytest.mark.parametrize("case", BAD_WHOLE_NUMBERS)
def test_bad_whole_numbers_are_one_clear_error(tmp_path: Path, case: str) -> None:
    x, options, kind, message = BAD_WHOLE_NUMBERS[case]
    loaded = model(tmp_path / "m", NETWORKS["embedding"])
    with pytest.raises(kind, match=message):
        loaded.predict(x, **options)


def test_a_perceptron_says_its_own_shapes(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", PERCEPTRON)
    with pytest.raises(ArgumentError, match=r"\[2\], \[B, 2\] or \[T, B, 2\].*got \[1, 1, 1, 2\]"):
        loaded.predict(np.zeros((1, 1, 1, 2)))
    with pytest.raises(ArgumentError, match=r"lengths belong to a batch of sequences \[T, B, 2\]"):
        loaded.predict(np.zeros((3, 2)), lengths=[1, 1, 1])
