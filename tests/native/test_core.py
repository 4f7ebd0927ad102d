"""The core as a C program sees it, built alone with sanitizers: every switch, every way to share a pass."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.builds import build, needs_tools

pytestmark = needs_tools

# It builds in seconds.
DEBUG = "-DCMAKE_BUILD_TYPE=Debug"


@pytest.fixture(scope="module")
def checked_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to build in under the sanitizers for addresses and for undefined behaviour."""
    return tmp_path_factory.mktemp("address")


@pytest.fixture(scope="module")
def checked_threads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to build in under the sanitizer for races."""
    return tmp_path_factory.mktemp("thread")


def run(folder: Path, name: str, sanitizers: str) -> None:
    program = build(folder, f"peephole_{name}_test", DEBUG, f"-DPEEPHOLE_SANITIZE={sanitizers}")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{name}: all well\n")


def test_core_alone_is_right_and_touches_no_memory_but_its_own(checked_memory: Path) -> None:
    run(checked_memory, "core", "address,undefined")


def test_teams_are_right_and_touch_no_memory_but_their_own(checked_memory: Path) -> None:
    run(checked_memory, "team", "address,undefined")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core", "team"])
def test_no_thread_touches_what_another_is_at(checked_threads: Path, name: str) -> None:
    run(checked_threads, name, "thread")


@pytest.mark.parametrize("sanitizers", ["", "address,undefined"])
def test_a_step_allocates_nothing_takes_no_lock_and_gives_the_bits_of_a_pass(tmp_path: Path, sanitizers: str) -> None:
    """Optimised, as it is used; the sanitizers, which have their own allocator, look at the memory instead."""
    kind = "Debug" if sanitizers else "Release"
    program = build(
        tmp_path, "peephole_stepper_test", f"-DCMAKE_BUILD_TYPE={kind}", f"-DPEEPHOLE_SANITIZE={sanitizers}"
    )
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("stepper: all well")
    if not sanitizers and sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        assert done.stdout.endswith(", watched\n")
