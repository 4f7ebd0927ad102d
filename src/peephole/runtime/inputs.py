"""What a network is given, checked: numbers or whole numbers, and the lengths of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from peephole.artifact import Array
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels.checks import Call, checked_lengths
from peephole.kernels.layout import Sizes

Values = np.ndarray[Any, np.dtype[Any]]
Ends = np.ndarray[Any, np.dtype[np.int64]]
Lengths = Sequence[int] | np.ndarray[Any, np.dtype[np.integer[Any]]]
"""Valid steps of each sequence, as a user may give them."""


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


def checked_ends(owner: str, lengths: Lengths | None, *, steps: int, batch: int) -> Ends | None:
    """The valid steps of each sequence as int64, or None where all are.

    Raises:
        ArgumentTypeError: where they are no whole numbers.
        ArgumentError: for another shape than ``[B]``, or a length below 0 or above ``T``.
    """
    if lengths is None:
        return None
    array = _as_array(f"{owner}: lengths", lengths)
    call = Call(owner, Sizes(steps, batch, 1, 1), np.dtype(np.float64))  # of which the lengths ask T and B alone
    return checked_lengths(call, array if array.size else array.astype(np.int64))


def _as_array(name: str, x: ArrayLike) -> Values:
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ArgumentTypeError(f"{name} must be an array of numbers ({error})") from error
