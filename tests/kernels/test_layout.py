"""The one truth about shapes, against what the parameters, the equations and the compiled core say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peephole.errors import BackendError
from peephole.kernels import layout
from peephole.kernels.layout import Sizes
from peephole.kernels.native import run_forward
from peephole.spec import VARIANTS, CellSpec
from peephole.weights import cell_shapes
from tests.cells import CELLS, EVERYTHING_AT_ONCE, PROJECTED
from tests.kernels.problems import (
    gradient_arrays,
    random_errors,
    random_problem,
    run_equations,
    run_equations_back,
    sizes_of,
    tape_arrays,
)

ALL_CELLS = {**CELLS, **PROJECTED, "everything_at_once": EVERYTHING_AT_ONCE}
EVERY_CELL = pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)


@pytest.mark.parametrize("bias", [True, False])
@EVERY_CELL
def test_layout_of_parameters_is_that_of_the_weights(spec: CellSpec, bias: bool) -> None:
    H = 6 * spec.cells_per_block
    assert layout.weight_shapes(spec, Sizes(5, 4, 3, H), bias=bias) == cell_shapes(spec, 3, H, bias=bias)


@EVERY_CELL
def test_layout_is_that_of_the_equations(spec: CellSpec) -> None:
    problem = random_problem(spec, blocks=4)
    sizes = sizes_of(problem)
    tape = run_equations(problem)
    shapes = {name: array.shape for name, array in tape_arrays(tape).items()}
    if not spec.zoneout_cell:
        shapes.pop("c_hat", None)
    assert shapes == layout.tape_shapes(spec, sizes)
    gradients = gradient_arrays(run_equations_back(problem, tape, random_errors(tape)))
    assert {name: array.shape for name, array in gradients.items()} == layout.gradient_shapes(spec, sizes)
    state = {f"{name}0": q.shape for name, q in problem.state._asdict().items() if q is not None}
    masks = {name: q.shape for name, q in problem.masks._asdict().items() if q is not None}
    expected = {"x": problem.x.shape, **state, "lengths": problem.lengths.shape, **masks}
    assert expected == layout.input_shapes(spec, sizes)
    errors = random_errors(tape)
    given = {"dy": errors.dy, "dgates": errors.dgates, "dc": errors.dc}
    given |= {f"d{name}_n": q for name, q in errors.dfinal._asdict().items()}
    assert {k: q.shape for k, q in given.items() if q is not None} == layout.error_shapes(spec, sizes)


def test_core_refuses_what_it_cannot_do() -> None:
    spec = VARIANTS["lstm"].spec
    with pytest.raises(BackendError, match="a buffer that the cell needs is missing"):
        run_forward(spec, Sizes(1, 1, 1, 4), "float64", {})
    with pytest.raises(BackendError, match="refused the sizes"):
        run_forward(spec, Sizes(1, 1, 1, -4), "float64", {})
    with pytest.raises(BackendError, match="refused the sizes"):
        run_forward(replace(spec, cells_per_block=3), Sizes(1, 1, 1, 4), "float64", {})
    with pytest.raises(BackendError, match="refused the sizes"):
        run_forward(spec, Sizes(2**40, 2**40, 1, 4), "float64", {})
    with pytest.raises(ValueError, match="no buffer of this pass"):
        run_forward(spec, Sizes(1, 1, 1, 4), "float64", {"dW": 0})
