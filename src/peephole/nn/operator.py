"""One layer on the compiled kernels as registered operators, which torch's compiler and exporter see as one node.

``peephole::recurrent_layer`` and ``peephole::recurrent_layer_backward`` do what :mod:`peephole.nn.autograd` does in
eager mode, on the same calls of the kernels. An operator takes tensors, numbers and text alone, so the cells come as a
line of text (:func:`describe`), and their tensors behind one another. What the shapes of its results depend on must be
shapes: a ragged batch keeps its whole tape here.

Importing :mod:`peephole.nn` registers them; whoever loads an exported program imports it first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from peephole.kernels import layout
from peephole.nn.calls import (
    ERRORS,
    FINAL,
    HIDDEN,
    Back,
    Buffers,
    Call,
    backward,
    constants_of,
    densely,
    forward,
    inputs_of,
    plan_of,
    prepared,
    result,
    split,
    variables_of,
)
from peephole.nn.cell import CellInputs, CellRun
from peephole.nn.checks import check_lengths
from peephole.spec import CellSpec, to_dict

NAME = "peephole::recurrent_layer"
_SCHEMA = "(Tensor x, Tensor[] variables, Tensor[] constants, str cells, bool want_states, bool keep) -> Tensor[]"
_BACKWARD_SCHEMA = (
    "(Tensor x, Tensor[] variables, Tensor[] constants, Tensor[] outputs, Tensor?[] errors, str cells, "
    "bool want_states, bool[] needed) -> Tensor[]"
)


class Cell(NamedTuple):
    """What the line of text says of one cell.

    Attributes:
        spec: the cell.
        hidden_size: ``H``.
        reverse: the direction of time.
        variables: names of its differentiable tensors behind ``x``.
        constants: names of the others.
    """

    spec: CellSpec
    hidden_size: int
    reverse: bool
    variables: tuple[str, ...]
    constants: tuple[str, ...]


def cell_text(spec: CellSpec) -> str:
    """A cell as text, to be worked out where nothing is compiled."""
    return json.dumps(to_dict(spec), separators=(",", ":"))


def describe(cells: Sequence[CellInputs], cell: str) -> str:
    """The cells of a layer as a line of text; ``cell`` is :func:`cell_text` of theirs."""
    return ";".join(
        f"{cell}|{one.hidden_size}|{int(one.reverse)}|{','.join(list(variables_of(one))[1:])}|{','.join(constants_of(one))}"
        for one in cells
    )


@lru_cache(maxsize=256)
def described(text: str) -> tuple[Cell, ...]:
    """The inverse of :func:`describe`."""
    cells: list[Cell] = []
    for one in text.split(";"):
        spec, hidden_size, reverse, variables, constants = one.split("|")
        names = [tuple(part.split(",")) if part else () for part in (variables, constants)]
        cells.append(Cell(CellSpec(**json.loads(spec)), int(hidden_size), reverse == "1", *names))
    return tuple(cells)


def run_layer(cells: Sequence[CellInputs], *, cell: str) -> list[CellRun]:
    """Run the cells of one layer by the registered operator, as :func:`peephole.nn.autograd.run_layer` does.

    Args:
        cells: each cell's work; float32 or float64 on the CPU. What the lengths hold is checked when it is run.
        cell: :func:`cell_text` of the layer's cell.
    """
    variables = [q for one in cells for q in list(variables_of(one).values())[1:]]
    constants = [q for one in cells for q in constants_of(one).values()]
    x, want_states = cells[0].x, cells[0].want_states
    keep = torch.is_grad_enabled() and any(q.requires_grad for q in (x, *variables))
    outputs = recurrent_layer(x, variables, constants, describe(cells, cell), want_states, keep)
    spec = cells[0].spec
    names = output_names(spec, want_states=want_states)
    runs: list[CellRun] = []
    for at in range(len(cells)):
        tape = dict(zip(names, outputs[at * len(names) :], strict=False))
        runs.append(result(tape, want_states=want_states))
    return runs


def output_names(spec: CellSpec, *, want_states: bool) -> list[str]:
    """The outputs of one cell in their order; what is kept for the way back is the last."""
    lstm, full = spec.cell == "lstm", spec.full_gate_recurrence
    there = {"y": True, "gates": want_states, "c": want_states and lstm, "h_n": True, "c_n": lstm, "r_n": full}
    return [*(name for name, is_there in there.items() if is_there), HIDDEN]


def _inputs(
    x: Tensor, variables: Sequence[Tensor], constants: Sequence[Tensor], cells: str, want_states: bool
) -> list[CellInputs]:
    """Every cell's work, put together again."""
    rest, fixed = iter(variables), iter(constants)
    work: list[CellInputs] = []
    for one in described(cells):
        own = {"x": x} | {name: next(rest) for name in one.variables}
        given = {name: next(fixed) for name in one.constants}
        work.append(inputs_of(one.spec, one.hidden_size, own, given, reverse=one.reverse, want_states=want_states))
    return work


def _calls(work: Sequence[CellInputs]) -> tuple[list[Call], list[Buffers]]:
    """The calls of the kernels and their tensors, dense; the lengths are looked at here."""
    steps, batch = work[0].x.shape[:2]
    for one in work:
        if one.lengths is not None:
            check_lengths("peephole.nn", one.lengths, steps=steps, batch=batch)
    pairs = [prepared(one, may_be_compact=False) for one in work]
    calls = [call for call, _ in pairs]
    return calls, split(calls, [q for _, tensors in pairs for q in tensors])


@torch.library.custom_op(NAME, mutates_args=(), schema=_SCHEMA)
def recurrent_layer(  # noqa: PLR0917 - the arguments of an operator are positional
    x: Tensor, variables: list[Tensor], constants: list[Tensor], cells: str, want_states: bool, keep: bool
) -> list[Tensor]:
    """One layer: for each direction its outputs, final state, gates and cells if asked for, and the hidden tape.

    Args:
        x: ``[T, B, I]``.
        variables: the state and the parameters of each direction.
        constants: lengths and masks of each direction.
        cells: what :func:`describe` gave.
        want_states: whether gates and cells of every step are given out.
        keep: whether a way back may follow.
    """
    calls, buffers = _calls(_inputs(x, variables, constants, cells, want_states))
    outputs: list[Tensor] = []
    for call, tape in zip(calls, forward(calls, buffers, keep_all=keep), strict=True):
        names = output_names(call.spec, want_states=want_states)
        outputs += [tape.get(name, x.new_empty(0)) for name in names]
    return outputs


@cast(Any, recurrent_layer).register_fake
def _shapes(  # noqa: PLR0917
    x: Tensor, variables: list[Tensor], constants: list[Tensor], cells: str, want_states: bool, keep: bool
) -> list[Tensor]:
    steps, batch, features = x.shape
    outputs: list[Tensor] = []
    for one in described(cells):
        sizes = layout.Sizes(steps, batch, features, one.hidden_size)
        plan = plan_of(one.spec, sizes, want_states, steps * batch)
        names = output_names(one.spec, want_states=want_states)[:-1]
        outputs += [x.new_empty(plan.shown[name]) for name in names]
        outputs.append(x.new_empty((plan.hidden_count if keep else 0,)))
    return outputs


@torch.library.custom_op(f"{NAME}_backward", mutates_args=(), schema=_BACKWARD_SCHEMA)
def recurrent_layer_backward(  # noqa: PLR0917
    x: Tensor,
    variables: list[Tensor],
    constants: list[Tensor],
    outputs: list[Tensor],
    errors: list[Tensor | None],
    cells: str,
    want_states: bool,
    needed: list[bool],
) -> list[Tensor]:
    """The way back: gradients of what is needed of ``x`` and the variables, in that order.

    Args:
        x: as it went in.
        variables: as they went in.
        constants: as they went in.
        outputs: what the way there gave.
        errors: on each of these, ``None`` for zero.
        cells: what :func:`describe` gave.
        want_states: as it went in.
        needed: for ``x`` and each variable, whether its gradient is.
    """
    calls, buffers = _calls(_inputs(x, variables, constants, cells, want_states))
    jobs: list[Back] = []
    wants = iter(needed[1:])
    at = 0
    for call, own in zip(calls, buffers, strict=True):
        names = output_names(call.spec, want_states=want_states)
        tape = dict(zip(names, outputs[at : at + len(names)], strict=True))
        above = dict(zip(names, errors[at : at + len(names)], strict=True))
        at += len(names)
        own.pop("b", None)
        saved = own | {name: q for name, q in tape.items() if name not in FINAL}
        given = {f"d{name}": q for name, q in above.items() if q is not None and f"d{name}" in ERRORS}
        wanted = [*(["x"] if needed[0] else []), *(name for name in call.names[1:] if next(wants))]
        jobs.append(Back(call, saved, densely(given), wanted))
    return _gradients(jobs, backward(jobs), needed[0])


def _gradients(jobs: Sequence[Back], found: Sequence[Buffers], of_input: bool) -> list[Tensor]:
    """The gradient of ``x``, which all directions share, and those of the variables, no two of them one tensor."""
    flat: list[Tensor] = []
    if of_input:
        first, *others = (own["x"] for own in found)
        flat.append(sum(others, first))
    for job, own in zip(jobs, found, strict=True):
        twice = "b" in job.wanted  # both bias terms have one gradient
        flat += [own[name].clone() if name == "b_h" and twice else own[name] for name in job.wanted if name != "x"]
    return flat


@cast(Any, recurrent_layer_backward).register_fake
def _gradient_shapes(  # noqa: PLR0917
    x: Tensor,
    variables: list[Tensor],
    constants: list[Tensor],
    outputs: list[Tensor],
    errors: list[Tensor | None],
    cells: str,
    want_states: bool,
    needed: list[bool],
) -> list[Tensor]:
    return [q.new_empty(q.shape) for q, need in zip((x, *variables), needed, strict=True) if need]


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, variables, constants, cells, want_states, _keep = inputs
    ctx.counts = (len(variables), len(constants))
    ctx.save_for_backward(x, *variables, *constants, *output)
    ctx.cells, ctx.want_states = cells, want_states


def _carry_back(ctx: Any, errors: Sequence[Tensor | None]) -> tuple[Any, ...]:
    x, *rest = cast("tuple[Tensor, ...]", ctx.saved_tensors)
    variables, constants = ctx.counts
    own, fixed, outputs = rest[:variables], rest[variables : variables + constants], rest[variables + constants :]
    needs: tuple[Any, ...] = ctx.needs_input_grad
    needed = [bool(needs[0]), *_each(needs[1], variables)]
    found = iter(recurrent_layer_backward(x, own, fixed, outputs, list(errors), ctx.cells, ctx.want_states, needed))
    gradients = [next(found) if need else None for need in needed]
    return gradients[0], gradients[1:], [None] * constants, None, None, None


def _each(needs: bool | Sequence[bool], count: int) -> list[bool]:
    return [needs] * count if isinstance(needs, bool) else list(needs)


cast(Any, recurrent_layer).register_autograd(_carry_back, setup_context=_save)
