"""One step of the LSTM and of its backward pass, the whole family (000 eq. 20-30, 002 eq. 5.14-5.56, 001, 003, 004).

What needs a matrix product is done by :mod:`peephole.equations.recurrence`; what is here works unit by unit.
A gate has one value per block, a cell one per cell; ``E`` repeats a block's value over its ``C`` cells and ``Eᵀ``
sums a block's cells. Bracketed terms are there with peepholes only::

    i   = σ(z_i [+ Eᵀ(p_i ⊙ c⁻)])            without input gate 1
    f   = σ(z_f [+ Eᵀ(p_f ⊙ c⁻)])            without forget gate 1; coupled 1 − i
    g   = φ_in(z_g)
    ĉ   = E f ⊙ c⁻ + E i ⊙ g
    o   = σ(z_o [+ Eᵀ(p_o ⊙ ĉ)])             without output gate 1
    a   = φ_out(ĉ)
    m   = E o ⊙ a                            h = m, or W_p m with projection

and backward, mirrored, from the errors on ``m`` and ``ĉ``::

    do   = Eᵀ(dm ⊙ a)                        dz_o = do ⊙ o(1−o)
    dĉ  += dm ⊙ E o ⊙ φ_out'(ĉ) [+ p_o ⊙ E dz_o]
    dg   = dĉ ⊙ E i                          dz_g = dg ⊙ φ_in'(z_g)
    df   = Eᵀ(dĉ ⊙ c⁻)                       dz_f = df ⊙ f(1−f)
    di   = Eᵀ(dĉ ⊙ g)                        dz_i = di ⊙ i(1−i)      coupled: di = Eᵀ(dĉ ⊙ (g − c⁻))
    dc⁻  = dĉ ⊙ E f [+ p_i ⊙ E dz_i + p_f ⊙ E dz_f]

000 eq. 28 prints the forget gate's error with ``g`` where ``c⁻`` belongs, and eq. 30 a bare chain of symbols; 002
eq. 5.42 leaves out the carried ``f_{t+1} ⊙ dc_{t+1}``. The equations above are the ones that a finite difference
confirms.
"""

from typing import NamedTuple

import numpy as np

from peephole.equations.activations import Array
from peephole.equations.part import Norm, Part, part_backward, part_forward
from peephole.shapes import Float
from peephole.spec import Activation, CellSpec

Parts = dict[str, Part]
"""The parts of one step by name: ``i, f, g, o`` as far as they are there, and ``c`` for ``a = φ_out(ĉ)``."""


class Step(NamedTuple):
    """Outcome of one step: its parts, the new cell state ``ĉ`` ``[B, H]`` and the block output ``m`` ``[B, H]``."""

    parts: Parts
    c_hat: Array | None
    m: Array


class StepErrors(NamedTuple):
    """Errors on ``z`` by row name, on ``c⁻``, and gradients of the unit-by-unit parameters by letter and part."""

    z: dict[str, Array]
    c: Array | None
    parameters: dict[tuple[str, str], Array]


def spread(q: Float[np.ndarray, "B N"], C: int) -> Float[np.ndarray, "B H"]:
    """``E q``: a block's value for each of its cells."""
    return np.repeat(q, C, axis=1)


def gather(q: Float[np.ndarray, "B H"], C: int) -> Float[np.ndarray, "B N"]:
    """``Eᵀ q``: the sum over a block's cells."""
    return q.reshape(len(q), -1, C).sum(axis=2)


def activation_of(spec: CellSpec, name: str) -> Activation:
    """``φ_in`` for the candidate, ``φ_out`` for the cell, the logistic function for the gates."""
    by_name: dict[str, Activation] = {"g": spec.input_activation, "c": spec.output_activation}
    return by_name.get(name, "logistic")


def open_gates(spec: CellSpec, parts: Parts, B: int, N: int) -> tuple[Array, Array, Array]:
    """``i, f, o`` of a step, each ``[B, N]``, with those that have no weights filled in."""
    one = np.ones((B, N))
    i = parts["i"].y if "i" in parts else one
    o = parts["o"].y if "o" in parts else one
    if spec.coupled:
        return i, 1.0 - i, o
    return i, parts["f"].y if "f" in parts else one, o


def block_output(spec: CellSpec, parts: Parts) -> Array:
    """``m = E o ⊙ a``."""
    a = parts["c"].y
    return a * spread(parts["o"].y, spec.cells_per_block) if "o" in parts else a


def step_forward(
    spec: CellSpec,
    z: dict[str, Array],
    c: Float[np.ndarray, "B H"],
    *,
    peepholes: dict[str, Array],
    norms: dict[str, Norm],
    drop_g: Array | None = None,
    seen: tuple[Array, Array] | None = None,
) -> Step:
    """One step from ``z`` (by row, without peepholes) and ``c⁻``.

    Args:
        spec: the cell.
        z: pre-activations by row name.
        c: ``c⁻``.
        peepholes: ``p`` by gate, ``[H]``.
        norms: gain and shift by part.
        drop_g: factor on the candidate.
        seen: ``(c⁻, ĉ)`` for the peepholes to see instead of the live ones. With it, a finite difference of the
            forward pass gives the truncated error, through which peepholes carry nothing.
    """
    C = spec.cells_per_block
    c_seen = c if seen is None else seen[0]
    parts: Parts = {}

    def enter(name: str, c_of_gate: Array | None) -> None:
        if name in z:
            peep = 0.0 if c_of_gate is None or name not in peepholes else gather(peepholes[name] * c_of_gate, C)
            parts[name] = part_forward(z[name] + peep, activation_of(spec, name), norms.get(name))

    enter("i", c_seen)
    enter("f", c_seen)
    enter("g", None)
    i, f, _ = open_gates(spec, parts, len(c), c.shape[1] // C)
    g = parts["g"].y if drop_g is None else parts["g"].y * drop_g
    c_hat = spread(f, C) * c + spread(i, C) * g
    enter("o", c_hat if seen is None else seen[1])
    parts["c"] = part_forward(c_hat, activation_of(spec, "c"), norms.get("c"))
    return Step(parts, c_hat, block_output(spec, parts))


def step_backward(
    spec: CellSpec,
    parts: Parts,
    c: Float[np.ndarray, "B H"],
    c_hat: Float[np.ndarray, "B H"],
    *,
    dm: Float[np.ndarray, "B H"],
    dc_hat: Float[np.ndarray, "B H"],
    dgates: dict[str, Array],
    peepholes: dict[str, Array],
    norms: dict[str, Norm],
    drop_g: Array | None = None,
) -> StepErrors:
    """The errors on ``m``, on ``ĉ`` and, from outside, on the activations (``dgates``), carried back over one step."""
    C = spec.cells_per_block
    i, f, o = open_gates(spec, parts, len(c), c.shape[1] // C)
    keep = 1.0 if drop_g is None else drop_g
    g = parts["g"].y * keep
    dz: dict[str, Array] = {}
    parameters: dict[tuple[str, str], Array] = {}

    def leave(name: str, dq: Array) -> Array:
        errors = part_backward(parts[name], dq, activation_of(spec, name), norms.get(name))
        if errors.gain is not None and errors.shift is not None:
            parameters["gain", name] = errors.gain
            parameters["shift", name] = errors.shift
        return errors.z

    def leave_row(name: str, dq: Array, c_of_gate: Array | None) -> Array:
        """``dz_k`` of a row that has weights; returns the error that goes on through its peephole."""
        dz[name] = leave(name, dq + dgates[name])
        if c_of_gate is None or name not in peepholes:
            return np.zeros_like(c)
        parameters["p", name] = (spread(dz[name], C) * c_of_gate).sum(axis=0)
        return np.zeros_like(c) if spec.truncated else peepholes[name] * spread(dz[name], C)

    dc = dc_hat + leave("c", dm * spread(o, C))
    if "o" in parts:
        dc = dc + leave_row("o", gather(dm * parts["c"].y, C), c_hat)
    leave_row("g", dc * spread(i, C) * keep, None)
    dc_before = dc * spread(f, C)
    if "f" in parts:
        dc_before = dc_before + leave_row("f", gather(dc * c, C), c)
    if "i" in parts:
        dc_before = dc_before + leave_row("i", gather(dc * (g - c if spec.coupled else g), C), c)
    return StepErrors(dz, dc_before, parameters)
