"""What the kernels read and write: any memory in, only their own out, and the same bits every time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peephole import kernels
from peephole.equations import State
from peephole.equations.gradcheck import Problem
from peephole.kernels import layout
from peephole.kernels.native import run_backward, run_forward
from peephole.spec import VARIANTS, CellSpec
from tests.cells import SOME_CELLS
from tests.kernels.problems import (
    Array,
    Errors,
    addresses,
    assert_same,
    buffers_of,
    gradient_arrays,
    random_errors,
    random_problem,
    run_kernels,
    sizes_of,
    tape_arrays,
    whole_pass,
)
from tests.tolerances import TOLERANCES

SAME_BITS = TOLERANCES["native_same_bits"]
EVERY_ONE = pytest.mark.parametrize("spec", SOME_CELLS.values(), ids=SOME_CELLS)


def unaligned(array: Array) -> Array:
    """The same values at an odd address."""
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def strided(array: Array) -> Array:
    """The same values with gaps between them, backwards in memory."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    view = wide[..., ::-2]
    view[...] = array
    return view


def transformed(problem: Problem, change: Any) -> Problem:
    def maybe(q: Array | None) -> Any:
        return None if q is None else change(q)

    return replace(
        problem,
        weights={letter: change(value) for letter, value in problem.weights.items()},
        x=change(problem.x),
        state=State(*map(maybe, problem.state)),
        masks=problem.masks._make(map(maybe, problem.masks)),
    )


@pytest.mark.parametrize("change", [np.asfortranarray, unaligned, strided], ids=lambda change: change.__name__)
@EVERY_ONE
def test_memory_layout_does_not_change_results(spec: CellSpec, change: Any) -> None:
    problem = random_problem(spec)
    tape, expected = whole_pass(problem)
    errors = random_errors(tape)
    odd = Errors(
        change(errors.dy),
        State(*(None if q is None else change(q) for q in errors.dfinal)),  # type: ignore[arg-type]
        change(errors.dgates),
        None if errors.dc is None else change(errors.dc),
    )
    assert_same(whole_pass(transformed(problem, change), odd)[1], expected, SAME_BITS)


@EVERY_ONE
def test_passes_are_the_same_from_run_to_run(spec: CellSpec) -> None:
    problem = random_problem(spec, blocks=7)
    first = whole_pass(problem)[1]
    for _ in range(3):
        assert_same(whole_pass(problem)[1], first, SAME_BITS)


@EVERY_ONE
def test_passes_leave_their_inputs_alone(spec: CellSpec) -> None:
    problem = random_problem(spec)
    kept = transformed(problem, np.copy)
    whole_pass(problem)
    before = {**kept.weights, "x": kept.x, "h": kept.state.h, "lengths": kept.lengths}
    after = {**problem.weights, "x": problem.x, "h": problem.state.h, "lengths": problem.lengths}
    assert_same(after, before, SAME_BITS)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@EVERY_ONE
def test_padding_is_never_read(spec: CellSpec, reverse: bool) -> None:
    problem = random_problem(spec, reverse=reverse)
    tape, expected = whole_pass(problem)
    errors = random_errors(tape)
    beyond = np.greater_equal(np.arange(len(problem.x))[:, None], problem.lengths)
    x = problem.x.copy()
    x[beyond] = np.nan
    for error in (errors.dy, errors.dgates, errors.dc):
        if error is not None:
            error[beyond] = np.nan
    assert_same(whole_pass(replace(problem, x=x), errors)[1], expected, SAME_BITS)


@EVERY_ONE
def test_final_state_is_the_same_where_no_tape_is_kept(spec: CellSpec) -> None:
    problem = random_problem(spec)
    tape = run_kernels(problem, "native")
    sizes, buffers = sizes_of(problem), buffers_of(problem)
    names = [name for name in layout.tape_shapes(spec, sizes) if name.endswith("_n")]
    final = {name: np.full(layout.tape_shapes(spec, sizes)[name], np.nan) for name in names}
    run_forward(spec, sizes, "float64", addresses({**buffers, **final}))
    assert_same(final, {name: tape_arrays(tape)[name] for name in names}, SAME_BITS)


@EVERY_ONE
def test_stream_in_place_equals_batch(spec: CellSpec) -> None:
    problem = random_problem(spec.replace(zoneout_hidden=0.0, zoneout_cell=0.0, recurrent_dropout=0.0), lengths=(5, 5))
    tape = run_kernels(problem, "native")
    sizes, buffers = sizes_of(problem), buffers_of(problem)
    del buffers["lengths"]
    state = {f"{name}_n": value.copy() for name, value in problem.state._asdict().items() if value is not None}
    for t in range(sizes.T):
        step = {**buffers, "x": problem.x[t], **{name.replace("_n", "0"): value for name, value in state.items()}}
        run_forward(problem.spec, sizes._replace(T=1), "float64", addresses({**step, **state}))
        assert_same({"h": state["h_n"]}, {"h": tape.y[t]}, SAME_BITS)


@EVERY_ONE
def test_backward_writes_over_whatever_was_there_and_leaves_out_the_unwanted(spec: CellSpec) -> None:
    problem = random_problem(spec)
    tape, expected = whole_pass(problem)
    errors = random_errors(tape)
    sizes, buffers = sizes_of(problem), buffers_of(problem)
    steps = {name: value for name, value in tape_arrays(tape).items() if name in layout.tape_shapes(spec, sizes)}
    given = {"dy": errors.dy, "dgates": errors.dgates, "dc": errors.dc}
    given |= {f"d{name}_n": value for name, value in errors.dfinal._asdict().items()}
    every = {**buffers, **steps, **{name: value for name, value in given.items() if value is not None}}
    for name, shape in layout.gradient_shapes(spec, sizes).items():
        gradient = np.full(shape, np.nan)
        run_backward(spec, sizes, "float64", addresses({**every, name: gradient}))
        assert_same({name: gradient}, {name: expected[name]}, TOLERANCES["native_float64_layer_norm"])


def test_errors_and_states_left_out_are_zeros() -> None:
    problem = random_problem(VARIANTS["full_gate_recurrence"].spec)
    tape = kernels.forward(problem.spec, problem.weights, problem.x, lengths=problem.lengths)
    zeros = State(*(np.zeros_like(q) for q in problem.state))  # type: ignore[arg-type]
    same = kernels.forward(problem.spec, problem.weights, problem.x, zeros, lengths=problem.lengths)
    assert_same(tape_arrays(tape), tape_arrays(same), SAME_BITS)
    left_out = kernels.backward(problem.spec, problem.weights, tape, np.ones_like(tape.y))
    zero_errors = State(*(np.zeros_like(q) for q in tape.final))  # type: ignore[arg-type]
    given = kernels.backward(problem.spec, problem.weights, tape, np.ones_like(tape.y), dfinal=zero_errors)
    assert_same(gradient_arrays(left_out), gradient_arrays(given), SAME_BITS)


def test_an_empty_batch_and_no_steps_are_allowed() -> None:
    problem = random_problem(VARIANTS["peephole"].spec)
    for x in (problem.x[:, :0], problem.x[:0]):
        tape = kernels.forward(problem.spec, problem.weights, x, backend="native")
        gradients = kernels.backward(problem.spec, problem.weights, tape, np.zeros_like(tape.y), backend="native")
        assert tape.y.shape == (*x.shape[:2], problem.state.h.shape[1])
        assert all(not value.any() for value in gradient_arrays(gradients).values())
