"""A network that is stepped: one input in, one output out, the state kept between.

Everything a step needs is laid out once, when the stream is made (:mod:`peephole.runtime.steps`). A step then hands the
caller's arrays to the core as they are; where they are not as the core needs them, it copies the input in, lets the
network go on, and copies the output out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels import choose_backend
from peephole.runtime import snapshot
from peephole.runtime.inputs import check_range
from peephole.runtime.native_steps import NativeSteps
from peephole.runtime.reference_steps import ReferenceSteps
from peephole.spec import NetworkSpec, RecurrentSpec


@final
class Stream:
    """A network with a state, made by :meth:`peephole.runtime.Model.stream`.

    A stream of steps gives what :meth:`~peephole.runtime.Model.predict` gives on the sequence of the same inputs: after
    each step the output at that step, which is the last as well as one of every, or that of the mean or the maximum of
    the steps so far.
    Whether inputs are finite is not looked at: a NaN stays in the state until :meth:`reset`. The backend is the one
    that :func:`peephole.kernels.choose_backend` gives when the stream is made; the compiled core keeps to the
    instruction set that is in use then. A stream is for one thread at a time; two streams do not know of one another.

    Args:
        network: the network.
        weights: its tensors, all of one dtype.
        sha256: checksum of the weights, which a saved state carries.
        batch_size: ``B``, or None for a single stream without a batch axis.

    Raises:
        ArgumentError: for a bidirectional network, or a batch size below 1.
        BackendError: where the compiled core is asked for and missing, or cannot be loaded.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> network = spec.NetworkSpec(body=spec.body_spec("peephole", 2), output_size=3)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> artifact.save("model", network, zeros)
        >>> stream = runtime.load("model").stream(batch_size=4)
        >>> stream.step(np.ones((4, 2))).shape, stream.state.c.shape
        ((4, 3), (1, 4, 32))
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
        self._vocabulary = network.vocabulary
        steps = NativeSteps if choose_backend() == "native" else ReferenceSteps
        self._steps = steps(network, weights, batch=batch_size)
        self._x, self._y, self._take = self._steps.x, self._steps.y, self._steps.take

    def step(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Take one input and give one output; the state moves on by one step.

        Args:
            x: ``[I]``, or ``[B, I]`` of a stream with a batch size. Quickest is a contiguous array of the network's
                dtype: the core then reads it where it is. For an embedding a whole number, or ``[B]`` of them.
            out: where to write the output, to spare making a new array; it may be ``x`` itself.

        Returns:
            ``[K]`` or ``[B, K]``: ``out``, or a new array.

        Raises:
            ArgumentError: for an ``x`` or ``out`` of another shape, a whole number that the embedding does not have, or
                an ``out`` that cannot be written; the state is then as before.
            ArgumentTypeError: where ``x`` holds no real numbers (for an embedding: no whole ones).
        """
        # a step takes about as long as a few of these lines: what can be taken as it is is not looked at twice
        if out is not None:
            if self._take(x, out):
                return out
        elif self._take(x, self._y):
            return self._y.copy()
        return self._checked_step(x, out)

    def _checked_step(self, x: ArrayLike, out: Array | None) -> Array:
        given = np.asarray(x)
        if given.shape != self._x.shape:
            raise ArgumentError(f"step: x must have the shape {list(self._x.shape)} (got {list(given.shape)})")
        if out is not None and (out.shape != self._y.shape or out.dtype != self._y.dtype):
            raise ArgumentError(
                f"step: out must have the shape {list(self._y.shape)} and dtype {self._y.dtype} "
                f"(got {list(out.shape)} and {out.dtype})"
            )
        if out is not None and not out.flags.writeable:
            raise ArgumentError("step: out must be an array that can be written (got a read-only one); give a copy")
        if given.dtype.kind not in ("fiu" if self._vocabulary is None else "iu"):
            kind = "real" if self._vocabulary is None else "whole"
            raise ArgumentTypeError(f"step: x must hold {kind} numbers (got dtype {given.dtype}); convert it first")
        if self._vocabulary is not None:
            check_range("step: x", given, self._vocabulary)
        np.copyto(self._x, given, casting="unsafe")
        self._steps.advance()
        if out is None:
            return self._y.copy()
        np.copyto(out, self._y)
        return out

    @property
    def state(self) -> State:
        """A copy of the state, every layer stacked: ``h`` ``[L, B, P]``, ``c`` ``[L, B, H]``, ``r`` ``[L, B, G]``.

        ``c`` and ``r`` are None where the cell has none; the ``h`` of a perceptron is empty. What is set is copied. A
        network that reads out a mean or maximum remembers more than that: :meth:`arrays` has all of it.

        Raises:
            ArgumentError: on setting a state of other parts or shapes, or that of a network that remembers more; the
                old one is then kept.
        """
        h, c, r = self._steps.state
        return State(h.copy(), None if c is None else c.copy(), None if r is None else r.copy())

    @state.setter
    def state(self, state: State) -> None:
        if self._steps.memory:
            raise ArgumentError(
                "stream: the state of a network that reads out a mean or maximum is more than h, c and r; "
                "go back to it with restore(arrays)"
            )
        self._set(state)

    def _set(self, state: State) -> None:
        parts = list(zip(State._fields, self._steps.state, state, strict=True))
        for name, own, given in parts:
            wanted, got = (None if part is None else np.shape(part) for part in (own, given))
            if wanted != got:
                raise ArgumentError(f"stream: {name} of the state must have the shape {wanted} (got {got})")
        for _, own, given in parts:
            if own is not None and given is not None:
                np.copyto(own, given)

    def reset(self) -> None:
        """Go back to the state at the beginning: the learned one, or zero where the network has none."""
        self._steps.reset()

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

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that the stream remembers, by name, as :meth:`save` writes it."""
        state = zip(State._fields, self._steps.state, strict=True)
        own = {name: part for name, part in state if part is not None} | self._steps.memory
        return {name: part.copy() for name, part in own.items()}

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Go back to what :meth:`arrays` gave.

        Raises:
            ArgumentError: for parts of other shapes; what was before is then kept.
        """
        for name, part in self._steps.memory.items():
            got = np.shape(arrays[name]) if name in arrays else None
            if got != part.shape:
                raise ArgumentError(f"stream: {name} of the state must have the shape {part.shape} (got {got})")
        self._set(State(arrays["h"], arrays.get("c"), arrays.get("r")))
        for name, part in self._steps.memory.items():
            np.copyto(part, arrays[name])
