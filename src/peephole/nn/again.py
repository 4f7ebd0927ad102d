"""Gradients that can be differentiated again: found by the kernels, their own derivatives by torch operations.

A second derivative is asked for rarely (a gradient penalty, a Hessian times a vector), so it is worked out where it is
asked for: the same function in torch operations, differentiated twice by torch, from the same inputs and errors. It is
exact, and so are all higher ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

Gradients = tuple[Tensor | None, ...]
Forward = Callable[..., tuple[Tensor | None, ...]]


def differentiable(
    gradients: Sequence[Tensor | None], forward: Forward, inputs: Sequence[Tensor], errors: Sequence[Tensor | None]
) -> Gradients:
    """Gradients that were found outside the graph, as nodes of it.

    Args:
        gradients: of each input, ``None`` where none is wanted.
        forward: what was differentiated, in torch operations: from the inputs to the outputs, ``None`` for those that
            were not given out.
        inputs: as they came, so that the graph goes on behind them.
        errors: on each output, ``None`` for zero.

    Returns:
        The same gradients, differentiable with respect to inputs and errors.
    """
    wanted = [at for at, q in enumerate(gradients) if q is not None]
    given = [at for at, q in enumerate(errors) if q is not None]
    above = [q for q in errors if q is not None]

    def again(*tensors: Tensor) -> tuple[Tensor, ...]:
        """The wanted gradients in torch operations, from inputs and errors."""

        def outputs(*own: Tensor) -> tuple[Tensor, ...]:
            there = forward(*own)
            return tuple(q for at in given if (q := there[at]) is not None)

        pull = _pull_back(outputs, tensors[: len(inputs)])
        found = pull(tensors[len(inputs) :])
        return tuple(found[at] for at in wanted)

    found = [q for q in gradients if q is not None]
    nodes = iter(cast("tuple[Tensor, ...]", cast(Any, _Again).apply(found, again, *inputs, *above)))
    return tuple(None if q is None else next(nodes) for q in gradients)


class _Again(torch.autograd.Function):
    """Gives what was found, and differentiates what finds the same."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, found: list[Tensor], again: Callable[..., tuple[Tensor, ...]], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        context = cast(Any, ctx)
        context.save_for_backward(*tensors)
        context.again = again
        return tuple(q.view_as(q) for q in found)

    @staticmethod
    def backward(ctx: FunctionCtx, *errors: Tensor) -> Gradients:
        context = cast(Any, ctx)
        pull = _pull_back(context.again, cast("tuple[Tensor, ...]", context.saved_tensors))
        return None, None, *pull(errors)


def _pull_back(
    function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]
) -> Callable[[Sequence[Tensor]], tuple[Tensor, ...]]:
    """From errors on what the function gives to errors on its inputs; differentiable itself."""
    pull = cast(Any, torch.func).vjp(function, *inputs)[1]
    return lambda errors: cast("tuple[Tensor, ...]", pull(tuple(errors)))
