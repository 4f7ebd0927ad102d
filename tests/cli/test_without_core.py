"""Fit, forecast and stream from the command line on a machine without the compiled core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from peephole.artifact import Array
from tests.cli.command import SMALL, peephole, wave, write
from tests.tolerances import TOLERANCES

WITHOUT_CORE = """
import sys
sys.modules["peephole._native"] = None
from peephole.cli import main
main(sys.argv[1:])
"""

STREAM = """
import sys
sys.modules["peephole._native"] = None
from peephole import runtime
stream = runtime.load(sys.argv[1]).stream()
for value in sys.argv[2:]:
    forecast = stream.step(float(value))
print(*forecast)
"""


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PEEPHOLE_BACKEND"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def forecast_of(said: str) -> Array:
    """The values of what ``predict --json`` printed."""
    document = json.loads(said)
    return np.array([row[document["network"]] for row in document["forecast"]])


def test_fit_predict_and_stream_without_the_core(tmp_path: Path) -> None:
    lines = wave()
    table, out = write(tmp_path / "wave.csv", lines), tmp_path / "run"
    columns = ("--time", "day", "--target", "value")
    fitted = run(WITHOUT_CORE, "fit", "forecast", table, *columns, *SMALL, "--out", out)
    assert fitted.returncode == 0, fitted.stderr
    assert fitted.stderr.count("SlowBackendWarning") == 1
    predicted = run(WITHOUT_CORE, "predict", out, "--json")
    with_core = peephole("predict", out, "--json")
    streamed = run(STREAM, out / "model", *(line.partition(",")[2] for line in lines[-8:]))

    slow, fast = forecast_of(predicted.stdout), forecast_of(with_core.out)
    np.testing.assert_allclose(slow, fast, rtol=0, atol=TOLERANCES["runtime_forecast"])
    values = np.array(streamed.stdout.split(), float)
    np.testing.assert_allclose(values, fast, rtol=0, atol=TOLERANCES["runtime_forecast"])
