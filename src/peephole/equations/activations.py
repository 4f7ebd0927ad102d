"""The functions a unit may apply, and their derivatives from the saved output (000 eq. 1-2).

A derivative is written as a function of the output ``y = φ(z)``, because the backward pass keeps outputs only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from peephole.spec import Activation

Array = np.ndarray[Any, np.dtype[Any]]


class Function(NamedTuple):
    """``φ`` and its slope: ``value(z)`` gives ``y``, ``slope(y)`` gives ``φ'(z)``."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def logistic(z: Array) -> Array:
    """``σ(z) = 1 / (1 + e^{-z})``, through ``tanh`` so that no ``z`` overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def relu(z: Array) -> Array:
    """``max(0, z)``; NaN passes through."""
    return np.maximum(z, 0.0)


def identity(z: Array) -> Array:
    """``z`` itself."""
    return z


def threshold(z: Array) -> Array:
    """1 where ``z ≥ 0``, else 0: the neuron of McCulloch and Pitts (001). It has no useful derivative."""
    return np.where(z >= 0, 1.0, 0.0)


def linear(slope: float) -> Callable[[Array], Array]:
    """``z ↦ slope · z`` (001)."""
    return lambda z: slope * z


def _slope_of_tanh(y: Array) -> Array:
    return 1.0 - y * y


def _slope_of_logistic(y: Array) -> Array:
    return y * (1.0 - y)


def _slope_of_relu(y: Array) -> Array:
    return np.where(y > 0, 1.0, 0.0)


FUNCTIONS: dict[Activation, Function] = {
    "tanh": Function(np.tanh, _slope_of_tanh),
    "logistic": Function(logistic, _slope_of_logistic),
    "relu": Function(relu, _slope_of_relu),
    "identity": Function(identity, np.ones_like),
}
"""The activations of :data:`peephole.spec.ACTIVATIONS`."""
