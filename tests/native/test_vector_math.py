"""The core's own logistic function and tanh: error, monotonicity, special values, and the origin of the constants."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.builds import ROOT, build, needs_tools


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("vector_math"), "vector_math_test", "-DCMAKE_BUILD_TYPE=Release")


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("vector mathematics: all well\n")
    return done.stdout


@needs_tools
def test_vector_math_is_within_its_stated_error_and_monotone(program: Path) -> None:
    run(program)


@pytest.mark.slow
@needs_tools
def test_vector_math_is_within_its_stated_error_and_monotone_for_very_many_floats(program: Path) -> None:
    """Every 13th of all floats; with PEEPHOLE_EVERY_FLOAT=1 all, which takes eight minutes."""
    run(program, "--every", "1" if os.environ.get("PEEPHOLE_EVERY_FLOAT") == "1" else "13")


@needs_tools
def test_vector_math_is_tested_on_every_instruction_set(program: Path) -> None:
    skipped = [line for line in run(program, "--every", "100000").splitlines() if line.startswith("skipped")]
    if skipped:
        pytest.skip("; ".join(skipped))


def test_constants_are_those_that_the_script_derives() -> None:
    script = ROOT / "native" / "tools" / "vector_math_coefficients.py"
    derived = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    header = (ROOT / "native" / "src" / "fast" / "vector_math.hpp").read_text(encoding="utf-8")
    before, after = f"// What tools/{script.name} prints:\n", "// end\n"
    assert header.split(before)[1].split(after)[0] == derived
