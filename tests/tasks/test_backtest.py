"""Rolling origins know nothing of what follows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from peephole.errors import ArgumentError, DataError
from peephole.tasks import METRICS, Forecaster
from tests.tasks.series import long, small, wide
from tests.tolerances import TOLERANCES

pd: Any = pandas  # its types are partly unknown

pytestmark = pytest.mark.filterwarnings("ignore::peephole.tasks.EchoWarning")

Values = np.ndarray[Any, np.dtype[np.float64]]
MODELS = ["mlp", "naive", "seasonal_naive", "drift"]


def _with_gap_at_the_cutoff(frame: Any, cutoff: int) -> Any:
    frame = frame.copy()
    frame.loc[cutoff - 2 : cutoff + 1, "y"] = np.nan
    return frame


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("fill", [None, "forward", "linear"])
def test_changing_the_future_changes_no_forecast(refit: bool, fill: Any) -> None:
    frame = wide(60)
    windows, horizon = 3, 3
    firsts = [60 - horizon - (windows - 1 - number) * horizon for number in range(windows)]
    if fill is not None:
        frame = _with_gap_at_the_cutoff(frame, firsts[0])
    forecaster = small(fill=fill)
    known = forecaster.cross_validate(frame, n_windows=windows, refit=refit)
    for number, first in enumerate(firsts):
        changed = frame.copy()
        changed.loc[first:, "y"] = changed.loc[first:, "y"].fillna(1.0) * -7 + 300
        again = forecaster.cross_validate(changed, n_windows=windows, refit=refit)
        cutoff = frame["ds"][first - 1]
        mine, theirs = known[known["cutoff"] <= cutoff], again[again["cutoff"] <= cutoff]
        assert len(mine) == (number + 1) * horizon
        pd.testing.assert_frame_equal(mine[["ds", "cutoff", *MODELS]], theirs[["ds", "cutoff", *MODELS]])


def test_windows_end_with_the_series_and_step_as_told() -> None:
    frame = wide(60)
    result = small().cross_validate(frame, n_windows=4, step_size=2)
    assert list(result.columns) == ["unique_id", "ds", "cutoff", "y", *MODELS]
    cutoffs = result["cutoff"].unique()
    assert list(cutoffs) == list(frame["ds"][[50, 52, 54, 56]])
    assert result["ds"].max() == frame["ds"].max()
    for cutoff, part in result.groupby("cutoff"):
        origin = int(np.flatnonzero(frame["ds"] == cutoff)[0])
        np.testing.assert_array_equal(part["y"], frame["y"][origin + 1 : origin + 4])
        np.testing.assert_array_equal(part["naive"], frame["y"][origin])
        np.testing.assert_array_equal(part["seasonal_naive"], frame["y"][origin - 11 : origin - 8])


def test_refitting_trains_on_more_each_time_and_cross_validation_fits_a_copy() -> None:
    forecaster = small()
    once, often = (forecaster.cross_validate(wide(60), n_windows=3, refit=refit) for refit in (False, True))
    first = once["cutoff"] == once["cutoff"].min()
    np.testing.assert_array_equal(once["mlp"][first], often["mlp"][first])
    assert (once["mlp"][~first] != often["mlp"][~first]).all()
    assert not hasattr(forecaster, "fitted_")


def test_a_fitted_forecaster_is_tested_on_what_it_has_not_seen() -> None:
    frame = wide(60)
    forecaster = small().fit(frame[:51])
    evaluation = forecaster.evaluate(frame, n_windows=3, fitted=True)
    copy = small().evaluate(frame, n_windows=3)
    assert evaluation.scores == copy.scores
    with pytest.raises(DataError, match="must lie behind the training data"):
        forecaster.evaluate(frame, n_windows=4, fitted=True)
    with pytest.raises(ArgumentError, match="fitted first"):
        small().evaluate(frame, n_windows=3, fitted=True)


def test_a_new_history_does_not_change_what_counts_as_seen(tmp_path: Path) -> None:
    frame = wide(60)
    forecaster = small().fit(frame[:51])
    expected = forecaster.evaluate(frame, n_windows=3, fitted=True).scores
    for history in (frame, frame[:30]):
        forecaster.set_history(history).save(tmp_path / "model", overwrite=True)
        loaded = Forecaster.load(tmp_path / "model")
        for one in (forecaster, loaded):
            assert one.evaluate(frame, n_windows=3, fitted=True).scores == expected
            with pytest.raises(DataError, match="it begins at 2004-01-01, training ended at 2004-03-01"):
                one.evaluate(frame, n_windows=4, fitted=True)


def test_scores_are_those_of_the_formulas() -> None:
    frame = long(60)
    evaluation = small().evaluate(frame, n_windows=4, step_size=1)
    forecasts = evaluation.forecasts
    assert list(evaluation.scores) == list(METRICS) == list(evaluation.table["metric"])
    expected: dict[str, list[Any]] = {name: [] for name in METRICS}
    for name, part in forecasts.groupby("unique_id"):
        truth, model = _array(part["y"]), _array(part["mlp"])
        history = _array(frame.loc[frame["unique_id"] == name, "y"])[: 60 - 6]
        expected["mae"].append(np.mean(np.abs(truth - model)))
        expected["rmse"].append(np.sqrt(np.mean((truth - model) ** 2)))
        expected["smape"].append(np.mean(np.abs(truth - model) / (np.abs(truth) + np.abs(model))))
        expected["mase"].append(expected["mae"][-1] / np.mean(np.abs(history[12:] - history[:-12])))
    for metric, values in expected.items():
        assert evaluation.scores[metric]["mlp"] == pytest.approx(np.mean(values), rel=TOLERANCES["tasks_metrics"])
        row = evaluation.table[evaluation.table["metric"] == metric]
        assert row["mlp"].item() == evaluation.scores[metric]["mlp"]


def _array(column: Any) -> Values:
    return np.asarray(column, dtype=np.float64)


def test_the_season_of_mase_is_measured_before_the_test_alone() -> None:
    frame = wide(60)
    changed = frame.copy()
    changed.loc[57:, "y"] = 1e3
    one, other = (small().evaluate(data, n_windows=1) for data in (frame, changed))
    scale = [evaluation.scores["mae"]["drift"] / evaluation.scores["mase"]["drift"] for evaluation in (one, other)]
    assert scale[0] == pytest.approx(scale[1], rel=TOLERANCES["tasks_metrics"])


def test_missing_truth_is_not_scored() -> None:
    frame = wide(60)
    frame.loc[58, "y"] = np.nan
    evaluation = small(fill="forward").evaluate(frame, n_windows=1)
    assert evaluation.forecasts["y"].isna().sum() == 1
    errors = (evaluation.forecasts["y"] - evaluation.forecasts["naive"]).abs().dropna()
    assert len(errors) == 2
    assert evaluation.scores["mae"]["naive"] == pytest.approx(errors.mean(), rel=TOLERANCES["tasks_metrics"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_windows": 0}, "n_windows must be a whole number"),
        ({"n_windows": 2, "step_size": 0}, "step_size must be a whole number"),
        ({"n_windows": 2.5}, "n_windows"),
        ({"n_windows": True}, "n_windows"),
    ],
)
def test_bad_windows_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        small().cross_validate(wide(60), **arguments)


def test_too_many_windows_are_named() -> None:
    with pytest.raises(DataError, match=r"9 values before the 54 that 18 windows of 3 test .got 60 in all"):
        small().cross_validate(wide(60), n_windows=18)
