"""Streaming a saved forecaster in a process of its own that has no torch, to show that it gives the same numbers.

``python -m peephole.cli.streaming MODEL`` reads a JSON list of values from standard input, steps them one by one
through :mod:`peephole.runtime`, and prints a JSON object: the last forecast, the time a step took, and which of the
large packages were imported. Only the standard library, NumPy and safetensors are needed there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peephole.errors import BackendError, PeepholeError

LARGE_PACKAGES = ("torch", "pandas", "polars", "matplotlib", "typer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What the other process found.

    Attributes:
        forecast: after the last value, ``horizon`` values in the unit of the series.
        microseconds: time of one step, the median.
        steps: how many values were stepped.
        imported: which of :data:`LARGE_PACKAGES` were imported there; none should be.
    """

    forecast: list[float]
    microseconds: float
    steps: int
    imported: list[str]


def stream_elsewhere(model: Path, values: Sequence[float]) -> Streamed:
    """Step ``values`` through a saved forecaster in another process.

    Raises:
        BackendError: where that process failed, with its message.
    """
    done = subprocess.run(
        [sys.executable, "-m", "peephole.cli.streaming", str(model)],
        input=json.dumps(list(values)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackendError(f"streaming: the process without torch failed: {done.stderr.strip()}")
    found = cast("dict[str, Any]", json.loads(done.stdout))
    return Streamed(
        forecast=found["forecast"],
        microseconds=found["microseconds"],
        steps=found["steps"],
        imported=found["imported"],
    )


def _stream(folder: str) -> dict[str, Any]:
    import numpy as np

    from peephole import runtime

    model = runtime.load(folder)
    if not isinstance(model, runtime.ForecastModel):
        raise BackendError(f"streaming: {folder} must hold a forecaster")
    stream = model.stream()
    forecast: np.ndarray[Any, Any] = np.empty(0)
    taken: list[float] = []
    values: list[float] = json.load(sys.stdin)
    for value in values:
        begun = time.perf_counter()
        forecast = stream.step(value)
        taken.append(time.perf_counter() - begun)
    return {
        "forecast": [float(value) for value in forecast],
        "microseconds": float(np.median(taken)) * 1e6,
        "steps": len(values),
        "imported": [name for name in LARGE_PACKAGES if name in sys.modules],
    }


if __name__ == "__main__":
    try:
        print(json.dumps(_stream(sys.argv[1])))
    except PeepholeError as error:
        sys.exit(str(error))
