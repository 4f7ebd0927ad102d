"""The runtime stands on NumPy and safetensors alone, also where everything else is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.models import forecast_task, recurrent, saved

FORBID = """
import sys

class Forbidden:
    names = {"torch", "pandas", "polars", "narwhals", "typer", "rich", "matplotlib", "jaxtyping", "utilsforecast",
             "sklearn", "scipy"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} must not be imported")

sys.meta_path.insert(0, Forbidden())
"""

PROGRAMS = {
    "import peephole": "import peephole",
    "import the runtime": "import peephole.runtime",
    "import the kernels": "import peephole.kernels, peephole.equations, peephole.artifact",
    "predict, stream, save": """
from peephole import runtime
model = runtime.load(sys.argv[1])
expected = model.predict([1.0, 2.0, 3.0, 2.0, 1.0, 2.0], series="a")
stream = model.stream(series="a")
for value in [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]:
    forecast = stream.step(value)
assert abs(forecast - expected).max() < 1e-4, (forecast, expected)
stream.save(sys.argv[1] + "/state.npz")
stream.load(sys.argv[1] + "/state.npz")
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_runtime_needs_no_torch(tmp_path: Path, program: str) -> None:
    folder = saved(tmp_path / "model", recurrent("peephole", input_size=1), task=forecast_task())
    command = [sys.executable, "-c", FORBID + PROGRAMS[program], str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
