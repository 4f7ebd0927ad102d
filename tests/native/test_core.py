"""The core as a C program sees it: built alone with sanitizers, every switch, buffers of exactly the stated size."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.native.builds import build, needs_tools

pytestmark = needs_tools


def test_core_alone_is_right_and_touches_no_memory_but_its_own(tmp_path: Path) -> None:
    """Debug, so that it builds in seconds; warnings are errors."""
    program = build(tmp_path, "peephole_core_test", "-DCMAKE_BUILD_TYPE=Debug", "-DPEEPHOLE_SANITIZE=address,undefined")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "core: all well\n"
