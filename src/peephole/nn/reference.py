"""The whole family in torch operations, differentiated by autograd: any device, any floating dtype.

It serves what the kernels do not (accelerators, half precision) and is the oracle for their hand-derived gradients.
The lines are those of the equations (000 eq. 15-30, 002 eq. 5.1-5.56), in the same order. The truncated error of 1997
is made by ``detach``: what must not carry error back is read as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from peephole.nn.cell import CellInputs, CellMasks, CellRun, CellState, valid_steps, zero_state
from peephole.spec import Activation, CellSpec
from peephole.weights import row_slices

Weights = Mapping[str, Tensor]

LAYER_NORM_EPS = 1e-5

ACTIVATE: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda z: z,
}


class _Step(NamedTuple):
    """One step's results: the next state and what the tape shows."""

    state: CellState
    gates: Tensor
    c: Tensor | None


def run_layer(cells: Sequence[CellInputs]) -> list[CellRun]:
    """Run the cells of one layer over a sequence in torch operations.

    Args:
        cells: each cell's work; tensors of one dtype and device.

    Returns:
        For each the outputs, the final state and, if asked for, the gates and cells of every step. Differentiable.
    """
    return [_run_cell(inputs) for inputs in cells]


def _run_cell(inputs: CellInputs) -> CellRun:
    if inputs.state is None:
        inputs = inputs._replace(state=zero_state(inputs))
    spec, weights, x = inputs.spec, inputs.weights, inputs.x
    steps = x.shape[0]
    valid = None if inputs.lengths is None else valid_steps(inputs.lengths, steps, x.device)
    if valid is not None:
        x = x.masked_fill(~valid, 0)  # so that not even a NaN in the padding is seen
    bias = weights["b"] + weights["b_h"] if "b_h" in weights else weights.get("b")
    inputs_z = F.linear(x, weights["W"], bias)
    one_step = _rnn_step if spec.cell == "rnn" else _lstm_step
    state = cast(CellState, inputs.state)
    tape: list[_Step] = []
    for t in reversed(range(steps)) if inputs.reverse else range(steps):
        step = one_step(spec, weights, inputs_z[t], state, _masks_at(inputs.masks, t))
        if valid is not None:
            step = _hold(valid[t], step, state)
        state = step.state
        tape.append(step)
    if inputs.reverse:
        tape.reverse()
    return _collect(inputs, tape, state, valid)


def _collect(inputs: CellInputs, tape: list[_Step], final: CellState, valid: Tensor | None) -> CellRun:
    """Stack the steps; 0 behind the end of a sequence."""
    x, state = inputs.x, cast(CellState, inputs.state)

    def over_time(rows: list[Tensor], width: int) -> Tensor:
        stacked = torch.stack(rows) if rows else x.new_zeros((0, x.shape[1], width))
        return stacked if valid is None else stacked.masked_fill(~valid, 0)

    y = over_time([step.state.h for step in tape], state.h.shape[1])
    if not inputs.want_states:
        return CellRun(y, final, None, None)
    gates = over_time([step.gates for step in tape], inputs.weights["W"].shape[0])
    c = None if state.c is None else over_time([step.c for step in tape if step.c is not None], state.c.shape[1])
    return CellRun(y, final, gates, c)


def _hold(valid: Tensor, step: _Step, before: CellState) -> _Step:
    """Carry the state unchanged through the rows whose sequence has ended."""

    def pick(new: Tensor | None, old: Tensor | None) -> Tensor | None:
        return None if new is None or old is None else torch.where(valid, new, old)

    after = step.state
    h = torch.where(valid, after.h, before.h)
    return step._replace(state=CellState(h, pick(after.c, before.c), pick(after.r, before.r)))


def _masks_at(masks: CellMasks, t: int) -> CellMasks:
    """The masks of step ``t``: zoneout has one a step, dropout one a sequence."""
    zoneout_h, zoneout_c = masks.zoneout_h, masks.zoneout_c
    return masks._replace(
        zoneout_h=None if zoneout_h is None else zoneout_h[t],
        zoneout_c=None if zoneout_c is None else zoneout_c[t],
    )


def _rnn_step(spec: CellSpec, weights: Weights, inputs_z: Tensor, state: CellState, masks: CellMasks) -> _Step:
    """``h = φ(W x + R h⁻ + b)`` (000 eq. 15-16); ``inputs_z`` is ``W x + b``."""
    before = _past(spec, state.h)
    z = inputs_z + F.linear(_scaled(before, masks.drop_h), weights["R"])
    if spec.layer_norm:
        z = _normalise(z, weights["gain"], weights["shift"])
    activation = ACTIVATE[spec.input_activation](z)
    h = _zoneout(activation, before, masks.zoneout_h, spec.zoneout_hidden)
    return _Step(CellState(h), activation, None)


def _lstm_step(spec: CellSpec, weights: Weights, inputs_z: Tensor, state: CellState, masks: CellMasks) -> _Step:
    """One step of the whole family; ``inputs_z`` is ``W x + b``."""
    h_before, c_before = _past(spec, state.h), state.c
    if c_before is None:
        raise TypeError("the state of an LSTM has a cell")
    z = _pre_activations(spec, weights, inputs_z, state, masks)
    c_seen = _past(spec, c_before)  # what the peepholes see
    cells = spec.cells_per_block

    i = _gate("i", spec, weights, z, c_seen)
    f = _gate("f", spec, weights, z, c_seen)
    if spec.coupled and i is not None:
        f = 1 - i
    g = ACTIVATE[spec.input_activation](_norm_rows("g", spec, weights, z["g"]))
    candidate = _scaled(g, masks.drop_g)
    kept = c_before if f is None else _to_cells(f, cells) * c_before
    c_hat = kept + (candidate if i is None else _to_cells(i, cells) * candidate)
    c = _zoneout(c_hat, c_before, masks.zoneout_c, spec.zoneout_cell)
    o = _gate("o", spec, weights, z, _past(spec, c_hat))
    a = ACTIVATE[spec.output_activation](_norm_cell(spec, weights, c_hat))
    h_hat = a if o is None else _to_cells(o, cells) * a
    if spec.proj_size:
        h_hat = F.linear(h_hat, weights["W_p"])
    h = _zoneout(h_hat, h_before, masks.zoneout_h, spec.zoneout_hidden)

    own = {"i": i, "f": None if spec.coupled else f, "o": o}
    r = torch.cat([gate for gate in own.values() if gate is not None], -1) if spec.full_gate_recurrence else None
    gates = torch.cat([value for name in spec.rows if (value := g if name == "g" else own[name]) is not None], -1)
    return _Step(CellState(h, c, r), gates, c)


def _pre_activations(
    spec: CellSpec, weights: Weights, inputs_z: Tensor, state: CellState, masks: CellMasks
) -> dict[str, Tensor]:
    """``z_k = W_k x + R_k h⁻ + b_k [+ S_k r⁻]`` by name, before peepholes and layer norm."""
    stacked = inputs_z + F.linear(_scaled(_past(spec, state.h), masks.drop_h), weights["R"])
    z = {name: stacked[:, rows] for name, rows in row_slices(spec, _hidden_size(spec, weights)).items()}
    if state.r is not None:
        parts = F.linear(_past(spec, state.r), weights["S"]).chunk(len(spec.gates), -1)
        for name, part in zip(spec.gates, parts, strict=True):
            z[name] = z[name] + part
    return z


def _gate(name: str, spec: CellSpec, weights: Weights, z: Mapping[str, Tensor], c_seen: Tensor) -> Tensor | None:
    """``σ(z_k [+ Eᵀ(p_k ⊙ c)])``, ``[B, N]``; ``None`` for a gate without weights."""
    if name not in spec.gates:
        return None
    z_k = z[name]
    if spec.peepholes:
        seen = weights["p"][spec.gates.index(name)] * c_seen
        z_k = z_k + seen.reshape(*z_k.shape, spec.cells_per_block).sum(-1)
    return torch.sigmoid(_norm_rows(name, spec, weights, z_k))


def _norm_rows(name: str, spec: CellSpec, weights: Weights, z_k: Tensor) -> Tensor:
    """Layer norm of one ``z_k`` over its units (Ba et al. 2016), where the cell has it."""
    if not spec.layer_norm:
        return z_k
    rows = row_slices(spec, _hidden_size(spec, weights))[name]
    return _normalise(z_k, weights["gain"][rows], weights["shift"][rows])


def _norm_cell(spec: CellSpec, weights: Weights, c: Tensor) -> Tensor:
    """Layer norm of the cell before ``φ_out``, where the cell has it."""
    if not spec.layer_norm:
        return c
    rows = slice(weights["W"].shape[0], None)
    return _normalise(c, weights["gain"][rows], weights["shift"][rows])


def _normalise(z: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return F.layer_norm(z, z.shape[-1:], gain, shift, LAYER_NORM_EPS)


def _hidden_size(spec: CellSpec, weights: Weights) -> int:
    """``H`` out of ``K = gates·H/C + H``."""
    return weights["W"].shape[0] * spec.cells_per_block // (len(spec.gates) + spec.cells_per_block)


def _past(spec: CellSpec, value: Tensor) -> Tensor:
    """A value of the step before as the cell sees it: a constant where the error is truncated."""
    return value.detach() if spec.truncated else value


def _scaled(value: Tensor, mask: Tensor | None) -> Tensor:
    return value if mask is None else value * mask


def _to_cells(gate: Tensor, cells_per_block: int) -> Tensor:
    """``E``: repeat a block's value over its cells."""
    return gate if cells_per_block == 1 else gate.repeat_interleave(cells_per_block, -1)


def _zoneout(new: Tensor, before: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """``ζ ⊙ before + (1 − ζ) ⊙ new``: the mask in training, the expectation otherwise (Krueger et al. 2017)."""
    if not rate:
        return new
    keep = rate if mask is None else mask
    return keep * before + (1 - keep) * new
