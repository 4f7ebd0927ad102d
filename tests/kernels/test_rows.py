"""A row's result is its own: what stands beside it in the batch changes no bit, and so does what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from peephole.errors import PeepholeError
from peephole.spec import VARIANTS, CellSpec
from tests.cells import ALL_CELLS, CELLS
from tests.kernels.problems import (
    assert_same,
    errors_by_name,
    in_dtype,
    random_problem,
    row_alone,
    row_of,
    run_kernels,
    threaded_forward,
    threaded_pass,
)
from tests.tolerances import TOLERANCES

SAME_BITS = TOLERANCES["native_same_bits"]
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
OF_ROWS = ("y", "gates", "c", "c_hat", "a", "normed", "rstd", "h_n", "c_n", "r_n", "dx", "dh0", "dc0", "dr0")


@DTYPES
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)
@pytest.mark.usefixtures("isa")
def test_a_row_in_a_batch_gives_the_bits_it_gives_alone(spec: CellSpec, reverse: bool, dtype: str) -> None:
    problem = in_dtype(random_problem(spec, blocks=11, lengths=(4, 2, 0, 3, 4, 4, 1), reverse=reverse), dtype)
    together = threaded_forward(problem, 1)
    for row in range(problem.x.shape[1]):
        alone = threaded_forward(row_alone(problem, row), 1)
        assert_same({name: row_of(name, array, row) for name, array in together.items()}, alone, SAME_BITS)


@DTYPES
@pytest.mark.parametrize("name", ["lstm", "peephole", "layer_norm", "full_gate_recurrence", "zoneout", "rnn"])
@pytest.mark.usefixtures("isa")
def test_a_rows_gradients_are_the_bits_it_gives_alone(name: str, dtype: str) -> None:
    """On its input and its initial state; those of the weights are sums over all rows."""
    problem = in_dtype(random_problem(CELLS[name], blocks=19, lengths=(5, 2, 0, 3, 5, 5, 1)), dtype)
    errors = errors_by_name(problem)
    together = threaded_pass(problem, 1, errors)
    for row in range(problem.x.shape[1]):
        one = row_alone(problem, row)
        alone = threaded_pass(one, 1, {key: row_of(key, value, row) for key, value in errors.items()})
        of_rows = {key: value for key, value in alone.items() if key in OF_ROWS}
        assert_same({key: row_of(key, together[key], row) for key in of_rows}, of_rows, SAME_BITS)


@DTYPES
@pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)
@pytest.mark.usefixtures("isa")
def test_what_is_kept_changes_no_bit_of_what_is_given(spec: CellSpec, dtype: str) -> None:
    problem = in_dtype(random_problem(spec, blocks=11, lengths=(4, 2, 0, 3, 4)), dtype)
    everything = threaded_forward(problem, 1)
    for kept in ((), ("y",), ("y", "gates", "c")):
        some = threaded_forward(problem, 1, keep=kept)
        assert_same(some, {name: everything[name] for name in some}, SAME_BITS)


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["lstm", "peephole-3_cells", "layer_norm", "full_gate_recurrence", "zoneout", "rnn"])
@pytest.mark.usefixtures("isa")
def test_nan_and_infinity_stay_in_their_own_row(name: str, bad: float, dtype: str) -> None:
    problem = in_dtype(random_problem(CELLS[name], blocks=11, lengths=(4, 4, 4, 4, 4)), dtype)
    x = problem.x.copy()
    x[1, 2, 0] = bad
    clean, spoilt = threaded_pass(problem, 1), threaded_pass(replace(problem, x=x), 1)
    others = [0, 1, 3, 4]
    for key in (key for key in clean if key in OF_ROWS):
        axis = row_of(key, clean[key], 0).shape.index(1)
        kept = {key: np.take(clean[key], others, axis)}
        assert_same({key: np.take(spoilt[key], others, axis)}, kept, SAME_BITS)
    if np.isnan(bad):
        assert np.isnan(spoilt["h_n"][2]).any()
        assert np.isfinite(spoilt["y"][0]).all()


@pytest.mark.usefixtures("isa")
def test_one_unit_of_several_cells_is_refused() -> None:
    problem = random_problem(VARIANTS["lstm"].spec, blocks=1)
    with pytest.raises(PeepholeError, match="multiple of cells_per_block"):
        run_kernels(replace(problem, spec=problem.spec.replace(cells_per_block=3)))
