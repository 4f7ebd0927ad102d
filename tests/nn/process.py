"""Code in a process of its own, which must end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SECONDS = 60
ROOT = Path(__file__).parents[2]


def run_alone(code: str, *arguments: str) -> str:
    """What the code printed. A process that hangs or fails is a failure, with what it said."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    # a session of its own, so that children that hang are stopped with it
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        pytest.fail(f"the process did not end within {SECONDS} seconds")
    assert process.returncode == 0, out + err
    return out
