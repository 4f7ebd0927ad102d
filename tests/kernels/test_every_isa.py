"""The kernels of every instruction set against the equations and against the plain ones, at sizes that end anywhere.

A tile takes a few rows and a few registers at a time, whole stretches of steps share a product, and what is left over
at each border is code of its own: so sizes lie on both sides of every border.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peephole.equations.gradcheck import Problem
from peephole.kernels import core
from peephole.spec import CellSpec
from tests.cells import ALL_CELLS, CELLS
from tests.kernels.conftest import ISAS
from tests.kernels.problems import (
    assert_equal_passes,
    assert_same,
    in_dtype,
    random_problem,
    tempered,
    threaded_pass,
)
from tests.tolerances import TOLERANCES

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
BORDERS = [1, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130]
BATCHES = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13]


@DTYPES
@pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)
@pytest.mark.usefixtures("isa")
def test_every_isa_equals_the_equations(spec: CellSpec, dtype: str) -> None:
    problem = random_problem(spec, blocks=7, lengths=(5, 2, 0, 3, 5), reverse=True)
    assert_equal_passes(problem, dtype)


@DTYPES
@pytest.mark.parametrize("blocks", BORDERS)
@pytest.mark.parametrize("name", ["lstm", "peephole", "full_gate_recurrence-3_cells", "layer_norm", "rnn"])
def test_every_isa_equals_the_plain_kernels_at_every_border(fast_isa: str, name: str, blocks: int, dtype: str) -> None:
    spec = CELLS[name]
    blocks = max(blocks, 3) if spec.layer_norm else blocks  # fewer normalise to plus and minus one
    problem = random_problem(spec, blocks=blocks, lengths=(3, 2, 3, 1, 3, 3, 3))
    assert_equals_plain(fast_isa, problem, dtype)


@DTYPES
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("steps", "features"), [(1, 1), (1, 9), (4, 1), (4, 17)])
def test_every_isa_equals_the_plain_kernels_for_every_batch(
    fast_isa: str, steps: int, features: int, batch: int, dtype: str
) -> None:
    problem = random_problem(CELLS["peephole"], input_size=features, blocks=9, lengths=(steps,) * batch)
    assert_equals_plain(fast_isa, problem, dtype)


@DTYPES
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", ["lstm", "zoneout", "full_gate_recurrence-3_cells", "rnn"])
def test_every_isa_equals_the_plain_kernels_over_several_stretches(
    fast_isa: str, name: str, reverse: bool, dtype: str
) -> None:
    """A stretch of steps is what a few hundred kilobytes hold: at most 150 here."""
    problem = random_problem(CELLS[name], blocks=33, lengths=(320, 150, 0, 319, 320), reverse=reverse)
    assert_equals_plain(fast_isa, problem, dtype, "_long" * (dtype == "float32"))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Any cell at any size."""
    return random_problem(
        ALL_CELLS[draw(st.sampled_from(list(ALL_CELLS)))],
        input_size=draw(st.integers(1, 40)),
        blocks=draw(st.integers(3, 40)),
        lengths=draw(st.lists(st.integers(0, 9), min_size=1, max_size=14).filter(any)),
        reverse=draw(st.booleans()),
        bias=draw(st.booleans()),
    )


@settings(max_examples=200)
@given(problem=problems(), dtype=st.sampled_from(["float64", "float32"]))
def test_every_isa_equals_the_plain_kernels(problem: Problem, dtype: str) -> None:
    before = core.isa()
    try:
        for isa in ISAS[1:]:
            assert_equals_plain(isa, problem, dtype)
    finally:
        core.force_isa(before)


def assert_equals_plain(isa: str, problem: Problem, dtype: str, more: str = "") -> None:
    problem = in_dtype(tempered(problem), dtype)
    core.force_isa("plain")
    expected = threaded_pass(problem, 1)
    core.force_isa(isa)
    kind = more or "_layer_norm" * problem.spec.layer_norm
    assert_same(threaded_pass(problem, 1), expected, TOLERANCES[f"native_fast_{dtype}{kind}"])
