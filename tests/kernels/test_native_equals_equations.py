"""The compiled kernels against the equations: every cell, everything that a pass writes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from peephole.equations import Masks
from peephole.spec import CellSpec
from tests.cells import ALL_CELLS, CELLS
from tests.kernels.problems import assert_equal_passes, random_problem

DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
EVERY_CELL = pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)


@DIRECTIONS
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@EVERY_CELL
def test_native_float64_equals_equations(spec: CellSpec, bias: bool, reverse: bool) -> None:
    problem = random_problem(spec, lengths=(5, 2, 0, 3, 5), reverse=reverse, bias=bias)
    assert_equal_passes(problem, "float64")


@DIRECTIONS
@EVERY_CELL
def test_native_float32_equals_equations(spec: CellSpec, reverse: bool) -> None:
    assert_equal_passes(random_problem(spec, reverse=reverse), "float32")


@EVERY_CELL
def test_native_equals_equations_without_masks(spec: CellSpec) -> None:
    problem = replace(random_problem(spec), masks=Masks())
    assert_equal_passes(problem, "float64")


@EVERY_CELL
def test_native_equals_equations_on_a_full_batch(spec: CellSpec) -> None:
    assert_equal_passes(random_problem(spec, lengths=(4, 4, 4)), "float64")


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(("steps", "features"), [(1, 1), (1, 3), (3, 1)])
@pytest.mark.parametrize("blocks", [1, 3, 7, 33])
@pytest.mark.parametrize("name", ["lstm", "peephole", "full_gate_recurrence", "layer_norm_peephole", "zoneout", "rnn"])
def test_native_equals_equations_at_odd_sizes(name: str, blocks: int, steps: int, features: int, batch: int) -> None:
    problem = random_problem(CELLS[name], input_size=features, blocks=blocks, lengths=(steps,) * batch)
    assert_equal_passes(problem, "float64")


@DIRECTIONS
@EVERY_CELL
def test_native_equals_equations_without_a_valid_step(spec: CellSpec, reverse: bool) -> None:
    problem = random_problem(spec, lengths=(2, 2), reverse=reverse)
    assert_equal_passes(replace(problem, lengths=np.zeros(2, np.int64)), "float64")


def test_tape_of_float32_in_long_sequences_stays_near_the_equations() -> None:
    problem = random_problem(CELLS["peephole"], blocks=16, lengths=(200, 120))
    assert_equal_passes(problem, "float32", "native_float32_long")
