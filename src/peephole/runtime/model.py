"""A saved network that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from peephole import kernels
from peephole.artifact import Array, Artifact
from peephole.equations.composition import stack_forward
from peephole.equations.perceptron import Layer
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.kernels.checks import Call, checked_lengths
from peephole.kernels.layout import Sizes
from peephole.runtime.stream import Stream
from peephole.spec import MLPSpec, NetworkSpec, RecurrentSpec

Lengths = Sequence[int] | np.ndarray[Any, np.dtype[np.integer[Any]]]


@final
class Model:
    """A network with its weights, computing in their dtype on the CPU.

    Args:
        saved: what :func:`peephole.artifact.load` gave.

    Attributes:
        network: what the network is made of.
        weights: its tensors by the names of :func:`peephole.weights.network_shapes`, read-only.
        task: what it was trained for, or None.
        sha256: checksum of the weights; a saved state belongs to the weights that made it.

    Raises:
        ArtifactError: where it holds an encoder-decoder, which is a :class:`SequenceModel`.
    """

    network: NetworkSpec
    weights: Mapping[str, Array]
    task: Mapping[str, Any] | None
    sha256: str

    def __init__(self, saved: Artifact) -> None:
        if not isinstance(saved.network, NetworkSpec):
            raise ArtifactError("Model: this artifact holds an encoder-decoder; open it with peephole.runtime.load")
        self.network = saved.network
        self.weights = saved.weights
        self.task = saved.task
        self.sha256 = saved.sha256

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, in which everything is computed."""
        return self.weights["head.bias"].dtype

    def predict(self, x: ArrayLike, *, lengths: Lengths | None = None) -> Array:
        """Run the network from the zero state, or from the learned one where it has one.

        Args:
            x: for a recurrent network one sequence ``[T, I]`` or a time-major batch ``[T, B, I]``,
                for a perceptron ``[I]`` or ``[B, I]``; ``T`` at least 1. Taken in the dtype of the weights.
            lengths: valid steps of each sequence of a batch, ``[B]``, 0 to ``T``; all where None.

        Returns:
            With readout ``"last"`` and for a perceptron ``[K]`` or ``[B, K]``; with ``"every"`` ``[T, K]`` or
            ``[T, B, K]``, where steps beyond a sequence's length show the head zeros.

        Raises:
            ArgumentError: for a shape or lengths that do not fit.
            ArgumentTypeError: where ``x`` holds no real numbers.
        """
        array = as_numbers("predict: x", x, self.dtype)
        body = self.network.body
        axes = 1 if isinstance(body, MLPSpec) else 2
        if array.ndim not in (axes, axes + 1) or array.shape[-1] != body.input_size or 0 in array.shape[: axes - 1]:
            steps = "" if isinstance(body, MLPSpec) else "T, "
            raise ArgumentError(
                f"predict: x must have the shape [{steps}{body.input_size}] or [{steps}B, {body.input_size}] "
                f"with at least one step (got {list(array.shape)})"
            )
        single = array.ndim == axes
        if lengths is not None and (single or isinstance(body, MLPSpec)):
            raise ArgumentError("predict: lengths belong to a batch of sequences [T, B, I]; leave them out")
        batch = array[..., None, :] if single else array
        y = _perceptron(self, body, batch) if isinstance(body, MLPSpec) else _recurrent(self, body, batch, lengths)
        return y[..., 0, :] if single else y

    def stream(self, batch_size: int | None = None) -> Stream:
        """A stream that starts from the zero state, or from the learned one where the network has one.

        Args:
            batch_size: ``B`` streams side by side, or None for a single one without a batch axis.

        Raises:
            ArgumentError: for a bidirectional network, which would have to know the future.
        """
        return Stream(self.network, self.weights, sha256=self.sha256, batch_size=batch_size)


def as_numbers(name: str, x: ArrayLike, dtype: np.dtype[Any]) -> Array:
    """``x`` as an array of ``dtype``; ``name`` is what a message calls it.

    Raises:
        ArgumentTypeError: where it holds anything but real numbers.
    """
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ArgumentTypeError(f"{name} must be an array of numbers ({error})") from error
    if array.dtype.kind not in "fiu":
        raise ArgumentTypeError(f"{name} must hold real numbers (got dtype {array.dtype}); convert it first")
    return np.ascontiguousarray(array, dtype)


def _perceptron(model: Model, body: MLPSpec, x: Array) -> Array:
    for layer in range(len(body.hidden_sizes)):
        W, b = model.weights[f"body.weight_l{layer}"], model.weights.get(f"body.bias_l{layer}")
        x = kernels.dense_forward(Layer(W=W, b=b, activation=body.activation), x)
    return _head(model, x)


def _recurrent(model: Model, body: RecurrentSpec, x: Array, lengths: Lengths | None) -> Array:
    T, B, I = x.shape  # noqa: E741
    call = Call("predict", Sizes(T, B, I, body.hidden_size), model.dtype)
    valid = None if lengths is None else checked_lengths(call, np.asarray(lengths))
    tensors = {name.removeprefix("body."): tensor for name, tensor in model.weights.items()}
    features = stack_forward(body, tensors, x, lengths=valid, forward=kernels.forward).y
    if model.network.readout == "last":
        # a sequence of length 0 shows the head step 0, which is zero then
        last = -1 if valid is None else np.maximum(valid - 1, 0)
        return _head(model, features[last, np.arange(B)])
    rows = features.reshape(T * B, body.feature_size)
    return _head(model, rows).reshape(T, B, model.network.output_size)


def _head(model: Model, features: Array) -> Array:
    """The linear layer ``y = V h + d``."""
    layer = Layer(W=model.weights["head.weight"], b=model.weights["head.bias"], activation="identity")
    return kernels.dense_forward(layer, features)
