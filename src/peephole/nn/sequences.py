"""What an encoder-decoder asks of its sources and targets, each rule told in one sentence."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
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
    if not isinstance(cast(object, value), Tensor):
        raise ArgumentTypeError(f"{_OWNER}: {name} must be a tensor (got {type(value).__name__})")
    if autocast_dtype(like) is not None:
        value = like_parameters(value, like)
    if value.device != like.device:
        raise ArgumentError(
            f"{_OWNER}: {name} must be on the device of the parameters, {like.device} (got {value.device}); "
            "move one of them with .to(...)"
        )
    time, least = ("time, ", " with at least one step") if steps else ("", "")
    if isinstance(spec, EmbeddingSpec):
        if value.dtype not in (torch.int64, torch.int32):
            raise ArgumentTypeError(f"{_OWNER}: {name} must hold tokens as int64 or int32 (got {value.dtype})")
        if value.dim() != 1 + steps or (steps and not len(value)):
            raise ArgumentError(
                f"{_OWNER}: {name} must be tokens [{time}batch]{least} (got shape {tuple(value.shape)})"
            )
        return value.long()
    size = size if spec is None else spec.input_size
    if value.dtype != like.dtype:
        raise ArgumentTypeError(
            f"{_OWNER}: {name} must have the dtype of the parameters, {like.dtype} (got {value.dtype}); "
            f"convert it with .to({like.dtype})"
        )
    if value.dim() != 2 + steps or value.shape[-1] != size or (steps and not len(value)):
        raise ArgumentError(f"{_OWNER}: {name} must be [{time}batch, {size}]{least} (got shape {tuple(value.shape)})")
    return value


def check_tokens(name: str, tokens: Tensor, count: int) -> None:
    """Refuse tokens that the embedding does not have.

    Raises:
        ArgumentError: for a token below 0 or from ``count`` up.
    """
    outside = (tokens < 0) | (tokens >= count)
    if bool(outside.any()):
        raise ArgumentError(
            f"{_OWNER}: the tokens of {name} must lie between 0 and {count - 1} (got {int(tokens[outside][0])}); "
            "what lies behind the end of a sequence is not looked at if lengths are given"
        )


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
