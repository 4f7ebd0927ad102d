"""What a saved encoder-decoder asks of its sources and targets, each rule told in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from peephole.equations.activations import Array
from peephole.equations.composition import valid_steps
from peephole.errors import ArgumentError
from peephole.runtime.inputs import as_numbers, as_whole_numbers
from peephole.spec import EmbeddingSpec, LinearSpec

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
    time, least = ("T, ", " with at least one step") if steps else ("", "")
    if isinstance(spec, EmbeddingSpec):
        tokens = as_whole_numbers(name, value)
        if tokens.ndim != 1 + steps or (steps and not len(tokens)):
            raise ArgumentError(f"{name} must be tokens [{time}B]{least} (got {list(tokens.shape)})")
        return tokens.astype(np.int64)
    array = as_numbers(name, value, dtype)
    size = size if spec is None else spec.input_size
    if array.ndim != 2 + steps or array.shape[-1] != size or (steps and not len(array)):
        raise ArgumentError(f"{name} must be [{time}B, {size}]{least} (got {list(array.shape)})")
    return array


def before_the_end(lengths: Array | None, values: Array) -> Array:
    """The values ``[T, B]`` or ``[T, B, F]``, 0 behind each row's end."""
    if lengths is None:
        return values
    valid = valid_steps(lengths, len(values))
    return np.where(valid if values.ndim == 3 else valid[..., 0], values, values.dtype.type(0))
