"""The layers of neurons in a saved network: what it begins with, a perceptron, the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from peephole import kernels
from peephole.artifact import Array
from peephole.equations.perceptron import Layer
from peephole.kernels import Backend
from peephole.spec import EmbeddingSpec, LinearSpec, MLPSpec

Weights = Mapping[str, Array]


def part(weights: Weights, name: str) -> dict[str, Array]:
    """The tensors of one part of a network (``"body"``) by the names that they have in it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}


def linear_layer(weights: Weights, name: str) -> Layer:
    """The linear map called ``name`` (``"head"``)."""
    return Layer(W=weights[f"{name}.weight"], b=weights[f"{name}.bias"], activation="identity")


def perceptron_layers(spec: MLPSpec, weights: Weights, name: str) -> list[Layer]:
    """The hidden layers of the perceptron called ``name``, the first one first."""
    return [
        Layer(W=weights[f"{name}.weight_l{at}"], b=weights.get(f"{name}.bias_l{at}"), activation=spec.activation)
        for at in range(len(spec.hidden_sizes))
    ]


def dense(layer: Layer, x: Array, *, backend: Backend | None = None) -> Array:
    """A layer on ``[…, I]``, which gives ``[…, O]``; ``backend`` as for :func:`peephole.kernels.forward`."""
    y = kernels.dense_forward(layer, x.reshape(-1, x.shape[-1]), backend=backend)
    return y.reshape(*x.shape[:-1], len(layer.W))


def enter(
    spec: EmbeddingSpec | LinearSpec | None,
    weights: Weights,
    x: np.ndarray[Any, Any],
    *,
    name: str = "input",
    backend: Backend | None = None,
) -> Array:
    """The features that a body takes: looked up, mapped, or as they are.

    Args:
        spec: what comes before the body.
        weights: the tensors of the network.
        x: ``[…, I]`` of the dtype of the weights, or whole numbers ``[…]`` that were checked.
        name: what the weights call it.
        backend: as for :func:`peephole.kernels.forward`.

    Returns:
        ``[…, input_size of the body]``.
    """
    if isinstance(spec, EmbeddingSpec):
        return weights[f"{name}.weight"][x]
    return x if spec is None else dense(linear_layer(weights, name), x, backend=backend)
