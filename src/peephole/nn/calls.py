"""One layer's call of the compiled kernels on torch tensors: what goes in, what comes out, and the way back.

Tensors reach the kernels as addresses; nothing is copied that lies densely already. The two that stand above are the
node of eager autograd (:mod:`peephole.nn.autograd`) and the registered operator (:mod:`peephole.nn.operator`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from peephole.errors import ArgumentError
from peephole.kernels import layout, native
from peephole.nn.cell import KERNEL_DTYPES, CellInputs, CellMasks, CellRun, CellState
from peephole.nn.spare import SpareMemory
from peephole.spec import CellSpec

STATE = ("h0", "c0", "r0")
FINAL = ("h_n", "c_n", "r_n")
MASKS = ("zoneout_h", "zoneout_c", "drop_h", "drop_g")
CONSTANTS = ("lengths", *MASKS)
SHOWN = ("gates", "c")
OUTPUTS = ("y", *FINAL, *SHOWN)
ERRORS = ("dy", "dh_n", "dc_n", "dr_n", "dgates", "dc")
_GRADIENTS = {name: f"d{name}" for name in ("x", *STATE, *layout.WEIGHTS)} | {"b_h": "db"}
_LINE = 16  # elements that no two parts of the tape share: a cache line at least

HIDDEN = "hidden"
_spare = SpareMemory()

Buffers = dict[str, Tensor]


class Plan(NamedTuple):
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


@layout.once_for_sizes
def plan_of(spec: CellSpec, sizes: layout.Sizes, want_states: bool, rows: int) -> Plan:
    """What follows for a call whose tape has ``rows`` rows."""
    inputs = layout.input_shapes(spec, sizes)
    weights = layout.weight_shapes(spec, sizes)
    tape = layout.tape_shapes(spec, sizes)
    given = {"y", *FINAL, *(SHOWN if want_states else ())}
    shown = {name: shape for name, shape in tape.items() if name in given}
    hidden: dict[str, int] = {}
    count = 0
    for name, shape in tape.items():
        if name not in shown:
            hidden[name] = count
            count += -(-rows * shape[-1] // _LINE) * _LINE
    expected = {**inputs, **weights, "b_h": weights["b"]}
    return Plan(expected, shown, hidden, count, {name: shape for name, shape in expected.items() if name != "lengths"})


class Call(NamedTuple):
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
    plan: Plan
    compact: bool


def variables_of(inputs: CellInputs) -> Buffers:
    """The differentiable tensors of a cell's work by name."""
    state = {} if inputs.state is None else named(STATE, inputs.state)
    return {"x": inputs.x, **state, **inputs.weights}


def constants_of(inputs: CellInputs) -> Buffers:
    """The tensors of a cell's work that are not differentiable, by name."""
    return named(CONSTANTS, (inputs.lengths, *inputs.masks))


def inputs_of(
    spec: CellSpec, hidden_size: int, variables: Buffers, constants: Buffers, *, reverse: bool, want_states: bool
) -> CellInputs:
    """A cell's work put together again from what :func:`variables_of` and :func:`constants_of` give."""
    own = dict(variables)
    x = own.pop("x")
    h, c, r = (own.pop(name, None) for name in STATE)
    state = None if h is None else CellState(h, c, r)
    lengths, *masks = (constants.get(name) for name in CONSTANTS)
    return CellInputs(spec, hidden_size, own, x, state, lengths, reverse, CellMasks(*masks), want_states)


def prepared(inputs: CellInputs, *, may_be_compact: bool = True) -> tuple[Call, list[Tensor]]:
    """The call of one cell, checked, and its differentiable tensors.

    Args:
        inputs: the cell's work.
        may_be_compact: whether the tape of a ragged batch may have rows for the valid steps alone. Its size then
            follows from what the lengths hold, and not from shapes.
    """
    variables, constants = variables_of(inputs), constants_of(inputs)
    steps, batch, features = inputs.x.shape
    sizes = layout.Sizes(steps, batch, features, inputs.hidden_size)
    rows = steps * batch
    compact = may_be_compact and inputs.lengths is not None and not inputs.want_states
    if inputs.lengths is not None and compact:
        rows = max(int(inputs.lengths.sum()), 1)  # a tensor of no elements has no address
    plan = plan_of(inputs.spec, sizes, inputs.want_states, rows)
    _check_memory(inputs.x.dtype, plan, variables | constants)
    call = Call(
        inputs.spec, sizes, inputs.reverse, inputs.want_states, densely(constants), tuple(variables), plan, compact
    )
    return call, list(variables.values())


def result(tape: Buffers, *, want_states: bool) -> CellRun:
    """What a caller of the layer sees of a tape."""
    gates, c = (tape.get(name) if want_states else None for name in SHOWN)
    return CellRun(tape["y"], CellState(tape["h_n"], tape.get("c_n"), tape.get("r_n")), gates, c)


class Back(NamedTuple):
    """One cell's way back: what was saved, the errors from above, and the names of what is wanted."""

    call: Call
    saved: Buffers
    errors: Buffers
    wanted: list[str]


def _check_memory(dtype: torch.dtype, plan: Plan, buffers: Buffers) -> None:
    """Let no tensor reach the kernels, which see addresses alone, that is not what they take it for."""
    for name, q in buffers.items():
        wanted = torch.int64 if name == "lengths" else dtype
        if q.shape != plan.expected[name] or q.dtype != wanted or not q.is_cpu:
            raise ArgumentError(
                f"peephole.nn: {name} must be of shape {plan.expected[name]}, {wanted}, on the CPU "
                f"(got {tuple(q.shape)}, {q.dtype}, {q.device}); give all parameters the dtype and device of the input"
            )


def split(calls: Sequence[Call], tensors: Sequence[Tensor]) -> list[Buffers]:
    """The tensors of every call by name, dense, with the two bias terms as one."""
    rest = iter(tensors)
    parts = [{name: next(rest).contiguous() for name in call.names} for call in calls]
    for own in parts:
        second = own.pop("b_h", None)
        if second is not None:
            own["b"] = own["b"] + second
    return parts


def forward(calls: Sequence[Call], buffers: Sequence[Buffers], *, keep_all: bool) -> list[Buffers]:
    """The forward pass of every call: the tape by name, whole or only what is shown."""
    tapes: list[Buffers] = []
    passes: list[native.Pass] = []
    for call, own in zip(calls, buffers, strict=True):
        x = own["x"]
        tape = {name: x.new_empty(shape) for name, shape in call.plan.shown.items()}
        if call.want_states and "lengths" in call.constants:  # beyond the lengths the kernels write y alone
            tape |= {name: torch.zeros_like(tape[name]) for name in SHOWN if name in tape}
        addresses = _addresses(own, call.constants, tape)
        if keep_all:
            tape[HIDDEN] = _spare.empty(call.plan.hidden_count, x.dtype)
            addresses |= _hidden_addresses(call.plan, tape[HIDDEN])
        passes.append(_pass(call, x, addresses, backward=False))
        tapes.append(tape)
    native.run_passes(passes, threads=torch.get_num_threads())
    return tapes


def backward(jobs: Sequence[Back]) -> list[Buffers]:
    """The backward pass of every call: gradients of what is wanted, by the names of that."""
    found: list[Buffers] = []
    passes: list[native.Pass] = []
    for call, saved, errors, wanted in jobs:
        x, hidden = saved["x"], saved.pop(HIDDEN)
        gradients = {name: x.new_empty(call.plan.gradients[name]) for name in wanted if name != "b_h"}
        if "b_h" in wanted:
            gradients["b_h"] = gradients.get("b", x.new_empty(call.plan.gradients["b"]))
        addresses = _addresses(saved, call.constants, errors) | _hidden_addresses(call.plan, hidden)
        addresses |= {_GRADIENTS[name]: q.data_ptr() for name, q in gradients.items()}
        passes.append(_pass(call, x, addresses, backward=True))
        found.append(gradients)
    native.run_passes(passes, threads=torch.get_num_threads())
    return found


def _pass(call: Call, x: Tensor, addresses: dict[str, int], *, backward: bool) -> native.Pass:
    return native.Pass(call.spec, call.sizes, KERNEL_DTYPES[x.dtype], addresses, call.reverse, backward, call.compact)


def _hidden_addresses(plan: Plan, hidden: Tensor) -> dict[str, int]:
    start, size = hidden.data_ptr(), hidden.element_size()
    return {name: start + at * size for name, at in plan.hidden.items()}


def named(names: Sequence[str], tensors: Iterable[Tensor | None]) -> Buffers:
    """The tensors that are there, by name."""
    return {name: q for name, q in zip(names, tensors, strict=True) if q is not None}


def densely(buffers: Mapping[str, Tensor]) -> Buffers:
    """The same tensors without gaps; one that has none is not copied."""
    return {name: q.contiguous() for name, q in buffers.items()}


def _addresses(*groups: Buffers) -> dict[str, int]:
    return {name: q.data_ptr() for group in groups for name, q in group.items()}
