"""The baselines by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.errors import DataError
from peephole.tasks import BASELINES, drift, naive, seasonal_naive

HISTORY = np.array([1.0, 5.0, 2.0, 4.0, 7.0])


def test_the_baselines_by_hand() -> None:
    np.testing.assert_array_equal(naive(HISTORY, 3, 2), [7, 7, 7])
    np.testing.assert_array_equal(seasonal_naive(HISTORY, 5, 2), [4, 7, 4, 7, 4])
    np.testing.assert_array_equal(seasonal_naive(HISTORY, 2, 3), [2, 4])
    np.testing.assert_array_equal(drift(HISTORY, 2, 2), [8.5, 10])
    assert list(BASELINES) == ["naive", "seasonal_naive", "drift"]


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=20), st.integers(1, 8))
def test_a_season_of_one_is_the_naive_forecast(values: list[int], horizon: int) -> None:
    history = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(seasonal_naive(history, horizon, 1), naive(history, horizon, 1))


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(2, 20), st.integers(1, 8))
def test_drift_goes_on_along_a_line(start: int, slope: int, length: int, horizon: int) -> None:
    line = start + slope * np.arange(length + horizon, dtype=np.float64)
    np.testing.assert_array_equal(drift(line[:length], horizon, 1), line[length:])


def test_a_history_shorter_than_a_season_is_named() -> None:
    with pytest.raises(DataError, match=r"one season of 6 values \(got 5\); lower season_length"):
        seasonal_naive(HISTORY, 1, 6)
