"""What a network is given: numbers or whole numbers, checked, and the layer that it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from peephole import kernels
from peephole.artifact import Array
from peephole.equations.perceptron import Layer
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels import Backend
from peephole.spec import EmbeddingSpec, NetworkSpec

Values = np.ndarray[Any, np.dtype[Any]]


def as_numbers(name: str, x: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """``x`` as an array of ``dtype``; ``name`` is what a message calls it.

    Raises:
        ArgumentTypeError: where it holds anything but real numbers.
    """
    array = _as_array(name, x)
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(f"{name} must hold real numbers (got dtype {array.dtype}); convert it first")
    return np.ascontiguousarray(array, dtype)


def as_whole_numbers(name: str, x: ArrayLike) -> Values:
    """``x`` as an array of whole numbers, for an embedding; ``name`` is what a message calls it.

    Raises:
        ArgumentTypeError: where it holds anything but whole numbers.
    """
    array = _as_array(name, x)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(
            f"{name} must hold whole numbers, which the network's embedding looks up (got dtype {array.dtype})"
        )
    return array


def check_range(name: str, ids: Values, vocabulary: int) -> None:
    """Check that an embedding has a vector for each of ``ids``.

    Raises:
        ArgumentError: for a number below 0 or from ``vocabulary`` on.
    """
    outside = (ids < 0) | (ids >= vocabulary)
    if outside.any():
        place = [int(at) for at in np.argwhere(outside)[0]]
        where = f" at the position {place}" if place else ""
        raise ArgumentError(
            f"{name} must hold whole numbers from 0 to num_embeddings - 1 = {vocabulary - 1} "
            f"(got {ids[tuple(place)]}{where})"
        )


def enter(network: NetworkSpec, weights: Mapping[str, Array], x: Values, *, backend: Backend | None = None) -> Array:
    """The features that the body takes: looked up, mapped, or as they are.

    Args:
        network: the network.
        weights: its tensors.
        x: ``[…, I]`` of the dtype of the weights, or whole numbers ``[…]`` that were checked.
        backend: as for :func:`peephole.kernels.forward`.

    Returns:
        ``[…, input_size of the body]``.
    """
    if network.input is None:
        return x
    W = weights["input.weight"]
    if isinstance(network.input, EmbeddingSpec):
        return W[x]
    layer = Layer(W=W, b=weights["input.bias"], activation="identity")
    y = kernels.dense_forward(layer, x.reshape(-1, x.shape[-1]), backend=backend)
    return y.reshape(*x.shape[:-1], len(W))


def _as_array(name: str, x: ArrayLike) -> Values:
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ArgumentTypeError(f"{name} must be an array of numbers ({error})") from error
