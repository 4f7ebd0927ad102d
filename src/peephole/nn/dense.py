"""One layer of neurons, ``y = φ((W ⊙ M) x + b)``: on the compiled kernel where it serves, else in torch operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.kernels import native
from peephole.nn.engine import kernels_serve
from peephole.nn.once import first_derivative_only
from peephole.nn.reference import ACTIVATE
from peephole.spec import Activation

_DTYPES: Mapping[torch.dtype, native.Dtype] = {torch.float32: "float32", torch.float64: "float64"}


class _Call(NamedTuple):
    """``φ`` and the mask."""

    activation: Activation
    mask: Tensor | None


def dense(x: Tensor, weight: Tensor, bias: Tensor | None, *, mask: Tensor | None, activation: Activation) -> Tensor:
    """``y = φ((W ⊙ M) x + b)`` (000 eq. 1-14).

    Args:
        x: ``[…, I]``.
        weight: ``W``, ``[O, I]``.
        bias: ``b``, ``[O]``.
        mask: ``M``, ``[O, I]`` of zeros and ones.
        activation: ``φ``.

    Returns:
        ``[…, O]``. Differentiable (once, on the kernel).
    """
    if not kernels_serve(x):
        return ACTIVATE[activation](F.linear(x, weight if mask is None else weight * mask, bias))
    rows = x.reshape(-1, x.shape[-1])
    y = cast(Tensor, cast(Any, _Dense).apply(_Call(activation, mask), rows, weight, bias))
    return y.reshape(*x.shape[:-1], weight.shape[0])


class _Dense(torch.autograd.Function):
    """The kernel as one node of the graph."""

    @staticmethod
    def forward(ctx: FunctionCtx, call: _Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context = cast(Any, ctx)
        x, weight = x.contiguous(), weight.contiguous()
        y = x.new_empty((x.shape[0], weight.shape[0]))
        addresses = _addresses({"x": x, "W": weight, "b": bias, "mask": call.mask, "y": y})
        native.run_dense_forward(
            call.activation, (x.shape[0], x.shape[1], weight.shape[0]), _DTYPES[x.dtype], addresses
        )
        context.save_for_backward(x, weight, bias, y)
        context.call = call
        return y

    @staticmethod
    @first_derivative_only
    def backward(ctx: FunctionCtx, *errors: Tensor) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        call = cast(_Call, context.call)
        x, weight, bias, y = cast("tuple[Tensor, Tensor, Tensor | None, Tensor]", context.saved_tensors)
        needed = cast("tuple[bool, ...]", context.needs_input_grad)[1:]
        dx, dW, db = (
            torch.zeros_like(q) if need and q is not None else None
            for q, need in zip((x, weight, bias), needed, strict=True)
        )
        addresses = _addresses(
            {
                "x": x, "W": weight, "b": bias, "mask": call.mask, "y": y,
                "dy": errors[0].contiguous(), "dx": dx, "dW": dW, "db": db,
            }
        )  # fmt: skip
        native.run_dense_backward(
            call.activation, (x.shape[0], x.shape[1], weight.shape[0]), _DTYPES[x.dtype], addresses
        )
        return None, dx, dW, db


def _addresses(tensors: Mapping[str, Tensor | None]) -> dict[str, int]:
    return {name: q.data_ptr() for name, q in tensors.items() if q is not None}
