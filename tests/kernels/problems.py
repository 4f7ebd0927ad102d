"""Running one problem through the equations and through the kernels, and comparing all that comes out."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from peephole import equations, kernels
from peephole.equations import Gradients, Masks, State, Tape, gradcheck
from peephole.equations.gradcheck import Problem
from peephole.kernels import layout
from peephole.kernels.core import Dtype
from peephole.kernels.layout import Sizes
from peephole.kernels.native import address_of, run_backward, run_forward
from tests.tolerances import TOLERANCES

Array = np.ndarray[Any, np.dtype[Any]]

random_problem = partial(gradcheck.random_problem, input_size=3, blocks=4, lengths=(4, 2, 0, 3))
"""A problem of sizes that differ, with rows of every length, one of them empty."""

STATE = ("h_n", "c_n", "r_n", "h0", "c0", "r0")
STEPS = ("y", "gates", "c", "c_hat", "a", "normed", "rstd")


@dataclass(frozen=True)
class Errors:
    """Random errors from above for one tape."""

    dy: Array
    dfinal: State
    dgates: Array
    dc: Array | None


def random_errors(tape: Tape, seed: int = 1) -> Errors:
    rng = np.random.default_rng(seed)

    def like(q: Array | None) -> Any:
        if q is None:
            return None
        draw = np.empty(q.shape)
        rng.standard_normal(out=draw)
        return draw.astype(q.dtype)

    return Errors(like(tape.y), State(*map(like, tape.final)), like(tape.gates), like(tape.c))


def sizes_of(problem: Problem) -> Sizes:
    T, B, I = cast("tuple[int, int, int]", problem.x.shape)  # noqa: E741
    return Sizes(T, B, I, problem.weights["W_p" if problem.spec.proj_size else "R"].shape[1])


def in_dtype(problem: Problem, dtype: str) -> Problem:
    def cast(q: Array | None) -> Any:
        return None if q is None else q.astype(dtype)

    return replace(
        problem,
        weights={letter: cast(value) for letter, value in problem.weights.items()},
        x=cast(problem.x),
        state=State(*map(cast, problem.state)),
        masks=Masks(*map(cast, problem.masks)),
    )


def tempered(problem: Problem) -> Problem:
    """Matrices scaled to their width, so that a wide network does not blow up its own rounding."""
    weights = {k: w / np.sqrt(w.shape[1]) if k in ("W", "R", "S", "W_p") else w for k, w in problem.weights.items()}
    return replace(problem, weights=weights)


def run_equations(problem: Problem) -> Tape:
    return equations.forward(
        problem.spec,
        problem.weights,
        problem.x,
        problem.state,
        lengths=problem.lengths,
        reverse=problem.reverse,
        masks=problem.masks,
    )


def run_kernels(problem: Problem, backend: kernels.Backend | None = None) -> Tape:
    return kernels.forward(
        problem.spec,
        problem.weights,
        problem.x,
        problem.state,
        lengths=problem.lengths,
        reverse=problem.reverse,
        masks=problem.masks,
        backend=backend,
    )


def run_kernels_back(problem: Problem, tape: Tape, errors: Errors, backend: kernels.Backend | None = None) -> Gradients:
    return kernels.backward(
        problem.spec,
        problem.weights,
        tape,
        errors.dy,
        dfinal=errors.dfinal,
        dgates=errors.dgates,
        dc=errors.dc,
        backend=backend,
    )


def run_equations_back(problem: Problem, tape: Tape, errors: Errors) -> Gradients:
    return equations.backward(
        problem.spec, problem.weights, tape, errors.dy, dfinal=errors.dfinal, dgates=errors.dgates, dc=errors.dc
    )


def tape_arrays(tape: Tape) -> dict[str, Array]:
    """Every array that a forward pass wrote."""
    steps = {name: getattr(tape, name) for name in STEPS}
    final = {f"{name}_n": value for name, value in tape.final._asdict().items()}
    return {name: value for name, value in {**steps, **final}.items() if value is not None}


def gradient_arrays(gradients: Gradients) -> dict[str, Array]:
    """Every array that a backward pass wrote."""
    initial = {f"d{name}0": value for name, value in gradients.initial._asdict().items()}
    weights = {f"d{letter}": value for letter, value in gradients.weights.items()}
    return {k: value for k, value in {"dx": gradients.x, **initial, **weights}.items() if value is not None}


def assert_same(actual: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float) -> None:
    """All arrays agree in name, shape, and value relative to the largest (or to 1 where all are smaller)."""
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        assert array.shape == expected[name].shape, name
        scale = max(1.0, float(np.abs(expected[name]).max(initial=0.0)))
        error = float(np.abs(array - expected[name]).max(initial=0.0)) / scale
        assert error <= tolerance, (name, error)  # NaN is never <=


def whole_pass(problem: Problem, errors: Errors | None = None) -> tuple[Tape, dict[str, Array]]:
    """The tape, and everything that the compiled passes wrote."""
    tape = run_kernels(problem, "native")
    gradients = run_kernels_back(problem, tape, errors or random_errors(tape), "native")
    return tape, {**tape_arrays(tape), **gradient_arrays(gradients)}


def buffers_of(problem: Problem) -> dict[str, Array]:
    """Parameters and inputs by buffer name."""
    inputs: dict[str, Array | None] = {"x": problem.x, "lengths": problem.lengths, **problem.masks._asdict()}
    inputs |= {f"{name}0": value for name, value in problem.state._asdict().items()}
    return {**problem.weights, **{name: value for name, value in inputs.items() if value is not None}}


def addresses(buffers: Mapping[str, Array]) -> dict[str, int]:
    return {name: address_of(array) for name, array in buffers.items()}


def unwritten(problem: Problem, name: str, shape: tuple[int, ...]) -> Array:
    """A part of the tape that shows what was not written: NaN, and zeros where the kernels leave it as it is."""
    blank = np.full(shape, np.nan, problem.x.dtype)
    if name in STEPS[1:]:
        blank[np.arange(shape[0])[:, None] >= problem.lengths] = 0
    return blank


def threaded_forward(problem: Problem, threads: int, *, keep: Container[str] | None = None) -> dict[str, Array]:
    """The compiled forward pass by so many threads: the final state and the tape, or what of it is kept."""
    sizes, inputs, dtype = sizes_of(problem), buffers_of(problem), problem.x.dtype
    shapes = layout.tape_shapes(problem.spec, sizes)
    kept = [name for name in shapes if keep is None or name in keep or name.endswith("_n")]
    tape = {name: unwritten(problem, name, shapes[name]) for name in kept}
    named = addresses({**inputs, **tape})
    run_forward(problem.spec, sizes, cast(Dtype, dtype.name), named, reverse=problem.reverse, threads=threads)
    return tape


def errors_by_name(problem: Problem, seed: int = 1) -> dict[str, Array]:
    """Random errors from above by buffer name."""
    rng = np.random.default_rng(seed)
    shapes = layout.error_shapes(problem.spec, sizes_of(problem))
    return {name: rng.standard_normal(shape).astype(problem.x.dtype) for name, shape in shapes.items()}


def threaded_pass(problem: Problem, threads: int, errors: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """Everything that the compiled passes write, by so many threads."""
    sizes, dtype = sizes_of(problem), problem.x.dtype
    tape = threaded_forward(problem, threads)
    shapes = layout.gradient_shapes(problem.spec, sizes, bias="b" in problem.weights)
    gradients = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
    buffers = {**buffers_of(problem), **tape, **(errors or errors_by_name(problem)), **gradients}
    named, name = addresses(buffers), cast(Dtype, dtype.name)
    run_backward(problem.spec, sizes, name, named, reverse=problem.reverse, threads=threads)
    return {**tape, **gradients}


def row_alone(problem: Problem, row: int) -> Problem:
    """One row of the batch."""
    one = slice(row, row + 1)

    def of_state(q: Array | None) -> Any:
        return None if q is None else np.ascontiguousarray(q[one])

    def of_steps(q: Array | None) -> Any:
        return None if q is None else np.ascontiguousarray(q[:, one])

    masks = problem.masks
    return replace(
        problem,
        x=of_steps(problem.x),
        state=State(*map(of_state, problem.state)),
        lengths=problem.lengths[one],
        masks=Masks(
            zoneout_h=of_steps(masks.zoneout_h),
            zoneout_c=of_steps(masks.zoneout_c),
            drop_h=of_state(masks.drop_h),
            drop_g=of_state(masks.drop_g),
        ),
    )


def row_of(name: str, array: Array, row: int) -> Array:
    """One row of what a pass wrote: a state's, or a quantity's of every step."""
    return array[row : row + 1] if name.removeprefix("d") in STATE else np.ascontiguousarray(array[:, row : row + 1])


def assert_equal_passes(problem: Problem, dtype: str, name: str = "") -> None:
    """Everything that the compiled passes write is what the equations write, within the tolerance of that name."""
    tolerance = TOLERANCES[name or f"native_{dtype}" + "_layer_norm" * problem.spec.layer_norm]
    expected = run_equations(problem)
    errors = random_errors(expected)
    native_problem = in_dtype(problem, dtype)
    tape = run_kernels(native_problem, "native")
    assert {array.dtype for array in tape_arrays(tape).values()} == {np.dtype(dtype)}
    assert_same(tape_arrays(tape), tape_arrays(expected), tolerance)
    gradients = run_kernels_back(native_problem, tape, random_errors(tape), "native")
    assert {array.dtype for array in gradient_arrays(gradients).values()} == {np.dtype(dtype)}
    assert_same(gradient_arrays(gradients), gradient_arrays(run_equations_back(problem, expected, errors)), tolerance)
