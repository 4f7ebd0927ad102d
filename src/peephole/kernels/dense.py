"""One layer of neurons on NumPy arrays, with the signature and the results of :mod:`peephole.equations.perceptron`."""

from __future__ import annotations

from typing import Any

import numpy as np

from peephole.equations import perceptron as equations
from peephole.equations.perceptron import Layer, LayerGradients
from peephole.errors import ArgumentError
from peephole.kernels.backend import Backend, choose_backend
from peephole.kernels.checks import Array, checked_array, checked_input
from peephole.kernels.core import Dtype
from peephole.kernels.native import address_of, run_dense_backward, run_dense_forward
from peephole.shapes import Float
from peephole.spec import ACTIVATIONS


def dense_forward(
    layer: Layer, x: Float[np.ndarray, "B I"], *, backend: Backend | None = None
) -> Float[np.ndarray, "B O"]:
    """``y = φ((W ⊙ M) x + b)`` for a batch (000 eq. 3-4, 6-8).

    Args:
        layer: parameters, of the dtype of ``x``.
        x: input, float32 or float64.
        backend: as for :func:`peephole.kernels.forward`.

    Raises:
        ArgumentTypeError: for something that is no array, or of another dtype.
        ArgumentError: for a wrong shape or an unknown activation.
        BackendError: where the compiled core is asked for and missing.
    """
    x = checked_input("dense_forward", x, "B I")
    buffers, sizes = _checked_layer("dense_forward", layer, x)
    if choose_backend(backend) == "reference":
        return equations.layer_forward(_wide(layer), x.astype(np.float64)).astype(x.dtype)
    buffers["y"] = np.empty((sizes[0], sizes[2]), x.dtype)
    run_dense_forward(layer.activation, sizes, _dtype(x), _addresses(buffers))
    return buffers["y"]


def dense_backward(
    layer: Layer,
    x: Float[np.ndarray, "B I"],
    y: Float[np.ndarray, "B O"],
    dy: Float[np.ndarray, "B O"],
    *,
    backend: Backend | None = None,
) -> LayerGradients:
    """The error ``dy`` on the output, carried to the input and the parameters (000 eq. 12-14).

    Args:
        layer: parameters, of the dtype of ``x``.
        x: input, float32 or float64.
        y: what :func:`dense_forward` returned.
        dy: the error on ``y``.
        backend: as for :func:`peephole.kernels.forward`.

    Raises:
        ArgumentTypeError: for something that is no array, or of another dtype.
        ArgumentError: for a wrong shape or an unknown activation.
        BackendError: where the compiled core is asked for and missing.
    """
    x = checked_input("dense_backward", x, "B I")
    buffers, sizes = _checked_layer("dense_backward", layer, x)
    B, I, O = sizes  # noqa: E741
    for name, value in (("y", y), ("dy", dy)):
        buffers[name] = checked_array("dense_backward", name, value, (B, O), x.dtype, dimensions="B O")
    if choose_backend(backend) == "reference":
        wide = (buffers[name].astype(np.float64) for name in ("x", "y", "dy"))
        return LayerGradients(*(q.astype(x.dtype) for q in equations.layer_backward(_wide(layer), *wide)))
    gradients = {"dx": np.empty((B, I), x.dtype), "dW": np.empty((O, I), x.dtype), "db": np.empty(O, x.dtype)}
    run_dense_backward(layer.activation, sizes, _dtype(x), _addresses(buffers | gradients))
    return LayerGradients(x=gradients["dx"], W=gradients["dW"], b=gradients["db"])


def _checked_layer(owner: str, layer: Layer, x: Array) -> tuple[dict[str, Array], tuple[int, int, int]]:
    """The layer's parameters and ``x`` as buffers, and the sizes ``B, I, O``."""
    if layer.activation not in ACTIVATIONS:
        raise ArgumentError(f"{owner}: activation must be one of {', '.join(ACTIVATIONS)} (got {layer.activation!r})")
    B, I = x.shape  # noqa: E741
    shape = np.shape(layer.W)
    if not shape or not shape[0]:
        raise ArgumentError(f"{owner}: W must have the shape [O, I] with at least one unit (got {shape})")
    O = shape[0]  # noqa: E741
    wanted = {"W": (layer.W, (O, I), "O I"), "b": (layer.b, (O,), "O"), "mask": (layer.mask, (O, I), "O I")}
    buffers = {
        name: checked_array(owner, name, value, shape, x.dtype, dimensions=letters)
        for name, (value, shape, letters) in wanted.items()
        if value is not None
    }
    return {**buffers, "x": x}, (B, I, O)


def _wide(layer: Layer) -> Layer:
    def wide(q: Array | None) -> Any:
        return None if q is None else q.astype(np.float64)

    return Layer(W=wide(layer.W), b=wide(layer.b), mask=wide(layer.mask), activation=layer.activation)


def _addresses(buffers: dict[str, Array]) -> dict[str, int]:
    return {name: address_of(array) for name, array in buffers.items()}


def _dtype(x: Array) -> Dtype:
    return "float32" if x.dtype == np.float32 else "float64"
