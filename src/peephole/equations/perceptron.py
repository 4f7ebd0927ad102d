"""Neuron and multilayer perceptron (000 eq. 1-14, 001).

::

    z  = (W ⊙ M) x + b          the mask M of a "partially connected" layer is 1 where there is a connection
    y  = φ(z)
    dz = dy ⊙ φ'(z)
    dW = M ⊙ Σ dz xᵀ    db = Σ dz    dx = (W ⊙ M)ᵀ dz
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from peephole.equations.activations import FUNCTIONS, Array, logistic
from peephole.shapes import Float
from peephole.spec import Activation


def neuron(
    x: Float[np.ndarray, " I"],
    w: Float[np.ndarray, " I"],
    *,
    b: float = 0.0,
    activation: Callable[[Array], Array] = logistic,
) -> float:
    """One neuron: ``φ(Σ_i w_i x_i + b)`` (000 eq. 3-4; 001)."""
    return float(activation(np.asarray(w @ x + b)))


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Parameters of one layer.

    Attributes:
        W: weights, ``[O, I]``.
        b: biases, ``[O]``, or None.
        mask: ``M``, ``[O, I]`` of ones and zeros, or None where every unit sees every input.
        activation: ``φ``.
    """

    W: Float[np.ndarray, "O I"]
    b: Float[np.ndarray, " O"] | None = None
    mask: Float[np.ndarray, "O I"] | None = None
    activation: Activation = "logistic"

    @property
    def connected(self) -> Float[np.ndarray, "O I"]:
        """``W ⊙ M``."""
        return self.W if self.mask is None else self.W * self.mask


class LayerGradients(NamedTuple):
    """Gradients of one layer: of its input ``[B, I]``, its weights ``[O, I]`` and its biases ``[O]``."""

    x: Array
    W: Array
    b: Array


def layer_forward(layer: Layer, x: Float[np.ndarray, "B I"]) -> Float[np.ndarray, "B O"]:
    """``y = φ((W ⊙ M) x + b)`` for a batch (000 eq. 3-4, 6-8)."""
    z = x @ layer.connected.T
    if layer.b is not None:
        z = z + layer.b
    return FUNCTIONS[layer.activation].value(z)


def layer_backward(
    layer: Layer, x: Float[np.ndarray, "B I"], y: Float[np.ndarray, "B O"], dy: Float[np.ndarray, "B O"]
) -> LayerGradients:
    """The error ``dy`` on the output, carried to the input and the parameters (000 eq. 12-14)."""
    dz = dy * FUNCTIONS[layer.activation].slope(y)
    dW = dz.T @ x
    if layer.mask is not None:
        dW = dW * layer.mask
    return LayerGradients(x=dz @ layer.connected, W=dW, b=dz.sum(axis=0))


def mlp_forward(layers: Sequence[Layer], x: Float[np.ndarray, "B I"]) -> list[Array]:
    """The input and every layer's output, first to last (000 eq. 6-8)."""
    outputs: list[Array] = [x]
    for layer in layers:
        outputs.append(layer_forward(layer, outputs[-1]))
    return outputs


def mlp_backward(layers: Sequence[Layer], outputs: Sequence[Array], dy: Array) -> list[LayerGradients]:
    """Every layer's gradients, first to last; ``outputs`` as :func:`mlp_forward` gave them (000 eq. 9-14)."""
    gradients: list[LayerGradients] = []
    for layer, x, y in zip(reversed(layers), reversed(outputs[:-1]), reversed(outputs[1:]), strict=True):
        gradients.append(layer_backward(layer, x, y, dy))
        dy = gradients[-1].x
    return gradients[::-1]
