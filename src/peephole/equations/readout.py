"""What a head sees of features over time (002 Fig. 5.1).

With ``y`` ``[T, B, F]`` and ``n`` valid steps in a row ::

    last    q = y_{n−1}             dy_{n−1} = dq
    mean    q = Σ_{t<n} y_t / n     dy_t     = dq / n
    max     q = max_{t<n} y_t       dy_t     = dq where y_t is the first that is the largest, feature by feature
    every   q_t = y_t               dy_t     = dq_t

What lies beyond a row's length is not seen, and a row of length 0 shows zeros.
"""

from __future__ import annotations

import numpy as np

from peephole.equations.activations import Array
from peephole.equations.composition import valid_steps
from peephole.shapes import Float, Int
from peephole.spec import Readout


def readout_forward(
    readout: Readout, y: Float[np.ndarray, "T B F"], *, lengths: Int[np.ndarray, " B"] | None = None
) -> Array:
    """What the head sees.

    Args:
        readout: which of the four.
        y: features of at least one step.
        lengths: valid steps of each row; all where None.

    Returns:
        ``q``, ``[B, F]``, or ``[T, B, F]`` with ``"every"``; of the dtype of ``y``, the mean summed in float64.
    """
    B = y.shape[1]
    lengths, valid = _within(y, lengths)
    if readout == "every":
        return np.where(valid, y, 0)
    if readout == "mean":
        total = np.where(valid, y, 0).sum(axis=0, dtype=np.float64)
        return (total / np.maximum(lengths, 1)[:, None]).astype(y.dtype)
    q = y[np.maximum(lengths - 1, 0), np.arange(B)] if readout == "last" else np.where(valid, y, -np.inf).max(axis=0)
    return np.where(lengths[:, None] > 0, q, 0)


def readout_backward(
    readout: Readout,
    y: Float[np.ndarray, "T B F"],
    dq: Array,
    *,
    lengths: Int[np.ndarray, " B"] | None = None,
) -> Float[np.ndarray, "T B F"]:
    """The error on what the head saw, carried to the features.

    Args:
        readout: which of the four.
        y: the features.
        dq: the error, of the shape that :func:`readout_forward` gave.
        lengths: valid steps of each row; all where None.
    """
    _, B, F = y.shape
    lengths, valid = _within(y, lengths)
    if readout == "every":
        return np.where(valid, dq, 0)
    if readout == "mean":
        return np.where(valid, dq / np.maximum(lengths, 1)[:, None], 0)
    dy = np.zeros_like(y)
    if readout == "last":
        dy[np.maximum(lengths - 1, 0), np.arange(B)] = dq
    else:
        largest = np.where(valid, y, -np.inf).argmax(axis=0)
        dy[largest, np.arange(B)[:, None], np.arange(F)] = dq
    return np.where(valid, dy, 0)


def _within(y: Array, lengths: Array | None) -> tuple[Array, Array]:
    """The lengths, and which steps lie within them."""
    T, B = y.shape[:2]
    lengths = np.full(B, T) if lengths is None else lengths
    return lengths, valid_steps(lengths, T)
