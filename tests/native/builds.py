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
    configure_and_build(folder, target, *options)
    return folder / "native" / "tests" / target


def build_object(folder: Path, target: str, *options: str) -> Path:
    """The same for a library of one object file; gives that file."""
    configure_and_build(folder, target, *options)
    (built,) = (folder / "native" / "CMakeFiles" / f"{target}.dir").rglob("*.o")
    return built


def configure_and_build(folder: Path, target: str, *options: str) -> None:
    """Configure the core and its tests, and build one target or ``all``, warnings as errors."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DPEEPHOLE_PYTHON=OFF", "-DPEEPHOLE_TESTS=ON"]
    run([*configure, "-DPEEPHOLE_STRICT=ON", *options])
    run(["cmake", "--build", str(folder), "--target", target])


def run(command: list[str]) -> str:
    """What a command prints; the output of one that fails is in the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
