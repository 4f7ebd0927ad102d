"""A network that is stepped: one input in, one output out, the state kept between.

Everything a step needs is laid out once, when the stream is made; a step copies its input in, calls the compiled
core once for each layer on fixed addresses, and copies the output out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast, final

import numpy as np
from numpy.typing import ArrayLike

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels import layout
from peephole.kernels.native import Dtype, address_of, run_dense_forward, run_forward
from peephole.runtime import snapshot
from peephole.spec import Activation, MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import cell_weights


@final
class Stream:
    """A network with a state, made by :meth:`peephole.runtime.Model.stream`.

    A stream of steps gives what :meth:`~peephole.runtime.Model.predict` gives on the sequence of the same inputs.
    Whether inputs are finite is not looked at: a NaN stays in the state until :meth:`reset`.

    Args:
        network: the network.
        weights: its tensors, all of one dtype.
        sha256: checksum of the weights, which a saved state carries.
        batch_size: ``B``, or None for a single stream without a batch axis.

    Raises:
        ArgumentError: for a bidirectional network, or a batch size below 1.
        BackendError: where the compiled core is missing.
    """

    def __init__(
        self, network: NetworkSpec, weights: Mapping[str, Array], *, sha256: str, batch_size: int | None = None
    ) -> None:
        if isinstance(network.body, RecurrentSpec) and network.body.bidirectional:
            raise ArgumentError(
                "stream: a bidirectional network reads a sequence from both ends and cannot be stepped; "
                "use predict on whole sequences, or train with bidirectional=False"
            )
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise ArgumentError(f"stream: batch_size must be None or a whole number of at least 1 (got {batch_size!r})")
        self._sha256 = sha256
        self._steps = _Steps(network, weights, batch=batch_size or 1)
        rows = () if batch_size is None else (batch_size,)
        self._input_shape = (*rows, network.body.input_size)
        self._x = self._steps.x.reshape(self._input_shape)
        self._y = self._steps.y.reshape(*rows, network.output_size)

    def step(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Take one input and give one output; the state moves on by one step.

        Args:
            x: ``[I]``, or ``[B, I]`` of a stream with a batch size.
            out: where to write the output, to spare making a new array.

        Returns:
            ``[K]`` or ``[B, K]``: ``out``, or a new array.

        Raises:
            ArgumentError: for an ``x`` or ``out`` of another shape; the state is then as before.
            ArgumentTypeError: where ``x`` holds no real numbers.
        """
        given = np.asarray(x)
        if given.shape != self._input_shape:
            raise ArgumentError(f"step: x must have the shape {list(self._input_shape)} (got {list(given.shape)})")
        if out is not None and (out.shape != self._y.shape or out.dtype != self._y.dtype):
            raise ArgumentError(
                f"step: out must have the shape {list(self._y.shape)} and dtype {self._y.dtype} "
                f"(got {list(out.shape)} and {out.dtype})"
            )
        if given.dtype.kind not in "fiu":
            raise ArgumentTypeError(f"step: x must hold real numbers (got dtype {given.dtype}); convert it first")
        np.copyto(self._x, given, casting="unsafe")
        for call in self._steps.calls:
            call()
        if out is None:
            return self._y.copy()
        np.copyto(out, self._y)
        return out

    @property
    def state(self) -> State:
        """A copy of the state, every layer stacked: ``h`` ``[L, B, P]``, ``c`` ``[L, B, H]``, ``r`` ``[L, B, G]``.

        ``c`` and ``r`` are None where the cell has none; the ``h`` of a perceptron is empty. What is set is copied.

        Raises:
            ArgumentError: on setting a state of other parts or shapes; the old one is then kept.
        """
        h, c, r = self._steps.state
        return State(h.copy(), None if c is None else c.copy(), None if r is None else r.copy())

    @state.setter
    def state(self, state: State) -> None:
        parts = list(zip(State._fields, self._steps.state, state, strict=True))
        for name, own, given in parts:
            wanted, got = (None if part is None else np.shape(part) for part in (own, given))
            if wanted != got:
                raise ArgumentError(f"stream: {name} of the state must have the shape {wanted} (got {got})")
        for _, own, given in parts:
            if own is not None and given is not None:
                np.copyto(own, given)

    def reset(self) -> None:
        """Go back to the zero state."""
        for part in self._steps.state:
            if part is not None:
                part.fill(0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to an ``.npz`` file; one that is there is replaced.

        Raises:
            ArtifactError: where it cannot be written.
        """
        snapshot.write(path, self.arrays(), sha256=self._sha256)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go back to a state that :meth:`save` wrote, bit for bit.

        Raises:
            ArtifactError: where the file holds no state of this model and batch size; the old one is then kept.
        """
        self.restore(snapshot.read(path, self.arrays(), sha256=self._sha256))

    def arrays(self) -> dict[str, Array]:
        """The state by name, as :meth:`save` writes it."""
        return {
            name: part.copy() for name, part in zip(State._fields, self._steps.state, strict=True) if part is not None
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a state that :meth:`arrays` gave."""
        self.state = State(arrays["h"], arrays.get("c"), arrays.get("r"))


@final
class _Steps:
    """Buffers and prepared calls of one step through the whole network.

    Attributes:
        x: where the input goes, ``[B, I]``.
        y: where the output comes, ``[B, K]``.
        state: buffers of the state, every layer stacked; a step writes the new state over the old.
        calls: one call of the compiled core for each layer, then the head.
    """

    x: Array
    y: Array
    state: State
    calls: tuple[Callable[[], None], ...]

    def __init__(self, network: NetworkSpec, weights: Mapping[str, Array], *, batch: int) -> None:
        head = weights["head.weight"]
        self._kept: list[Array] = []  # what the addresses point to
        self._dtype: Dtype = cast("Dtype", str(head.dtype))
        self.x = np.zeros((batch, network.body.input_size), head.dtype)
        if isinstance(network.body, MLPSpec):
            self.state = State(np.zeros((0, batch, 0), head.dtype))
            calls, features = self._perceptron(network.body, weights)
        else:
            self.state = _zero_state(network.body, batch, head.dtype)
            calls, features = self._recurrent(network.body, weights)
        last, self.y = self._dense(features, head, weights["head.bias"], "identity")
        self.calls = (*calls, last)

    def _perceptron(self, body: MLPSpec, weights: Mapping[str, Array]) -> tuple[list[Callable[[], None]], Array]:
        calls: list[Callable[[], None]] = []
        features = self.x
        for layer in range(len(body.hidden_sizes)):
            weight, bias = weights[f"body.weight_l{layer}"], weights.get(f"body.bias_l{layer}")
            call, features = self._dense(features, weight, bias, body.activation)
            calls.append(call)
        return calls, features

    def _recurrent(self, body: RecurrentSpec, weights: Mapping[str, Array]) -> tuple[list[Callable[[], None]], Array]:
        """One call a layer: its ``h``, written in place, is the ``x`` of the next."""
        calls: list[Callable[[], None]] = []
        x = self.x
        for layer in range(body.num_layers):
            buffers = cell_weights(weights, body, layer, 0, prefix="body.")
            for name, part in zip(State._fields, self.state, strict=True):
                if part is not None:
                    buffers[f"{name}0"] = buffers[f"{name}_n"] = part[layer]
            sizes = layout.Sizes(T=1, B=len(x), I=x.shape[1], H=body.hidden_size)
            calls.append(partial(run_forward, body.cell, sizes, self._dtype, self._addresses({"x": x, **buffers})))
            x = self.state.h[layer]
        return calls, x

    def _dense(
        self, x: Array, weight: Array, bias: Array | None, activation: Activation
    ) -> tuple[Callable[[], None], Array]:
        y = np.zeros((len(x), len(weight)), x.dtype)
        buffers = {"W": weight, "x": x, "y": y} | ({} if bias is None else {"b": bias})
        sizes = (len(x), x.shape[1], len(weight))
        return partial(run_dense_forward, activation, sizes, self._dtype, self._addresses(buffers)), y

    def _addresses(self, buffers: Mapping[str, Array]) -> dict[str, int]:
        self._kept.extend(buffers.values())
        return {name: address_of(array) for name, array in buffers.items()}


def _zero_state(body: RecurrentSpec, batch: int, dtype: np.dtype[np.floating[Any]]) -> State:
    sizes = layout.Sizes(T=1, B=batch, I=body.input_size, H=body.hidden_size)
    shapes = layout.input_shapes(body.cell, sizes)

    def zeros(name: str) -> Array | None:
        return np.zeros((body.num_layers, *shapes[name]), dtype) if name in shapes else None

    h = np.zeros((body.num_layers, *shapes["h0"]), dtype)
    return State(h, zeros("c0"), zeros("r0"))
