"""What a ragged batch keeps per step: nothing beyond the lengths, and on a compact tape no room for it either."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import cast

import numpy as np
import pytest

from peephole.equations.gradcheck import Problem
from peephole.kernels import layout
from peephole.kernels.core import Dtype
from peephole.kernels.native import Pass, run_passes
from tests.cells import CELLS, SOME_CELLS
from tests.kernels.problems import (
    STEPS,
    Array,
    addresses,
    assert_same,
    buffers_of,
    errors_by_name,
    in_dtype,
    random_problem,
    sizes_of,
)
from tests.tolerances import TOLERANCES

SAME_BITS = TOLERANCES["native_same_bits"]
CASES = list(product(SOME_CELLS, ["forwards", "backwards"], ["float64", "float32"]))
HELD = STEPS[1:]
"""What a compact tape holds of the valid rows alone."""


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES])
def problem(request: pytest.FixtureRequest, isa: str) -> Problem:
    """A ragged batch, for a cell, a direction, a dtype and an instruction set."""
    name, direction, dtype = request.param
    lengths = (9, 0, 4, 9, 1, 6, 2)
    return in_dtype(random_problem(SOME_CELLS[name], lengths=lengths, reverse=direction == "backwards"), dtype)


def valid_rows(problem: Problem) -> Array:
    """``[T, B]`` bool."""
    return np.array([[t < length for length in problem.lengths] for t in range(problem.x.shape[0])])


def tape_of(problem: Problem, fill: float, *, compact: bool) -> dict[str, Array]:
    """A tape of ``fill``, of all rows or of the valid ones, and not one more."""
    rows = int(valid_rows(problem).sum())
    shapes = layout.tape_shapes(problem.spec, sizes_of(problem)).items()
    held = HELD if compact else ()
    dtype = problem.x.dtype
    return {name: np.full((rows, shape[-1]) if name in held else shape, fill, dtype) for name, shape in shapes}


def passes(problem: Problem, tape: dict[str, Array], *, compact: bool, threads: int = 1) -> dict[str, Array]:
    """Forward and backward on that tape; the gradients."""
    sizes, dtype = sizes_of(problem), problem.x.dtype
    shapes = layout.gradient_shapes(problem.spec, sizes, bias="b" in problem.weights)
    gradients = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
    buffers = {**buffers_of(problem), **tape}
    for backward, more in ((False, {}), (True, {**errors_by_name(problem), **gradients})):
        named = addresses({**buffers, **more})
        name = cast(Dtype, dtype.name)
        run_passes([Pass(problem.spec, sizes, name, named, problem.reverse, backward, compact)], threads=threads)
    return gradients


def test_beyond_the_lengths_nothing_but_y_is_touched_or_read(problem: Problem) -> None:
    beyond = ~valid_rows(problem)
    zeros, blank = tape_of(problem, 0.0, compact=False), tape_of(problem, np.nan, compact=False)
    expected = passes(problem, zeros, compact=False)
    assert_same(passes(problem, blank, compact=False), expected, SAME_BITS)
    assert not blank["y"][beyond].any()
    for name in HELD:
        assert name not in blank or np.isnan(blank[name][beyond]).all(), name


def test_a_compact_tape_holds_the_valid_rows_and_gives_the_same_bits(problem: Problem) -> None:
    valid = valid_rows(problem)
    for threads in (1, 2):
        padded, compact = tape_of(problem, np.nan, compact=False), tape_of(problem, np.nan, compact=True)
        expected = passes(problem, padded, compact=False, threads=threads)
        assert_same(passes(problem, compact, compact=True, threads=threads), expected, SAME_BITS)
        rows = {name: array[valid] if name in HELD else array for name, array in padded.items()}
        assert_same(compact, rows, SAME_BITS)


def test_without_lengths_a_compact_tape_is_the_whole_one() -> None:
    problem = replace(random_problem(CELLS["peephole"]), lengths=None)
    shapes = layout.tape_shapes(problem.spec, sizes_of(problem)).items()
    whole, compact = ({name: np.full(shape, np.nan) for name, shape in shapes} for _ in range(2))
    expected = passes(problem, whole, compact=False)
    assert_same(passes(problem, compact, compact=True), expected, SAME_BITS)
    assert_same(compact, whole, SAME_BITS)
