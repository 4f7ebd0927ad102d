"""What a saved encoder-decoder asks of its sources and targets, each rule told in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from peephole.equations.activations import Array
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels.checks import Call, checked_lengths
from peephole.kernels.layout import Sizes
from peephole.runtime.model import as_numbers
from peephole.spec import EmbeddingSpec, LinearSpec

Lengths = Sequence[int] | np.ndarray[Any, np.dtype[np.integer[Any]]]
Input = EmbeddingSpec | LinearSpec | None


def checked_sequence(
    name: str, value: ArrayLike, spec: Input, size: int, *, dtype: np.dtype[Any], steps: bool = True
) -> Array:
    """A source or target as an array: int64 tokens where it goes through an embedding, else numbers of ``dtype``.

    Args:
        name: what messages call it.
        value: what came.
        spec: what it goes through.
        size: features of a step where ``spec`` is None.
        dtype: of the weights.
        steps: whether there is an axis of time, with at least one step.

    Raises:
        ArgumentTypeError: where it holds anything but whole numbers (tokens) or real numbers.
        ArgumentError: for another shape.
    """
    time = "T, " if steps else ""
    if isinstance(spec, EmbeddingSpec):
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            raise ArgumentTypeError(f"{name} must hold tokens, whole numbers (got dtype {array.dtype})")
        if array.ndim != 1 + steps or (steps and not len(array)):
            raise ArgumentError(f"{name} must be tokens [{time}B] with at least one step (got {list(array.shape)})")
        return array.astype(np.int64)
    array = as_numbers(name, value, dtype)
    size = size if spec is None else spec.input_size
    if array.ndim != 2 + steps or array.shape[-1] != size or (steps and not len(array)):
        raise ArgumentError(f"{name} must be [{time}B, {size}] with at least one step (got {list(array.shape)})")
    return array


def checked_ends(name: str, lengths: Lengths | None, sequence: Array) -> Array | None:
    """The valid steps of each row as int64, or None where all are.

    Raises:
        ArgumentTypeError: for something else than whole numbers.
        ArgumentError: for another shape, or a length out of range.
    """
    if lengths is None:
        return None
    T, B = sequence.shape[:2]
    return checked_lengths(Call(name, Sizes(T, B, 1, 1), np.dtype(np.float64)), np.asarray(lengths))


def before_the_end(lengths: Array | None, values: Array) -> Array:
    """The values, 0 behind each row's end."""
    if lengths is None:
        return values
    valid = np.arange(len(values))[:, None] < lengths
    return np.where(valid if values.ndim == 2 else valid[:, :, None], values, 0).astype(values.dtype)


def checked_tokens(name: str, tokens: Array, count: int) -> Array:
    """The tokens, each one that the embedding has.

    Raises:
        ArgumentError: for a token below 0 or from ``count`` up.
    """
    outside = (tokens < 0) | (tokens >= count)
    if outside.any():
        raise ArgumentError(
            f"{name}: tokens must lie between 0 and {count - 1} (got {tokens[outside][0]}); "
            "what lies behind the end of a sequence is not looked at if lengths are given"
        )
    return tokens
