"""The numbers that the papers print and that a program can hold to."""

from __future__ import annotations

import numpy as np
import pytest

from peephole.equations import forward, neuron
from peephole.equations.activations import linear, threshold
from peephole.equations.losses import multiclass_hinge
from peephole.spec import CellSpec
from peephole.weights import cell_shapes, row_slices


def test_linear_neuron_of_001_gives_258() -> None:
    x = np.array([2.0, 6.0, 8.0, 12.0, 0.0])
    assert neuron(x, np.arange(1.0, 6.0), activation=linear(3.0)) == 258.0


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_threshold_neuron_of_001_is_and(a: int, b: int) -> None:
    assert neuron(np.array([a, b], float), np.ones(2), b=-1.5, activation=threshold) == (a and b)


@pytest.mark.parametrize(
    ("scores", "target", "loss"),
    [((-0.5, 1.5, 1.0), 0, 5.5), ((1.0, 1.5, -1.0), 1, 0.5), ((-2.0, -1.0, 1.0), 2, 0.0)],
)
def test_hinge_losses_of_001(scores: tuple[float, ...], target: int, loss: float) -> None:
    value, _ = multiclass_hinge(np.array([scores]), np.array([target]))
    assert value == loss


def test_shapes_of_003_with_two_units_and_lag_two() -> None:
    """The lags are the features of one step there: W 2×2, U 2×2, b 2×1 and every gate 2×1."""
    spec = CellSpec()
    rng = np.random.default_rng(0)
    shapes = cell_shapes(spec, 2, 2)
    weights = {letter: rng.standard_normal(shape) for letter, shape in shapes.items()}
    tape = forward(spec, weights, rng.standard_normal((1, 1, 2)))
    for rows in row_slices(spec, 2).values():
        assert weights["W"][rows].shape == (2, 2)
        assert weights["R"][rows].shape == (2, 2)
        assert weights["b"][rows].shape == (2,)
        assert tape.gates[0, :, rows].T.shape == (2, 1)
    assert tape.y.shape == (1, 1, 2)
