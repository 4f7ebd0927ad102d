"""Any number of threads gives the same: the forward pass bit for bit, the gradients to the order of their sums."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import pytest

from peephole.equations.gradcheck import Problem
from peephole.kernels import core
from tests.cells import CELLS
from tests.kernels.problems import (
    assert_same,
    in_dtype,
    random_problem,
    tempered,
    threaded_forward,
    threaded_pass,
)
from tests.tolerances import TOLERANCES

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("peephole._openmp") is None, reason="the core was built without OpenMP"
)

SAME_BITS = TOLERANCES["native_same_bits"]
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
COUNTS = (2, 3)

# Units are divided where rows are fewer than threads, or where two megabytes of weights meet few rows.
SHAPES = {
    "rows": ("lstm", 33, (30,) * 7),
    "ragged_rows": ("peephole", 33, (30, 9, 0, 25, 30, 1, 30)),
    "rows_of_coupled_blocks": ("coupled_peephole-3_cells", 33, (30, 12, 30, 30)),
    "rows_with_layer_norm": ("layer_norm_peephole", 40, (30, 12, 30, 30)),
    "rows_with_full_gate_recurrence": ("full_gate_recurrence", 40, (30, 12, 30, 30)),
    "rows_of_rnn": ("rnn", 130, (30, 12, 30, 30)),
    "units_of_one_row": ("lstm", 200, (40,)),
    "units_of_two_ragged_rows": ("zoneout", 210, (40, 17)),
    "units_because_of_large_weights": ("peephole", 370, (9, 9, 4, 9)),
}
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)


def problem_of(shape: str, dtype: str, *, reverse: bool = False) -> Problem:
    name, blocks, lengths = SHAPES[shape]
    problem = tempered(random_problem(CELLS[name], input_size=5, blocks=blocks, lengths=lengths, reverse=reverse))
    return in_dtype(problem, dtype)


@DTYPES
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@EVERY_SHAPE
@pytest.mark.usefixtures("fast_isa")
def test_forward_is_the_same_bits_for_any_number_of_threads(shape: str, reverse: bool, dtype: str) -> None:
    problem = problem_of(shape, dtype, reverse=reverse)
    alone = threaded_forward(problem, 1)
    for threads in COUNTS:
        assert_same(threaded_forward(problem, threads), alone, SAME_BITS)
        assert_same(threaded_forward(problem, threads, keep=("y",)), {k: alone[k] for k in final(alone)}, SAME_BITS)


def final(tape: Mapping[str, object]) -> list[str]:
    return [name for name in tape if name == "y" or name.endswith("_n")]


@DTYPES
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@EVERY_SHAPE
def test_threads_give_what_the_plain_kernels_give(fast_isa: str, shape: str, reverse: bool, dtype: str) -> None:
    problem = problem_of(shape, dtype, reverse=reverse)
    core.force_isa("plain")
    expected = threaded_pass(problem, 1)
    core.force_isa(fast_isa)
    kind = "_layer_norm" if problem.spec.layer_norm else "_long" * (dtype == "float32")
    for threads in COUNTS:
        assert_same(threaded_pass(problem, threads), expected, TOLERANCES[f"native_fast_{dtype}{kind}"])


@DTYPES
@EVERY_SHAPE
@pytest.mark.usefixtures("fast_isa")
def test_the_same_threads_give_the_same_bits_run_after_run(shape: str, dtype: str) -> None:
    problem = problem_of(shape, dtype)
    for threads in (1, *COUNTS):
        first = threaded_pass(problem, threads)
        for _ in range(3):
            assert_same(threaded_pass(problem, threads), first, SAME_BITS)
