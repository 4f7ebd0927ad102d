"""Running one problem through the equations and through the kernels, and comparing all that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from peephole import equations, kernels
from peephole.equations import Gradients, Masks, State, Tape, gradcheck
from peephole.equations.gradcheck import Problem
from peephole.kernels.layout import Sizes

Array = np.ndarray[Any, np.dtype[Any]]

random_problem = partial(gradcheck.random_problem, input_size=3, blocks=4, lengths=(4, 2, 0, 3))
"""A problem of sizes that differ, with rows of every length, one of them empty."""

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
