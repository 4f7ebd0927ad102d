"""Which code computes is said, never guessed. Where there is no core: test_fallback.py."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from peephole import kernels
from peephole.equations import Tape
from peephole.errors import ArgumentError, BackendError
from peephole.kernels import core
from peephole.kernels.backend import BACKENDS
from peephole.spec import VARIANTS, CellSpec
from tests.cells import CELLS, EVERYTHING_AT_ONCE
from tests.kernels.problems import (
    assert_same,
    gradient_arrays,
    in_dtype,
    random_errors,
    random_problem,
    run_kernels,
    run_kernels_back,
    tape_arrays,
)
from tests.tolerances import TOLERANCES

PROBLEM = random_problem(VARIANTS["lstm"].spec)


def test_native_is_available_and_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEEPHOLE_BACKEND", raising=False)
    assert kernels.native_available()
    assert kernels.choose_backend() == "native"


def test_environment_chooses_where_the_call_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEPHOLE_BACKEND", "reference")
    assert kernels.choose_backend() == "reference"
    assert kernels.choose_backend("native") == "native"
    monkeypatch.setenv("PEEPHOLE_BACKEND", "fast")
    with pytest.raises(ArgumentError, match="PEEPHOLE_BACKEND must be one of native, reference"):
        run_kernels(PROBLEM)


def test_core_of_another_version_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    core.module.cache_clear()
    monkeypatch.setattr(core, "ABI_VERSION", -1)
    try:
        with pytest.raises(BackendError, match="must be of version -1"):
            core.module()
    finally:
        core.module.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", [*CELLS.values(), EVERYTHING_AT_ONCE], ids=[*CELLS, "everything_at_once"])
def test_reference_backend_equals_native(spec: CellSpec, dtype: str) -> None:
    problem = in_dtype(random_problem(spec, reverse=True), dtype)
    tapes: dict[kernels.Backend, Tape] = {backend: run_kernels(problem, backend) for backend in BACKENDS}
    errors = random_errors(tapes["native"])
    gradients = {b: gradient_arrays(run_kernels_back(problem, tape, errors, b)) for b, tape in tapes.items()}
    tolerance = TOLERANCES[f"native_{dtype}" + "_layer_norm" * spec.layer_norm]
    assert {array.dtype for array in gradients["reference"].values()} == {np.dtype(dtype)}
    assert_same(tape_arrays(tapes["native"]), tape_arrays(tapes["reference"]), tolerance)
    assert_same(gradients["native"], gradients["reference"], tolerance)


def test_kernels_do_not_import_torch() -> None:
    code = "import sys, peephole.kernels; peephole.kernels.native_available(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
