"""One layer of neurons, ``y = φ((W ⊙ M) x + b)``: on the compiled kernel where it serves, else in torch operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.kernels import native
from peephole.nn.again import Gradients, differentiable
from peephole.nn.cell import KERNEL_DTYPES
from peephole.nn.engine import kernels_serve
from peephole.nn.reference import ACTIVATE
from peephole.spec import Activation


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
        ``[…, O]``. Differentiable, any number of times.
    """
    if torch.compiler.is_compiling() or not kernels_serve(x):  # a compiler sees through torch operations
        return _operations(_Call(activation, mask), x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    y = cast(Tensor, cast(Any, _Dense).apply(_Call(activation, mask), rows, weight, bias))
    return y.reshape(*x.shape[:-1], weight.shape[0])


class _Dense(torch.autograd.Function):
    """The kernel as one node of the graph."""

    @staticmethod
    def forward(ctx: FunctionCtx, call: _Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context = cast(Any, ctx)
        given = (x, weight, bias)  # what came, for a second derivative; the kernel needs it without gaps
        x, weight = x.contiguous(), weight.contiguous()
        y = x.new_empty((x.shape[0], weight.shape[0]))
        addresses = _addresses({"x": x, "W": weight, "b": bias, "mask": call.mask, "y": y})
        native.run_dense_forward(
            call.activation, (x.shape[0], x.shape[1], weight.shape[0]), KERNEL_DTYPES[x.dtype], addresses
        )
        context.save_for_backward(*given, x, weight, y)
        context.call = call
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, *errors: Tensor) -> Gradients:
        context = cast(Any, ctx)
        call = cast(_Call, context.call)
        *given, x, weight, y = cast("tuple[Tensor, ...]", context.saved_tensors)
        inputs = [q for q in given if cast("Tensor | None", q) is not None]
        needed = cast("tuple[bool, ...]", context.needs_input_grad)[1 : 1 + len(inputs)]
        with torch.no_grad():
            found = [_dense_zeros(q) if need else None for q, need in zip(inputs, needed, strict=True)]
            dx, dW, db = (*found, None)[:3]
            addresses = _addresses(
                {
                    "x": x, "W": weight, "b": inputs[2] if len(inputs) > 2 else None, "mask": call.mask, "y": y,
                    "dy": errors[0].contiguous(), "dx": dx, "dW": dW, "db": db,
                }
            )  # fmt: skip
            native.run_dense_backward(
                call.activation, (x.shape[0], x.shape[1], weight.shape[0]), KERNEL_DTYPES[x.dtype], addresses
            )
        if torch.is_grad_enabled():
            found = differentiable(found, lambda *own: (_operations(call, *own),), inputs, errors)
        return None, *found, *(None for _ in range(3 - len(inputs)))


def _dense_zeros(q: Tensor) -> Tensor:
    return torch.zeros_like(q, memory_format=torch.contiguous_format)


def _operations(call: _Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same in torch operations."""
    masked = weight if call.mask is None else weight * call.mask
    return ACTIVATE[call.activation](F.linear(x, masked, bias))


def _addresses(tensors: Mapping[str, Tensor | None]) -> dict[str, int]:
    return {name: q.data_ptr() for name, q in tensors.items() if q is not None}
