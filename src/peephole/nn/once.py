"""First derivatives only, and a clear refusal of the second.

Torch's ``once_differentiable`` lets a second derivative be silently zero where the error that comes from above is a
constant (the gradient penalty of a sum, for example). Here it is refused in every case.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.errors import BackendError

Gradients = tuple[Tensor | None, ...]


def first_derivative_only(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """A backward pass whose gradients, if a graph of them is asked for, refuse to be differentiated."""

    @functools.wraps(backward)
    def guarded(ctx: FunctionCtx, *errors: Tensor | None) -> Gradients:
        with torch.no_grad():
            gradients = backward(ctx, *errors)
        if not torch.is_grad_enabled():
            return gradients
        there = [q.requires_grad_() for q in gradients if q is not None]
        refusing = iter(cast("tuple[Tensor, ...]", cast(Any, _Refusal).apply(*there)))
        return tuple(None if q is None else next(refusing) for q in gradients)

    return guarded


class _Refusal(torch.autograd.Function):
    """Passes tensors on and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: FunctionCtx, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(q.view_as(q) for q in tensors)

    @staticmethod
    def backward(ctx: FunctionCtx, *errors: Tensor) -> Gradients:
        raise BackendError(
            "peephole.nn: the compiled kernels give first derivatives only; "
            "for second derivatives run with PEEPHOLE_BACKEND=reference"
        )
