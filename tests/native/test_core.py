"""The core as a C program sees it: built alone with sanitizers, every switch, buffers of exactly the stated size."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("cmake", "c++", "cc")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)} to build the core alone"
)


def build(folder: Path, *options: str) -> Path:
    """Configure and build; the output of what fails is in the error."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DPEEPHOLE_PYTHON=OFF", "-DPEEPHOLE_TESTS=ON"]
    for command in ([*configure, "-DPEEPHOLE_STRICT=ON", *options], ["cmake", "--build", str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "native" / "tests" / "peephole_core_test"


def test_core_alone_is_right_and_touches_no_memory_but_its_own(tmp_path: Path) -> None:
    """Debug, so that it builds in seconds; warnings are errors."""
    program = build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", "-DPEEPHOLE_SANITIZE=address,undefined")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "core: all well\n"
