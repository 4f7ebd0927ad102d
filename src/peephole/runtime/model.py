"""A saved network that predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from peephole import kernels
from peephole.artifact import Array, Artifact
from peephole.equations.composition import stack_forward
from peephole.equations.readout import readout_forward
from peephole.errors import ArgumentError, ArtifactError
from peephole.runtime.inputs import Lengths, Values, as_numbers, as_whole_numbers, check_range, checked_ends
from peephole.runtime.layers import dense, enter, linear_layer, part, perceptron_layers
from peephole.runtime.sequences import before_the_end
from peephole.runtime.stream import Stream
from peephole.spec import MLPSpec, NetworkSpec, RecurrentSpec


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

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> network = spec.NetworkSpec(body=spec.body_spec("peephole", 2), output_size=3)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> artifact.save("model", network, zeros)
        >>> model = runtime.load("model")
        >>> model.predict(np.ones((20, 2))).shape, model.predict(np.ones((20, 4, 2)), lengths=[20, 3, 0, 7]).shape
        ((3,), (4, 3))
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
            x: one sequence ``[T, I]`` or a time-major batch ``[T, B, I]``; a perceptron takes the batch, each step by
                itself, and samples without time, ``[I]`` or ``[B, I]``. ``T`` at least 1. Taken in the dtype of the
                weights. For an embedding whole numbers without the last axis: ``[T]`` or ``[T, B]``, and for a
                perceptron ``[]``, ``[B]`` or ``[T, B]``.
            lengths: valid steps of each sequence of a batch, ``[B]``, 0 to ``T``; all where None. What lies behind is
                not looked at.

        Returns:
            With the readouts ``"last"``, ``"mean"`` and ``"max"`` ``[K]`` or ``[B, K]``, and an empty sequence shows
            the head zeros; with ``"every"`` ``[T, K]`` or ``[T, B, K]``, where steps beyond a sequence's length do.
            Samples without time give ``[K]`` or ``[B, K]``.

        Raises:
            ArgumentError: for a shape or lengths that do not fit, or a whole number that the embedding does not have.
            ArgumentTypeError: where ``x`` holds no real numbers (for an embedding: no whole ones).
        """
        batch, valid, told = self._batch(x, lengths)
        features = self._features(batch, valid)
        q = readout_forward(self.network.readout, features, lengths=valid)
        y = dense(linear_layer(self.weights, "head"), q)
        if y.ndim == 3 and not told.time:
            y = y[0]
        return y if told.batch else y[..., 0, :]

    def stream(self, batch_size: int | None = None) -> Stream:
        """A stream that starts from the zero state, or from the learned one where the network has one.

        Args:
            batch_size: ``B`` streams side by side, or None for a single one without a batch axis.

        Raises:
            ArgumentError: for a bidirectional network, which would have to know the future.
        """
        return Stream(self.network, self.weights, sha256=self.sha256, batch_size=batch_size)

    def _batch(self, x: ArrayLike, lengths: Lengths | None) -> tuple[Values, Values | None, _Axes]:
        """The input as ``[T, B, I]`` or whole numbers ``[T, B]``, the lengths, and which axes the input had."""
        network, vocabulary = self.network, self.network.vocabulary
        values: Values = (
            as_numbers("predict: x", x, self.dtype) if vocabulary is None else as_whole_numbers("predict: x", x)
        )
        told = _axes(network, values)
        if not told.batch:
            values = np.expand_dims(values, int(told.time))
        if not told.time:
            values = values[None]
        valid = None
        if lengths is not None:
            if not (told.time and told.batch):
                raise ArgumentError(
                    f"predict: lengths belong to a batch of sequences {_layout(network, 'T, B')}; leave them out"
                )
            valid = checked_ends("predict", lengths, steps=values.shape[0], batch=values.shape[1])
            values = before_the_end(valid, values)
        if vocabulary is not None:
            check_range("predict: x", values, vocabulary)
        return values, valid, told

    def _features(self, x: Values, lengths: Values | None) -> Array:
        """What the body makes of every step, ``[T, B, F]``."""
        body = self.network.body
        features = enter(self.network.input, self.weights, x)
        if isinstance(body, RecurrentSpec):
            tensors = part(self.weights, "body")
            return stack_forward(body, tensors, features, lengths=lengths, forward=kernels.forward).y
        for layer in perceptron_layers(body, self.weights, "body"):
            features = dense(layer, features)
        return features


class _Axes(NamedTuple):
    """Which axes an input has before its features."""

    time: bool
    batch: bool


def _axes(network: NetworkSpec, values: Values) -> _Axes:
    """The axes that an input was given with; the features and the number of steps are checked."""
    perceptron, size = isinstance(network.body, MLPSpec), network.input_size
    axes = values.ndim if size is None else values.ndim - 1
    kinds = {0: _Axes(False, False), 1: _Axes(False, True)} if perceptron else {1: _Axes(True, False)}
    told = {**kinds, 2: _Axes(True, True)}.get(axes)
    if told is None or (size is not None and values.shape[-1] != size) or (told.time and not len(values)):
        layouts = ("", "B", "T, B") if perceptron else ("T", "T, B")
        *others, last = (_layout(network, letters) for letters in layouts)
        raise ArgumentError(
            f"predict: x must have the shape {', '.join(others)} or {last} with at least one step "
            f"(got {list(values.shape)})"
        )
    return told


def _layout(network: NetworkSpec, letters: str) -> str:
    size = "" if network.input_size is None else str(network.input_size)
    return f"[{', '.join(part for part in (letters, size) if part)}]"
