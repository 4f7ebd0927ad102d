"""The core as another compiler and another processor have it: no warning, and the same laws."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.native.builds import build, needs_tools, run

pytestmark = [needs_tools, pytest.mark.slow]

CROSS = "aarch64-linux-gnu"
LIBRARIES = Path("/usr") / CROSS
CLANG = ("-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++")
AARCH64 = (
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    f"-DCMAKE_C_COMPILER={CROSS}-gcc",
    f"-DCMAKE_CXX_COMPILER={CROSS}-g++",
)


@pytest.mark.skipif(shutil.which("clang++") is None, reason="needs clang")
def test_clang_builds_the_same_laws(tmp_path: Path) -> None:
    for name in ("core", "team"):
        program = build(tmp_path, f"peephole_{name}_test", *CLANG)
        assert run([str(program)]).endswith(f"{name}: all well\n")


@pytest.mark.skipif(shutil.which(f"{CROSS}-g++") is None, reason=f"needs {CROSS}-g++")
@pytest.mark.skipif(shutil.which("qemu-aarch64-static") is None, reason="needs qemu-aarch64-static")
def test_aarch64_keeps_the_same_laws(tmp_path: Path) -> None:
    """Emulated; NEON is there called neon."""
    for name in ("core", "team"):
        program = build(tmp_path, f"peephole_{name}_test", *AARCH64)
        assert run(["qemu-aarch64-static", "-L", os.fspath(LIBRARIES), str(program)]).endswith(f"{name}: all well\n")
