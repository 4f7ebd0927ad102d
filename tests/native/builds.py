"""The core built alone, as its own tests need it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("cmake", "c++", "cc")

needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)} to build the core alone"
)


def build(folder: Path, target: str, *options: str) -> Path:
    """Configure, build one program, warnings as errors, and give its path; the output of what fails is in the error."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DPEEPHOLE_PYTHON=OFF", "-DPEEPHOLE_TESTS=ON"]
    for command in (
        [*configure, "-DPEEPHOLE_STRICT=ON", *options],
        ["cmake", "--build", str(folder), "--target", target],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "native" / "tests" / target
