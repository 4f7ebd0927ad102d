"""The judge of every gradient: analytic against central differences, in float64.

A random linear function of everything that a pass gives out (``y``, the final state, gates and cell states) serves
as the loss. Its derivative with respect to every element of every input and parameter is taken twice, by the backward
pass and by the central difference of fourth order ::

    (8 (L(q + ε) − L(q − ε)) − (L(q + 2ε) − L(q − 2ε))) / 12ε

and compared by ``‖a − n‖ / max(‖a‖, ‖n‖)``. For cells whose error is truncated the difference is taken with the cut
connections held at their recorded values, which is what the truncated error is the gradient of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from peephole.equations import recurrence
from peephole.equations.activations import Array
from peephole.equations.passes import CellBackward, CellForward
from peephole.equations.state import Masks, State, Tape
from peephole.spec import CellSpec
from peephole.weights import cell_shapes

DIFFERENCE = 2e-5
"""``ε``: here the difference's own error, of order ``ε⁴``, and rounding, of order ``10⁻¹⁶ / ε``, are both small."""


_STENCIL = ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One cell with random parameters, input, state and draws, all float64.

    Attributes:
        spec: the cell.
        weights: parameters by letter.
        x: input, ``[T, B, I]``.
        state: initial state.
        lengths: valid steps of each row.
        reverse: the direction of time.
        masks: random draws.
    """

    spec: CellSpec
    weights: dict[str, Array]
    x: Array
    state: State
    lengths: Array
    reverse: bool
    masks: Masks


class Comparison(NamedTuple):
    """Relative error of one gradient, and the size of the gradient it was measured on."""

    name: str
    relative_error: float
    norm: float


def random_problem(
    spec: CellSpec,
    *,
    input_size: int = 2,
    blocks: int | None = None,
    lengths: Sequence[int] = (3, 0, 2),
    reverse: bool = False,
    bias: bool = True,
    seed: int = 0,
) -> Problem:
    """A problem of the given sizes; ``T`` is the longest length, ``B`` their number.

    Two blocks where None; three with layer norm, for two values normalise to ±1 and leave hardly any gradient.
    """
    rng = np.random.default_rng(seed)
    blocks = blocks or (3 if spec.layer_norm else 2)
    T, B, H = max(lengths), len(lengths), blocks * spec.cells_per_block
    P = spec.proj_size or H
    shapes = cell_shapes(spec, input_size, H, bias=bias)
    weights = {letter: 0.6 * rng.standard_normal(shape) for letter, shape in shapes.items()}
    if spec.layer_norm:
        weights["gain"] += 1.0
    has_cells = spec.cell == "lstm"
    state = State(
        0.5 * rng.standard_normal((B, P)),
        0.5 * rng.standard_normal((B, H)) if has_cells else None,
        rng.uniform(size=(B, shapes["S"][0])) if spec.full_gate_recurrence else None,
    )
    rate, on = spec.recurrent_dropout, spec.recurrent_dropout_on
    keep = 1.0 - rate
    masks = Masks(
        zoneout_h=1.0 * (rng.uniform(size=(T, B, P)) < spec.zoneout_hidden) if spec.zoneout_hidden else None,
        zoneout_c=1.0 * (rng.uniform(size=(T, B, H)) < spec.zoneout_cell) if spec.zoneout_cell else None,
        drop_h=(rng.uniform(size=(B, P)) < keep) / keep if rate and on == "hidden" else None,
        drop_g=(rng.uniform(size=(B, H)) < keep) / keep if rate and on == "candidate" else None,
    )
    return Problem(
        spec=spec,
        weights=weights,
        x=rng.standard_normal((T, B, input_size)),
        state=state,
        lengths=np.asarray(lengths),
        reverse=reverse,
        masks=masks,
    )


def check(
    problem: Problem,
    *,
    forward: CellForward = recurrence.forward,
    backward: CellBackward = recurrence.backward,
    seed: int = 1,
) -> list[Comparison]:
    """Compare every gradient of a problem with central differences.

    Args:
        problem: what to check on.
        forward: the forward pass to differentiate.
        backward: the backward pass on trial.
        seed: of the random loss.

    Returns:
        One comparison for the input, each part of the initial state, and each parameter.
    """
    tape = _run(problem, forward)
    loss = _RandomLoss.of(tape, seed)
    gradients = backward(
        problem.spec, problem.weights, tape, loss.dy, dfinal=loss.dfinal, dgates=loss.dgates, dc=loss.dc
    )
    frozen = _run(replace(problem, state=_copy(problem.state)), recurrence.forward) if problem.spec.truncated else None

    def value() -> float:
        return loss.value(_run(problem, forward if frozen is None else _holding(frozen)))

    analytic = {"x": gradients.x, **_named(gradients.initial), **gradients.weights}
    variables = {"x": problem.x, **_named(problem.state), **problem.weights}
    return [compare(name, analytic[name], difference(value, q)) for name, q in variables.items()]


def compare(name: str, analytic: Array, numeric: Array) -> Comparison:
    """``‖a − n‖ / max(‖a‖, ‖n‖)``; 0 where both vanish, as behind a cut connection."""
    norm = max(float(np.linalg.norm(analytic)), float(np.linalg.norm(numeric)))
    error = float(np.linalg.norm(analytic - numeric))
    return Comparison(name, error / norm if norm > DIFFERENCE * DIFFERENCE else error, norm)


@dataclass(frozen=True)
class _RandomLoss:
    """``L = Σ dy ⊙ y + Σ dh_n ⊙ h_n + …``: its gradients are its own coefficients."""

    dy: Array
    dfinal: State
    dgates: Array
    dc: Array | None

    @classmethod
    def of(cls, tape: Tape, seed: int) -> "_RandomLoss":
        rng = np.random.default_rng(seed)

        def like(q: Array | None) -> Array | None:
            if q is None:
                return None
            draw = np.empty(q.shape)
            rng.standard_normal(out=draw)
            return draw

        h, c, r = tape.final
        dfinal = State(rng.standard_normal(h.shape), like(c), like(r))
        return cls(rng.standard_normal(tape.y.shape), dfinal, rng.standard_normal(tape.gates.shape), like(tape.c))

    def value(self, tape: Tape) -> float:
        outputs = [(self.dy, tape.y), (self.dgates, tape.gates), (self.dc, tape.c)]
        pairs = [*outputs, *zip(self.dfinal, tape.final, strict=True)]
        return sum(float((d * q).sum()) for d, q in pairs if d is not None and q is not None)


def _run(problem: Problem, forward: CellForward) -> Tape:
    return forward(
        problem.spec,
        problem.weights,
        problem.x,
        problem.state,
        lengths=problem.lengths,
        reverse=problem.reverse,
        masks=problem.masks,
    )


def _holding(frozen: Tape) -> CellForward:
    """The forward pass of the equations with the cut connections held at their recorded values."""

    def forward(
        spec: CellSpec,
        weights: Mapping[str, Array],
        x: Array,
        state: State | None = None,
        *,
        lengths: Array | None = None,
        reverse: bool = False,
        masks: Masks = recurrence.NO_MASKS,
    ) -> Tape:
        return recurrence.forward(spec, weights, x, state, lengths=lengths, reverse=reverse, masks=masks, frozen=frozen)

    return forward


def _copy(state: State) -> State:
    h, c, r = state
    return State(h.copy(), None if c is None else c.copy(), None if r is None else r.copy())


def _named(state: State) -> dict[str, Array]:
    return {f"{name}0": q for name, q in zip(state._fields, state, strict=True) if q is not None}


def difference(value: Callable[[], float], q: Array) -> Array:
    """The difference of ``value`` for every element of ``q``, each changed in place and restored."""
    numeric = np.zeros_like(q)
    for index in np.ndindex(q.shape):
        kept = q[index]
        total = 0.0
        for steps, factor in _STENCIL:
            q[index] = kept + steps * DIFFERENCE
            total += factor * value()
        q[index] = kept
        numeric[index] = total / (12.0 * DIFFERENCE)
    return numeric
