"""Writing a tape during the forward pass, and reading it back."""

from typing import overload

import numpy as np

from peephole.equations.activations import Array
from peephole.equations.bound import BoundCell
from peephole.equations.lstm import Step
from peephole.equations.part import Part
from peephole.equations.state import Masks, State, Tape
from peephole.shapes import Float, Int


def zero_state(cell: BoundCell, B: int) -> State:
    """The state that a sequence starts from when none is given."""
    h = np.zeros((B, cell.P))
    if cell.spec.cell == "rnn":
        return State(h)
    r = np.zeros((B, len(cell.gate_columns))) if cell.spec.full_gate_recurrence else None
    return State(h, np.zeros((B, cell.H)), r)


def blank_tape(
    cell: BoundCell,
    x: Float[np.ndarray, "T B I"],
    state: State,
    *,
    lengths: Int[np.ndarray, " B"],
    reverse: bool,
    masks: Masks,
) -> Tape:
    """A tape of zeros; steps beyond a row's length stay zero."""
    T, B, _ = x.shape
    spec, H = cell.spec, cell.H
    K = len(cell.weights["R"])
    has_cells = spec.cell == "lstm"
    c = np.zeros((T, B, H)) if has_cells else None
    zoned_out = spec.zoneout_cell > 0
    return Tape(
        x=x,
        initial=state,
        lengths=lengths,
        reverse=reverse,
        masks=masks,
        y=np.zeros((T, B, cell.P)),
        gates=np.zeros((T, B, K)),
        c=c,
        c_hat=np.zeros((T, B, H)) if has_cells and zoned_out else c,
        a=np.zeros((T, B, H)) if has_cells else None,
        normed=np.zeros((T, B, K + H * has_cells)) if spec.layer_norm else None,
        rstd=np.zeros((T, B, len(cell.norm_columns))) if spec.layer_norm else None,
        final=state,
    )


def write_step(cell: BoundCell, tape: Tape, t: int, step: Step, state: State) -> None:
    """Keep step ``t``: its parts, and the state it led to."""
    valid = (t < tape.lengths)[:, None]
    tape.y[t] = np.where(valid, state.h, 0.0)
    for name, columns in cell.rows.items():
        tape.gates[t][:, columns] = np.where(valid, step.parts[name].y, 0.0)
    for kept, value in ((tape.c_hat, step.c_hat), (tape.c, state.c)):
        if kept is not None and value is not None:
            kept[t] = np.where(valid, value, 0.0)
    if tape.a is not None:
        tape.a[t] = np.where(valid, step.parts["c"].y, 0.0)
    if tape.normed is None or tape.rstd is None:
        return
    for index, (name, columns) in enumerate(cell.norm_columns.items()):
        part = step.parts[name]
        if part.n is not None and part.rstd is not None:
            tape.normed[t][:, columns] = np.where(valid, part.n, 0.0)
            tape.rstd[t][:, index] = np.where(valid[:, 0], part.rstd, 0.0)


def parts_at(cell: BoundCell, tape: Tape, t: int) -> dict[str, Part]:
    """The parts of step ``t`` as they were written."""
    values = {name: tape.gates[t][:, columns] for name, columns in cell.rows.items()}
    if tape.a is not None:
        values["c"] = tape.a[t]
    if tape.normed is None or tape.rstd is None:
        return {name: Part(y) for name, y in values.items()}
    return {
        name: Part(values[name], tape.normed[t][:, columns], tape.rstd[t][:, index])
        for index, (name, columns) in enumerate(cell.norm_columns.items())
    }


def state_before(cell: BoundCell, tape: Tape, t: int) -> State:
    """``(h⁻, c⁻, r⁻)`` that step ``t`` started from: the neighbouring step's, or the initial state at the edge.

    Running backwards, a row's first valid step has an invalid neighbour, and it too starts from the initial state.
    """
    neighbour = t + 1 if tape.reverse else t - 1
    if not 0 <= neighbour < len(tape.y):
        return tape.initial
    there = (neighbour < tape.lengths)[:, None]
    r = None if tape.initial.r is None else tape.gates[neighbour][:, cell.gate_columns]
    c = None if tape.c is None else tape.c[neighbour]
    return choose(there, State(tape.y[neighbour], c, r), tape.initial)


def choose(condition: Array, one: State, other: State) -> State:
    """Row by row, ``one`` where the condition holds, else ``other``."""
    return State(
        np.where(condition, one.h, other.h),
        _where(condition, one.c, other.c),
        _where(condition, one.r, other.r),
    )


@overload
def _where(condition: Array, one: Array, other: Array) -> Array: ...
@overload
def _where(condition: Array, one: Array | None, other: Array | None) -> Array | None: ...
def _where(condition: Array, one: Array | None, other: Array | None) -> Array | None:
    return None if one is None or other is None else np.where(condition, one, other)
