"""What an encoder-decoder asks of its sources and targets, each rule told in one sentence."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.checks import check_like_parameters, check_whole_numbers
from peephole.nn.mixed import autocast_dtype, like_parameters
from peephole.spec import EmbeddingSpec, LinearSpec

_OWNER = "EncoderDecoder"


def check_sequence(
    name: str,
    value: Tensor,
    spec: EmbeddingSpec | LinearSpec | None,
    size: int,
    *,
    like: Tensor,
    steps: bool = True,
) -> Tensor:
    """Check type, axes, dtype and device of a source or target.

    Args:
        name: ``"source"`` or ``"target"``.
        value: what came.
        spec: what it goes through: tokens through an embedding, else numbers.
        size: features of a step where ``spec`` is None.
        like: a parameter, for dtype and device.
        steps: whether there is an axis of time, of at least one step.

    Returns:
        The value; tokens as int64.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype.
        ArgumentError: for other axes, another number of features, or another device.
    """
    time, least = ("time, ", " with at least one step") if steps else ("", "")
    if isinstance(spec, EmbeddingSpec):
        tokens = check_whole_numbers(_OWNER, name, value, parameter=like)
        if tokens.dim() != 1 + steps or (steps and not len(tokens)):
            raise ArgumentError(
                f"{_OWNER}: {name} must be tokens [{time}batch]{least} (got shape {tuple(tokens.shape)})"
            )
        return tokens
    if not isinstance(cast(object, value), Tensor):
        raise ArgumentTypeError(f"{_OWNER}: {name} must be a tensor (got {type(value).__name__})")
    if autocast_dtype(like) is not None:
        value = like_parameters(value, like)
    size = size if spec is None else spec.input_size
    check_like_parameters(_OWNER, name, value, like)
    if value.dim() != 2 + steps or value.shape[-1] != size or (steps and not len(value)):
        raise ArgumentError(f"{_OWNER}: {name} must be [{time}batch, {size}]{least} (got shape {tuple(value.shape)})")
    return value


def check_start(start: Tensor | None, batch: int, size: int, *, like: Tensor) -> Tensor:
    """The numbers that a decoder is given first, ``[B, K]``; zeros where None.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype.
        ArgumentError: for another shape or device.
    """
    if start is None:
        return like.new_zeros((batch, size))
    checked = check_sequence("start", start, None, size, like=like, steps=False)
    if len(checked) != batch:
        raise ArgumentError(f"{_OWNER}: start must have a row for each of the {batch} sources (got {len(checked)})")
    return checked
