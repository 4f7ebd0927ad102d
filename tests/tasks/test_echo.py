"""A forecast that only echoes the last value is told from one that forecasts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.tasks import EchoWarning, diagnose_echo
from tests.tasks.series import small, wide

pd: Any = pandas  # its types are partly unknown

Values = np.ndarray[Any, np.dtype[np.float64]]


def _windows(series: Values, horizon: int) -> tuple[Values, Values]:
    view = np.lib.stride_tricks.sliding_window_view(series, horizon + 1)
    return view[:, 1:].copy(), view[:, 0].copy()


def _walk(seed: int) -> Values:
    return np.cumsum(np.random.default_rng(seed).standard_normal(300))


@given(st.integers(0, 50), st.integers(1, 6), st.floats(0, 0.3))
def test_a_persistence_forecaster_is_flagged(seed: int, horizon: int, noise: float) -> None:
    truth, last = _windows(_walk(seed), horizon)
    random: Any = np.random.default_rng(seed + 1)
    jitter = noise * random.standard_normal(truth.shape)
    echo = diagnose_echo(last[:, None] + jitter, truth, last, np.ones(len(last)))
    assert echo.flagged
    assert "only echoes the last value" in echo.message("lstm")


@given(st.integers(0, 50), st.integers(1, 6))
def test_a_forecaster_that_sees_the_wave_is_not_flagged(seed: int, horizon: int) -> None:
    random = np.random.default_rng(seed)
    clean = np.sin(2 * np.pi * np.arange(300) / 12)
    truth, last = _windows(clean + 0.1 * random.standard_normal(300), horizon)
    forecast, _ = _windows(clean, horizon)
    echo = diagnose_echo(forecast, truth, last, np.ones(len(last)))
    assert not echo.flagged
    assert echo.skill > 0
    assert "does not echo" in echo.message("lstm")


def test_the_mean_of_noise_is_no_echo() -> None:
    truth, last = _windows(np.random.default_rng(0).standard_normal(300), 2)
    assert not diagnose_echo(np.zeros_like(truth), truth, last, np.ones(len(last))).flagged


def test_a_perfect_forecast_is_no_echo() -> None:
    truth, last = _windows(_walk(0), 2)
    echo = diagnose_echo(truth, truth, last, np.ones(len(last)))
    assert (echo.flagged, echo.skill) == (False, 1.0)


def test_missing_truth_is_left_out() -> None:
    truth, last = _windows(_walk(0), 2)
    forecast = last[:, None] + np.zeros_like(truth)
    holed = truth.copy()
    holed[::2] = np.nan
    whole = diagnose_echo(forecast[1::2], truth[1::2], last[1::2], np.ones(len(last[1::2])))
    assert diagnose_echo(forecast, holed, last, np.ones(len(last))) == whole
    assert not diagnose_echo(forecast, np.full_like(truth, np.nan), last, np.ones(len(last))).flagged


def test_the_forecaster_warns_on_a_random_walk_and_is_silent_on_a_wave() -> None:
    walk = pd.DataFrame({"ds": np.arange(300), "y": _walk(3)})
    forecaster = small(horizon=1, max_epochs=30, season_length=1)
    with pytest.warns(EchoWarning, match="mlp only echoes the last value"):
        evaluation = forecaster.evaluate(walk, n_windows=60)
    assert evaluation.echo.flagged
    with pytest.warns(EchoWarning):
        forecaster.fit(walk)
    wave = small(horizon=1, lags=12, max_epochs=60, hidden_size=8)
    assert not wave.evaluate(wide(200), n_windows=30).echo.flagged
    assert wave.fit(wide(200)).echo_ is not None
