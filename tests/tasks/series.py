"""Small series and small forecasters for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas

from peephole.tasks import Forecaster

pd: Any = pandas  # its types are partly unknown


def wave(length: int = 120, *, noise: float = 0.05, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    steps = np.arange(length)
    return 20 + 5 * np.sin(2 * np.pi * steps / 12) + noise * np.random.default_rng(seed).standard_normal(length)


def wide(length: int = 120) -> Any:
    return pd.DataFrame({"ds": pd.date_range("2000-01-01", periods=length, freq="MS"), "y": wave(length)})


def long(length: int = 80) -> Any:
    months = pd.date_range("2000-01-01", periods=length, freq="MS")
    parts = [
        pd.DataFrame({"unique_id": name, "ds": months, "y": size * wave(length, seed=number)})
        for number, (name, size) in enumerate({"small": 1.0, "large": 1000.0}.items())
    ]
    return pd.concat(parts, ignore_index=True)


def small(**changes: Any) -> Forecaster:
    """A forecaster that is fitted in an instant."""
    given: dict[str, Any] = {"lags": 6, "horizon": 3, "network": "mlp", "hidden_size": 4, "max_epochs": 2}
    return Forecaster(**{**given, **changes})
