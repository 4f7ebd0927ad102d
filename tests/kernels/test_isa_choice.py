"""PEEPHOLE_ISA and force_isa choose the instruction set, and a name that is none is one clear sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from peephole.errors import BackendError
from peephole.kernels import core
from tests.kernels.conftest import ISAS


@pytest.fixture(autouse=True)
def isa_as_before() -> Iterator[None]:
    """The instruction set in use, put back."""
    before = core.isa()
    yield
    core.force_isa(before)


def run(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, core.ISA_VARIABLE: isa}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)


PASS = """
import numpy as np
from peephole import kernels
from peephole.kernels import core
from tests.kernels.problems import random_problem, run_kernels
from peephole.spec import VARIANTS
print(core.isa(), np.isfinite(run_kernels(random_problem(VARIANTS["lstm"].spec), "native").y).all())
"""


@pytest.mark.parametrize("name", ISAS)
def test_environment_chooses_the_instruction_set(name: str) -> None:
    done = run(name, "-c", PASS)
    assert (done.stdout.strip(), done.stderr) == (f"{name} True", "")


def test_without_a_word_the_fastest_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(core.ISA_VARIABLE, raising=False)
    core.force_isa("plain")
    core.force_isa(None)
    assert core.isa() == ISAS[-1]


@pytest.mark.parametrize("name", ["sse9", "AVX2", " plain", "plain\n", "."])
def test_a_name_that_is_none_is_refused_and_changes_nothing(name: str) -> None:
    core.force_isa("plain")
    with pytest.raises(BackendError, match=f"must be one of {', '.join(ISAS)} here") as refused:
        core.force_isa(name)
    assert repr(name) in str(refused.value)
    assert core.isa() == "plain"


def test_the_command_line_says_so_in_one_line_and_leaves_with_2() -> None:
    done = run(
        "sse9", "-c", "from peephole.cli import main; main(['gradcheck', '--variant', 'lstm', '--backend', 'native'])"
    )
    assert done.returncode == 2
    assert f"must be one of {', '.join(ISAS)} here (got 'sse9')" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_every_tile_has_a_rate_and_the_plain_kernels_have_none(isa: str) -> None:
    for dtype in ("float32", "float64"):
        rates = core.tile_rates(dtype, seconds=1e-4)
        rows = {"plain": 0, "baseline": 2, "avx2": 3}.get(isa, 6)
        assert set(rates) == {f"{r}x{v}" for r in range(1, rows + 1) for v in range(1, 5)}
        assert all(rate > 0 for rate in rates.values())
        assert (core.fma_peak(dtype, seconds=1e-4) > 0) == (isa != "plain")
