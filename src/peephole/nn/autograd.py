"""One layer on the compiled kernels, with the gradient worked out by hand.

Tensors reach the kernels as addresses; nothing is copied that lies densely already. The backward pass is that of the
equations, exact (or truncated where the cell says so), with whatever error comes from outside: on the outputs, the
final state, and the gates and cells of every step. Gradients that nobody needs are not computed. It works in eval
mode as in training, and refuses a second derivative instead of giving a wrong one. Two directions are one node of the
graph, and run side by side where there are threads for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.errors import ArgumentError
from peephole.kernels import layout, native
from peephole.nn.cell import KERNEL_DTYPES, CellInputs, CellRun, CellState
from peephole.nn.once import first_derivative_only
from peephole.nn.spare import SpareMemory
from peephole.spec import CellSpec

_STATE = ("h0", "c0", "r0")
_FINAL = ("h_n", "c_n", "r_n")
_MASKS = ("zoneout_h", "zoneout_c", "drop_h", "drop_g")
_SHOWN = ("gates", "c")
_OUTPUTS = ("y", *_FINAL, *_SHOWN)
_ERRORS = ("dy", "dh_n", "dc_n", "dr_n", "dgates", "dc")
_GRADIENTS = {name: f"d{name}" for name in ("x", *_STATE, *layout.WEIGHTS)} | {"b_h": "db"}
_LINE = 16  # elements that no two parts of the tape share: a cache line at least

_HIDDEN = "hidden"
_spare = SpareMemory()

Buffers = dict[str, Tensor]


class _Plan(NamedTuple):
    """What of a call follows from its cell, sizes and names alone.

    Attributes:
        expected: the shape that each tensor and each constant must have.
        shown: what of the tape is given out, and its shapes.
        hidden: what is kept for the way back alone, one behind the other in one tensor, and where each begins.
        hidden_count: the elements of that tensor.
        gradients: the shape of each tensor's gradient.
    """

    expected: Mapping[str, tuple[int, ...]]
    shown: Mapping[str, tuple[int, ...]]
    hidden: Mapping[str, int]
    hidden_count: int
    gradients: Mapping[str, tuple[int, ...]]


@lru_cache(maxsize=256)
def _plan(spec: CellSpec, sizes: layout.Sizes, want_states: bool, rows: int) -> _Plan:
    inputs = layout.input_shapes(spec, sizes)
    weights = layout.weight_shapes(spec, sizes)
    tape = layout.tape_shapes(spec, sizes)
    given = {"y", *_FINAL, *(_SHOWN if want_states else ())}
    shown = {name: shape for name, shape in tape.items() if name in given}
    hidden: dict[str, int] = {}
    count = 0
    for name, shape in tape.items():
        if name not in shown:
            hidden[name] = count
            count += -(-rows * shape[-1] // _LINE) * _LINE
    expected = {**inputs, **weights, "b_h": weights["b"]}
    return _Plan(expected, shown, hidden, count, {name: shape for name, shape in expected.items() if name != "lengths"})


class _Call(NamedTuple):
    """What of one cell's call is no differentiable tensor.

    Attributes:
        spec: the cell.
        sizes: of the call.
        reverse: the direction of time.
        want_states: whether gates and cells of every step are given out.
        constants: lengths and masks, as far as there are such.
        names: of the tensors that follow, as in :mod:`peephole.kernels.layout`; ``b_h`` is added to ``b``.
        plan: what follows from the above.
        compact: whether what is kept for the way back has a row for each valid step alone.
    """

    spec: CellSpec
    sizes: layout.Sizes
    reverse: bool
    want_states: bool
    constants: Buffers
    names: tuple[str, ...]
    plan: _Plan
    compact: bool


def run_layer(cells: Sequence[CellInputs]) -> list[CellRun]:
    """Run the cells of one layer over a sequence on the compiled kernels.

    Args:
        cells: each cell's work; dense or strided tensors of one dtype, float32 or float64, on the CPU, at least one
            step and one row.

    Returns:
        For each the outputs, the final state and, if asked for, the gates and cells of every step. Differentiable once.

    Raises:
        BackendError: where the compiled core is missing.
    """
    calls: list[_Call] = []
    variables: list[Tensor] = []
    for inputs in cells:
        call, tensors = _prepared(inputs)
        calls.append(call)
        variables += tensors
    if torch.is_grad_enabled() and any(q.requires_grad for q in variables):
        outputs = cast("tuple[Tensor | None, ...]", cast(Any, _Layer).apply(calls, *variables))
        width = len(_OUTPUTS)
        named = [_named(_OUTPUTS, outputs[at * width : (at + 1) * width]) for at in range(len(calls))]
    else:
        named = _forward(calls, _split(calls, variables), keep_all=False)
    return [_result(call, tape) for call, tape in zip(calls, named, strict=True)]


def _prepared(inputs: CellInputs) -> tuple[_Call, list[Tensor]]:
    """The call of one cell, checked, and its differentiable tensors."""
    variables: Buffers = {"x": inputs.x}
    if inputs.state is not None:
        variables |= _named(_STATE, inputs.state)
    variables |= inputs.weights
    constants = _named(("lengths", *_MASKS), (inputs.lengths, *inputs.masks))
    steps, batch, features = inputs.x.shape
    sizes = layout.Sizes(steps, batch, features, inputs.hidden_size)
    rows = steps * batch
    compact = inputs.lengths is not None and not inputs.want_states
    if inputs.lengths is not None and compact:
        rows = max(int(inputs.lengths.sum()), 1)  # a tensor of no elements has no address
    plan = _plan(inputs.spec, sizes, inputs.want_states, rows)
    _check_memory(inputs.x.dtype, plan, variables | constants)
    call = _Call(
        inputs.spec, sizes, inputs.reverse, inputs.want_states, _dense(constants), tuple(variables), plan, compact
    )
    return call, list(variables.values())


def _result(call: _Call, tape: Buffers) -> CellRun:
    gates, c = (tape.get(name) if call.want_states else None for name in _SHOWN)
    return CellRun(tape["y"], CellState(tape["h_n"], tape.get("c_n"), tape.get("r_n")), gates, c)


class _Layer(torch.autograd.Function):
    """The kernels as one node of the graph; for each cell, of ``_OUTPUTS`` it gives what there is and is asked for."""

    @staticmethod
    def forward(ctx: FunctionCtx, calls: list[_Call], *tensors: Tensor) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        buffers = _split(calls, tensors)
        tapes = _forward(calls, buffers, keep_all=True)
        saved: list[Buffers] = []
        for own, tape in zip(buffers, tapes, strict=True):
            own.pop("b", None)  # no gradient needs it
            saved.append(own | {name: q for name, q in tape.items() if name not in _FINAL})
        context.save_for_backward(*(q for one in saved for q in one.values()))
        context.calls, context.saved_names = calls, [tuple(one) for one in saved]
        context.set_materialize_grads(False)
        return tuple(tape.get(name) for tape in tapes for name in _OUTPUTS)

    @staticmethod
    @first_derivative_only
    def backward(ctx: FunctionCtx, *errors: Tensor | None) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        calls = cast("list[_Call]", context.calls)
        tensors = iter(cast("tuple[Tensor, ...]", context.saved_tensors))
        needed = iter(cast("tuple[bool, ...]", context.needs_input_grad)[1:])
        jobs: list[_Back] = []
        for at, (call, names) in enumerate(zip(calls, context.saved_names, strict=True)):
            saved = {name: next(tensors) for name in names}
            above = _dense(_named(_ERRORS, errors[at * len(_ERRORS) : (at + 1) * len(_ERRORS)]))
            wanted = [name for name in call.names if next(needed)]
            jobs.append(_Back(call, saved, above, wanted))
        found = _backward(jobs)
        return (
            None,
            *(gradients.get(name) for job, gradients in zip(jobs, found, strict=True) for name in job.call.names),
        )


class _Back(NamedTuple):
    """One cell's way back: what was saved, the errors from above, and the names of what is wanted."""

    call: _Call
    saved: Buffers
    errors: Buffers
    wanted: list[str]


def _check_memory(dtype: torch.dtype, plan: _Plan, buffers: Buffers) -> None:
    """Let no tensor reach the kernels, which see addresses alone, that is not what they take it for."""
    for name, q in buffers.items():
        wanted = torch.int64 if name == "lengths" else dtype
        if q.shape != plan.expected[name] or q.dtype != wanted or not q.is_cpu:
            raise ArgumentError(
                f"peephole.nn: {name} must be of shape {plan.expected[name]}, {wanted}, on the CPU "
                f"(got {tuple(q.shape)}, {q.dtype}, {q.device}); give all parameters the dtype and device of the input"
            )


def _split(calls: Sequence[_Call], tensors: Sequence[Tensor]) -> list[Buffers]:
    """The tensors of every call by name, dense, with the two bias terms as one."""
    rest = iter(tensors)
    parts = [{name: next(rest).contiguous() for name in call.names} for call in calls]
    for own in parts:
        second = own.pop("b_h", None)
        if second is not None:
            own["b"] = own["b"] + second
    return parts


def _forward(calls: Sequence[_Call], buffers: Sequence[Buffers], *, keep_all: bool) -> list[Buffers]:
    """The forward pass of every call: the tape by name, whole or only what is shown."""
    tapes: list[Buffers] = []
    passes: list[native.Pass] = []
    for call, own in zip(calls, buffers, strict=True):
        x = own["x"]
        tape = {name: x.new_empty(shape) for name, shape in call.plan.shown.items()}
        if call.want_states and "lengths" in call.constants:  # beyond the lengths the kernels write y alone
            tape |= {name: torch.zeros_like(tape[name]) for name in _SHOWN if name in tape}
        addresses = _addresses(own, call.constants, tape)
        if keep_all:
            tape[_HIDDEN] = _spare.empty(call.plan.hidden_count, x.dtype)
            addresses |= _hidden_addresses(call.plan, tape[_HIDDEN])
        passes.append(_pass(call, x, addresses, backward=False))
        tapes.append(tape)
    native.run_passes(passes, threads=torch.get_num_threads())
    return tapes


def _backward(jobs: Sequence[_Back]) -> list[Buffers]:
    """The backward pass of every call: gradients of what is wanted, by the names of that."""
    found: list[Buffers] = []
    passes: list[native.Pass] = []
    for call, saved, errors, wanted in jobs:
        x, hidden = saved["x"], saved.pop(_HIDDEN)
        gradients = {name: x.new_empty(call.plan.gradients[name]) for name in wanted if name != "b_h"}
        if "b_h" in wanted:
            gradients["b_h"] = gradients.get("b", x.new_empty(call.plan.gradients["b"]))
        addresses = _addresses(saved, call.constants, errors) | _hidden_addresses(call.plan, hidden)
        addresses |= {_GRADIENTS[name]: q.data_ptr() for name, q in gradients.items()}
        passes.append(_pass(call, x, addresses, backward=True))
        found.append(gradients)
    native.run_passes(passes, threads=torch.get_num_threads())
    return found


def _pass(call: _Call, x: Tensor, addresses: dict[str, int], *, backward: bool) -> native.Pass:
    return native.Pass(call.spec, call.sizes, KERNEL_DTYPES[x.dtype], addresses, call.reverse, backward, call.compact)


def _hidden_addresses(plan: _Plan, hidden: Tensor) -> dict[str, int]:
    start, size = hidden.data_ptr(), hidden.element_size()
    return {name: start + at * size for name, at in plan.hidden.items()}


def _named(names: Sequence[str], tensors: Iterable[Tensor | None]) -> Buffers:
    """The tensors that are there, by name."""
    return {name: q for name, q in zip(names, tensors, strict=True) if q is not None}


def _dense(buffers: Mapping[str, Tensor]) -> Buffers:
    return {name: q.contiguous() for name, q in buffers.items()}


def _addresses(*groups: Buffers) -> dict[str, int]:
    return {name: q.data_ptr() for group in groups for name, q in group.items()}
