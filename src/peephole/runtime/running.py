"""The mean or the maximum of the features seen so far, for a network that is stepped."""

from __future__ import annotations

from typing import Any, Literal, final

import numpy as np

from peephole.artifact import Array


@final
class Running:
    """A readout over time, taken step by step.

    Args:
        readout: ``"mean"`` or ``"max"``.
        shape: of the features of one step, ``[B, F]`` or ``[F]``.
        dtype: of the features.

    Attributes:
        seen: the readout of the steps so far, always in the same place; zeros before the first.
        memory: what a saved state must hold: the number of ``steps``, and the sum (in float64, so that a long stream
            does not lose the small ones) or the maximum so far, ``pooled``. All zeros is the beginning.
    """

    seen: Array
    memory: dict[str, np.ndarray[Any, Any]]

    def __init__(self, readout: Literal["mean", "max"], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._is_mean = readout == "mean"
        self.seen = np.zeros(shape, dtype)
        self._pooled = np.zeros(shape, np.float64 if self._is_mean else dtype)
        self._steps = np.zeros(1, np.int64)
        self.memory = {"steps": self._steps, "pooled": self._pooled}

    def take(self, features: Array) -> None:
        """Take the features of one more step, of the shape told; nothing is allocated."""
        self._steps += 1
        if self._is_mean:
            np.add(self._pooled, features, out=self._pooled)
            np.divide(self._pooled, self._steps, out=self.seen, casting="same_kind")
            return
        if self._steps[0] == 1:
            np.copyto(self._pooled, features)
        else:
            np.maximum(self._pooled, features, out=self._pooled)
        np.copyto(self.seen, self._pooled)
