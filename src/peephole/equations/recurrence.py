"""The one time loop and the one loop of backpropagation through time, for every cell.

Forward, for each step ``t`` from the first valid one to the last, or the other way round::

    z   = W x + R (d_h ⊙ h⁻) + b  [+ S r⁻]           d_h: dropout on h⁻;  S: full gate recurrence
    m,ĉ = the step of the cell                        lstm.py, rnn.py
    ĥ   = W_p m                                       without projection m
    c   = ζ_c ⊙ c⁻ + (1 − ζ_c) ⊙ ĉ                    zoneout (Krueger et al. 2017)
    h   = ζ_h ⊙ h⁻ + (1 − ζ_h) ⊙ ĥ

Backward, in the opposite order, ``dh`` and ``dc`` being the errors from outside plus those that the step after
left::

    dĥ  = (1 − ζ_h) ⊙ dh      dh⁻ = ζ_h ⊙ dh          dm = W_pᵀ dĥ
    dĉ  = (1 − ζ_c) ⊙ dc      dc⁻ = ζ_c ⊙ dc
    dz, dc⁻ += the step of the cell, backward
    dh⁻ += d_h ⊙ Rᵀ dz        dr⁻ = Sᵀ dz             both dropped by the truncated error of 1997
    dx  = Wᵀ dz
    dW += dz xᵀ    dR += dz (d_h ⊙ h⁻)ᵀ    db += dz    dS += dz r⁻ᵀ    dW_p += dĥ mᵀ
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from peephole.equations import lstm, rnn
from peephole.equations.activations import Array
from peephole.equations.bound import BoundCell, bind
from peephole.equations.lstm import Step
from peephole.equations.state import Gradients, Masks, State, Tape
from peephole.equations.tape import blank_tape, choose, parts_at, state_before, write_step, zero_state
from peephole.shapes import Float, Int
from peephole.spec import CellSpec

NO_MASKS = Masks()


def forward(
    spec: CellSpec,
    weights: Mapping[str, Array],
    x: Float[np.ndarray, "T B I"],
    state: State | None = None,
    *,
    lengths: Int[np.ndarray, " B"] | None = None,
    reverse: bool = False,
    masks: Masks = NO_MASKS,
    frozen: Tape | None = None,
) -> Tape:
    """Run a cell over a batch of sequences.

    Args:
        spec: the cell.
        weights: parameters by letter (:mod:`peephole.weights`).
        x: input.
        state: the state before the first step; zeros where None.
        lengths: valid steps of each row, 0 to ``T``; all where None.
        reverse: run from the last valid step of each row to the first.
        masks: random draws of zoneout and dropout; without them, as at inference.
        frozen: a tape of the same call. What a step reads of the one before, other than through the carousel, is
            taken from there as a constant; a finite difference then gives the truncated error.

    Returns:
        The tape; ``tape.y`` holds ``h`` of every step and ``tape.final`` the last state.
    """
    T, B, _ = x.shape
    cell = bind(spec, weights)
    initial = state = state or zero_state(cell, B)
    steps: Array = np.full(B, T) if lengths is None else lengths
    tape = blank_tape(cell, x, initial, lengths=steps, reverse=reverse, masks=masks)
    inputs = x @ weights["W"].T + weights.get("b", 0.0)
    for t in _order(T, reverse=reverse):
        read = state if frozen is None else state_before(cell, frozen, t)
        z = _preactivations(cell, inputs[t], read, masks)
        seen = None if frozen is None or frozen.c_hat is None or read.c is None else (read.c, frozen.c_hat[t])
        step = _step_forward(cell, z, state, drop_g=masks.drop_g, seen=seen)
        h_hat = step.m @ weights["W_p"].T if spec.proj_size else step.m
        zeta_h, zeta_c = cell.zoneout(masks, t)
        h = zeta_h * read.h + (1.0 - zeta_h) * h_hat
        c = None if state.c is None or step.c_hat is None else zeta_c * state.c + (1.0 - zeta_c) * step.c_hat
        write_step(cell, tape, t, step, State(h, c))
        r = None if state.r is None else tape.gates[t][:, cell.gate_columns]
        state = choose((t < steps)[:, None], State(h, c, r), state)
    return replace(tape, final=state)


def backward(
    spec: CellSpec,
    weights: Mapping[str, Array],
    tape: Tape,
    dy: Float[np.ndarray, "T B P"],
    *,
    dfinal: State | None = None,
    dgates: Float[np.ndarray, "T B K"] | None = None,
    dc: Float[np.ndarray, "T B H"] | None = None,
) -> Gradients:
    """Backpropagation through time, exact, or truncated to the carousel where the spec says so.

    Args:
        spec: the cell.
        weights: parameters by letter.
        tape: what :func:`forward` left.
        dy: error on ``h`` of every step; what stands beyond a row's length is ignored.
        dfinal: error on the final state; None, or None inside, for zero.
        dgates: error from outside on the activations of every step.
        dc: error from outside on the cell state of every step.
    """
    cell = bind(spec, weights)
    gradients = {letter: np.zeros_like(value) for letter, value in weights.items()}
    dx = np.zeros_like(tape.x)
    dstate = _initial_error(cell, tape, dfinal)
    for t in reversed(_order(len(tape.x), reverse=tape.reverse)):
        valid = (t < tape.lengths)[:, None]
        outside = _Errors(dy[t], None if dc is None else dc[t], None if dgates is None else dgates[t])
        errors = _errors_of_step(cell, dstate, outside, valid)
        dz, dbefore = _step_back(cell, tape, t, errors, gradients)
        dx[t] = dz @ weights["W"]
        dbefore = _through_products(cell, tape, t, dz, dbefore=dbefore, gradients=gradients)
        dstate = choose(valid, dbefore, dstate)
    return Gradients(x=dx, initial=dstate, weights=gradients)


class _Errors(NamedTuple):
    """Errors on ``h`` ``[B, P]``, on ``c`` ``[B, H]`` and on the activations ``[B, K]`` of one step."""

    h: Array
    c: Array | None
    gates: Array | None


def _order(T: int, *, reverse: bool) -> range:
    return range(T - 1, -1, -1) if reverse else range(T)


def _preactivations(cell: BoundCell, inputs: Array, read: State, masks: Masks) -> dict[str, Array]:
    """``z = W x + b`` (given) ``+ R (d_h ⊙ h⁻) [+ S r⁻]``, by row name."""
    h = read.h if masks.drop_h is None else read.h * masks.drop_h
    z = inputs + h @ cell.weights["R"].T
    if read.r is not None:
        z[:, cell.gate_columns] += read.r @ cell.weights["S"].T
    return {name: z[:, columns] for name, columns in cell.rows.items()}


def _step_forward(
    cell: BoundCell, z: dict[str, Array], state: State, *, drop_g: Array | None, seen: tuple[Array, Array] | None
) -> Step:
    if state.c is None:
        return rnn.step_forward(cell.spec, z, norms=cell.norms)
    return lstm.step_forward(
        cell.spec, z, state.c, peepholes=cell.peepholes, norms=cell.norms, drop_g=drop_g, seen=seen
    )


def _initial_error(cell: BoundCell, tape: Tape, dfinal: State | None) -> State:
    """The error on the final state, zeros where none was given."""
    zeros = zero_state(cell, tape.x.shape[1])
    if dfinal is None:
        return zeros
    return State(dfinal.h, zeros.c if dfinal.c is None else dfinal.c, zeros.r if dfinal.r is None else dfinal.r)


def _errors_of_step(cell: BoundCell, dstate: State, outside: _Errors, valid: Array) -> _Errors:
    """What comes from outside and what the step after left, added; zero where the step is not valid."""
    dgates = np.zeros((len(dstate.h), len(cell.weights["R"])))
    if outside.gates is not None:
        dgates += outside.gates
    if dstate.r is not None:
        dgates[:, cell.gate_columns] += dstate.r
    dc = dstate.c if dstate.c is None or outside.c is None else dstate.c + outside.c
    return _Errors(
        np.where(valid, dstate.h + outside.h, 0.0),
        None if dc is None else np.where(valid, dc, 0.0),
        np.where(valid, dgates, 0.0),
    )


def _step_back(cell: BoundCell, tape: Tape, t: int, d: _Errors, gradients: dict[str, Array]) -> tuple[Array, State]:
    """From the errors of a step to ``dz`` ``[B, K]`` and to what reaches the state before unit by unit."""
    spec, parts = cell.spec, parts_at(cell, tape, t)
    zeta_h, zeta_c = cell.zoneout(tape.masks, t)
    dh_hat = (1.0 - zeta_h) * d.h
    dm = dh_hat @ cell.weights["W_p"] if spec.proj_size else dh_hat
    dgates = {} if d.gates is None else {name: d.gates[:, columns] for name, columns in cell.rows.items()}
    c = state_before(cell, tape, t).c
    if c is None or d.c is None or tape.c_hat is None:
        errors = rnn.step_backward(spec, parts, dm=dm, dgates=dgates, norms=cell.norms)
    else:
        errors = lstm.step_backward(
            spec,
            parts,
            c,
            tape.c_hat[t],
            dm=dm,
            dc_hat=(1.0 - zeta_c) * d.c,
            dgates=dgates,
            peepholes=cell.peepholes,
            norms=cell.norms,
            drop_g=tape.masks.drop_g,
        )
    for (letter, name), gradient in errors.parameters.items():
        index = spec.gates.index(name) if letter == "p" else cell.norm_columns[name]
        gradients[letter][index] += gradient
    if spec.proj_size:
        gradients["W_p"] += dh_hat.T @ lstm.block_output(spec, parts)
    dz = np.concatenate([errors.z[name] for name in cell.rows], axis=1)
    return dz, State(zeta_h * d.h, None if d.c is None or errors.c is None else zeta_c * d.c + errors.c)


def _through_products(
    cell: BoundCell, tape: Tape, t: int, dz: Array, *, dbefore: State, gradients: dict[str, Array]
) -> State:
    """Add the gradients of ``W, R, b, S``, and carry ``dz`` to ``h⁻`` and ``r⁻``."""
    weights, before, drop_h = cell.weights, state_before(cell, tape, t), tape.masks.drop_h
    dz_gates = dz[:, cell.gate_columns]
    gradients["W"] += dz.T @ tape.x[t]
    gradients["R"] += dz.T @ (before.h if drop_h is None else before.h * drop_h)
    if "b" in weights:
        gradients["b"] += dz.sum(axis=0)
    if before.r is not None:
        gradients["S"] += dz_gates.T @ before.r
    dr = None if before.r is None else dz_gates @ weights["S"]
    if cell.spec.truncated:
        return State(np.zeros_like(dbefore.h), dbefore.c, None if dr is None else np.zeros_like(dr))
    dh = dz @ weights["R"]
    return State(dbefore.h + (dh if drop_h is None else dh * drop_h), dbefore.c, dr)
