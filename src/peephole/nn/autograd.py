"""One layer on the compiled kernels, with the gradient worked out by hand, as a node of eager autograd.

The backward pass is that of the equations, exact (or truncated where the cell says so), with whatever error comes from
outside: on the outputs, the final state, and the gates and cells of every step. Gradients that nobody needs are not
computed. It works in eval mode as in training. Two directions are one node of the graph, and run side by side where
there are threads for it. The gradients can be differentiated in their turn (:mod:`peephole.nn.again`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.errors import BackendError
from peephole.nn import builtin, reference
from peephole.nn.again import Gradients, differentiable
from peephole.nn.calls import (
    ERRORS,
    FINAL,
    OUTPUTS,
    Back,
    Buffers,
    Call,
    backward,
    densely,
    forward,
    inputs_of,
    named,
    prepared,
    result,
    split,
)
from peephole.nn.cell import CellInputs, CellRun


def run_layer(cells: Sequence[CellInputs]) -> list[CellRun]:
    """Run the cells of one layer over a sequence on the compiled kernels.

    Args:
        cells: each cell's work; dense or strided tensors of one dtype, float32 or float64, on the CPU, at least one
            step and one row.

    Returns:
        For each the outputs, the final state and, if asked for, the gates and cells of every step. Differentiable, any
        number of times where the error is not truncated.

    Raises:
        BackendError: where the compiled core is missing.
    """
    calls: list[Call] = []
    variables: list[Tensor] = []
    for inputs in cells:
        call, tensors = prepared(inputs)
        calls.append(call)
        variables += tensors
    if torch.is_grad_enabled() and any(q.requires_grad for q in variables):
        outputs = cast("tuple[Tensor | None, ...]", cast(Any, _Layer).apply(calls, *variables))
        width = len(OUTPUTS)
        tapes = [named(OUTPUTS, outputs[at * width : (at + 1) * width]) for at in range(len(calls))]
    else:
        tapes = forward(calls, split(calls, variables), keep_all=False)
    return [result(tape, want_states=call.want_states) for call, tape in zip(calls, tapes, strict=True)]


class _Layer(torch.autograd.Function):
    """The kernels as one node of the graph; for each cell, of ``OUTPUTS`` it gives what there is and is asked for."""

    @staticmethod
    def forward(ctx: FunctionCtx, calls: list[Call], *tensors: Tensor) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        buffers = split(calls, tensors)
        tapes = forward(calls, buffers, keep_all=True)
        saved: list[Buffers] = []
        for own, tape in zip(buffers, tapes, strict=True):
            own.pop("b", None)  # no gradient needs it
            saved.append(own | {name: q for name, q in tape.items() if name not in FINAL})
        # A second derivative needs the tensors that came; the kernels need them without gaps.
        context.save_for_backward(*tensors, *(q for one in saved for q in one.values()))
        context.calls, context.saved_names = calls, [tuple(one) for one in saved]
        context.set_materialize_grads(False)
        return tuple(tape.get(name) for tape in tapes for name in OUTPUTS)

    @staticmethod
    def backward(ctx: FunctionCtx, *errors: Tensor | None) -> Gradients:
        context = cast(Any, ctx)
        calls = cast("list[Call]", context.calls)
        needed = cast("tuple[bool, ...]", context.needs_input_grad)[1:]
        tensors = cast("tuple[Tensor, ...]", context.saved_tensors)
        given, saved = tensors[: len(needed)], iter(tensors[len(needed) :])
        jobs: list[Back] = []
        with torch.no_grad():
            for call, names, wanted in zip(calls, context.saved_names, _shares(calls, needed), strict=True):
                at = len(jobs) * len(ERRORS)
                above = densely(named(ERRORS, errors[at : at + len(ERRORS)]))
                wanted_names = [name for name, wants in zip(call.names, wanted, strict=True) if wants]
                jobs.append(Back(call, {name: next(saved) for name in names}, above, wanted_names))
            found = backward(jobs)
        gradients = [own.get(name) for job, own in zip(jobs, found, strict=True) for name in job.call.names]
        if not torch.is_grad_enabled():
            return None, *gradients
        _refuse_truncated(calls)
        return None, *differentiable(gradients, lambda *inputs: _outputs(calls, inputs), given, errors)


def _shares(calls: Sequence[Call], flat: Sequence[Any]) -> list[Sequence[Any]]:
    """What belongs to each call of what is listed for all their tensors."""
    ends = [0]
    for call in calls:
        ends.append(ends[-1] + len(call.names))
    return [flat[begin:end] for begin, end in itertools.pairwise(ends)]


def _outputs(calls: Sequence[Call], tensors: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """What :class:`_Layer` gives, in torch operations."""
    outputs: list[Tensor | None] = []
    for call, own in zip(calls, _shares(calls, tensors), strict=True):
        variables = dict(zip(call.names, own, strict=True))
        inputs = inputs_of(
            call.spec, call.sizes.H, variables, call.constants, reverse=call.reverse, want_states=call.want_states
        )
        run = builtin.run_cell(inputs) if builtin.runs(inputs) else reference.run_layer([inputs])[0]
        outputs += [run.y, *run.final, run.gates, run.c]
    return tuple(outputs)


def _refuse_truncated(calls: Sequence[Call]) -> None:
    if any(call.spec.truncated for call in calls):
        raise BackendError(
            "peephole.nn: a truncated error is not the gradient of any function and has no second derivative "
            "(got truncated=True with create_graph=True); take truncated=False, or differentiate once"
        )
