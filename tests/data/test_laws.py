"""Laws of windows, scaling, filling and frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.data import SCALINGS, cut_windows, fill_gaps, fit_scaler, training_cut
from peephole.data.frequency import infer_frequency, parse_frequency
from peephole.errors import ArgumentError, DataError
from tests.tolerances import TOLERANCES

pd: Any = pandas  # its types are partly unknown

SIZES = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))


@given(SIZES)
def test_windows_hold_the_series_and_never_cross_a_cut(sizes: tuple[int, int, int, int, int]) -> None:
    lags, horizon, length, first, second = sizes
    start, stop = sorted((min(first, length), min(second, length)))
    values = np.arange(length, dtype=np.float64)
    windows = cut_windows(values, lags=lags, horizon=horizon, start=start, stop=stop, series=3)
    assert len(windows) == max(stop - horizon - max(start, lags) + 1, 0)
    for inputs, targets, origin in zip(windows.inputs, windows.targets, windows.origins, strict=True):
        np.testing.assert_array_equal(inputs, values[origin - lags : origin])
        np.testing.assert_array_equal(targets, values[origin : origin + horizon])
        assert start <= origin
        assert origin + horizon <= stop
    assert (windows.series == 3).all()


def test_windows_outside_the_series_are_refused() -> None:
    with pytest.raises(ArgumentError, match="must hold"):
        cut_windows(np.zeros(5), lags=1, horizon=1, start=2, stop=6)


@given(st.integers(0, 80), st.integers(1, 10), st.integers(1, 10), st.floats(0, 0.9))
def test_the_training_cut_leaves_room_on_both_sides(length: int, lags: int, horizon: int, fraction: float) -> None:
    try:
        cut = training_cut(length, lags=lags, horizon=horizon, fraction=fraction)
    except DataError:
        assert length < lags + horizon or (
            fraction and length - max(horizon, round(length * fraction)) < lags + horizon
        )
    else:
        assert lags + horizon <= cut <= length
        assert cut == length if not fraction else length - cut >= horizon


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.sampled_from(SCALINGS))
def test_unscaling_undoes_scaling(values: list[float], kind: Any) -> None:
    array = np.array(values)
    try:
        scaler = fit_scaler(array, kind)
    except DataError:
        assert np.ptp(array) <= TOLERANCES["data_round_trip"] * np.abs(array).max()
        return
    largest = np.abs(array).max() + 1
    np.testing.assert_allclose(scaler.unscale(scaler.scale(array)), array, atol=TOLERANCES["data_round_trip"] * largest)


def test_scalers_do_what_their_names_say() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    standard, minmax = fit_scaler(values, "standard").scale(values), fit_scaler(values, "minmax").scale(values)
    np.testing.assert_allclose([standard.mean(), standard.std()], [0, 1], atol=TOLERANCES["data_round_trip"])
    assert (minmax.min(), minmax.max()) == (0, 1)
    np.testing.assert_array_equal(fit_scaler(values, "none").scale(values), values)


@given(st.lists(st.floats(-5, 5) | st.just(np.nan) | st.just(np.inf), min_size=1, max_size=30))
def test_forward_filling_sees_the_past_alone(values: list[float]) -> None:
    array = np.array([0.5, *values])
    whole = fill_gaps(array, "forward")
    assert np.isfinite(whole).all()
    for stop in range(1, len(array) + 1):
        np.testing.assert_array_equal(fill_gaps(array[:stop], "forward"), whole[:stop])


def test_linear_filling_draws_a_line_and_holds_the_end() -> None:
    values = np.array([1.0, np.nan, np.nan, 4.0, np.nan])
    np.testing.assert_array_equal(fill_gaps(values, "linear"), [1, 2, 3, 4, 4])
    np.testing.assert_array_equal(fill_gaps(values, "forward"), [1, 1, 1, 4, 4])
    assert fill_gaps(values, None) is values


ALIASES = ["1", "3", "s", "15min", "h", "6h", "D", "B", "W", "MS", "ME", "QS", "QE", "YS", "YE", "2MS"]


@given(st.sampled_from(ALIASES), st.integers(0, 20_000), st.integers(8, 40))
def test_frequencies_agree_with_pandas(alias: str, shift: int, steps: int) -> None:
    frequency = parse_frequency(alias)
    assert frequency.name == alias
    if frequency.unit == "step":
        times = frequency.after(shift, steps)
    else:
        start = pd.Timestamp("1950-01-01") + pd.Timedelta(days=shift)
        expected = pd.date_range(start, periods=steps + 1, freq="7D" if alias == "W" else alias)
        times = np.array(expected.to_numpy(), dtype="datetime64[us]")
        np.testing.assert_array_equal(frequency.after(times[0], steps), times[1:])
    assert infer_frequency(times).name == alias
    positions, on_grid = frequency.positions(times)
    assert on_grid.all()
    np.testing.assert_array_equal(positions, np.arange(len(times)))


@pytest.mark.parametrize(
    ("alias", "season"),
    [("h", 24), ("15min", 96), ("D", 7), ("B", 5), ("W", 52), ("MS", 12), ("QE", 4), ("YS", 1), ("1", 1)],
)
def test_the_usual_season_follows_from_the_frequency(alias: str, season: int) -> None:
    assert parse_frequency(alias).season == season
