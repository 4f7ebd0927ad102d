"""Every gradient of the compiled float64 kernels against central differences of the compiled forward pass.

Where the error is truncated, the difference is of the equations with the cut connections held still (gradcheck).
"""

from __future__ import annotations

from functools import partial

import pytest

from peephole import kernels
from peephole.equations.gradcheck import check
from peephole.spec import CellSpec
from tests.cells import ALL_CELLS
from tests.kernels.problems import random_problem
from tests.tolerances import TOLERANCES

native_forward = partial(kernels.forward, backend="native")
native_backward = partial(kernels.backward, backend="native")


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("spec", ALL_CELLS.values(), ids=ALL_CELLS)
@pytest.mark.usefixtures("isa")
def test_native_gradient_equals_central_difference(spec: CellSpec, reverse: bool) -> None:
    # The equations take the differences of a truncated error, slowly: two blocks. Layer norm needs three.
    problem = random_problem(spec, input_size=2, blocks=2 if spec.truncated else 3, lengths=(3, 0, 2), reverse=reverse)
    for comparison in check(problem, forward=native_forward, backward=native_backward):
        assert comparison.relative_error <= TOLERANCES["gradient_check"], comparison
