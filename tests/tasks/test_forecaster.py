"""The forecaster: scikit-learn's conventions, frames of every make, every network."""

from __future__ import annotations

import inspect
from typing import Any, cast

import numpy as np
import pandas
import polars as pl
import pytest
from sklearn.base import clone  # pyright: ignore[reportUnknownVariableType]

from peephole.errors import ArgumentError, DataError
from peephole.tasks import NETWORKS, Forecaster
from peephole.tasks.parameters import RULES, Choice, Number, Text, Whole
from tests.tasks.series import long, small, wide

pd: Any = pandas  # its types are partly unknown

pytestmark = pytest.mark.filterwarnings("ignore::peephole.tasks.EchoWarning")


def test_parameters_are_kept_as_they_come_and_cloned() -> None:
    forecaster = small(clip_norm=None, fill="linear")
    parameters = forecaster.get_params()
    assert list(parameters) == [name for name in inspect.signature(Forecaster.__init__).parameters if name != "self"]
    copy = cast("Forecaster", clone(cast("Any", forecaster)))
    assert copy is not forecaster
    assert copy.get_params() == parameters
    assert copy.set_params(lags=9, network="rnn") is copy
    assert (copy.lags, copy.network) == (9, "rnn")
    assert eval(repr(forecaster)).get_params() == parameters
    with pytest.raises(ArgumentError, match="unknown parameter 'lag'"):
        copy.set_params(lag=9)


def test_every_parameter_has_a_rule() -> None:
    assert {*RULES, "network", "freq"} == set(small().get_params())


def _bad_values() -> list[tuple[str, Any]]:
    bad: list[tuple[str, Any]] = []
    for name, rule in RULES.items():
        if isinstance(rule, Whole):
            values: list[Any] = [rule.minimum - 1, 2.5, "3", True] + ([] if rule.optional else [None])
            values += [] if rule.maximum is None else [rule.maximum + 1]
        elif isinstance(rule, Number):
            values = [rule.low - 1, rule.high, np.nan, "3", True] + ([] if rule.optional else [None])
            values += [] if rule.closed else [rule.low]
        elif isinstance(rule, Choice):
            values = ["something", 7]
        else:
            assert isinstance(rule, Text)
            values = ["", None, 3]
        bad += [(name, value) for value in values]
    return bad


@pytest.mark.parametrize(("name", "value"), _bad_values(), ids=repr)
def test_a_parameter_that_breaks_its_rule_is_named_by_fit(name: str, value: Any) -> None:
    forecaster = small(**{name: value})
    with pytest.raises(ArgumentError) as raised:
        forecaster.fit(wide(40))
    assert str(raised.value).startswith(f"Forecaster: {name} must be")
    assert f"(got {value!r})" in str(raised.value)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(ArgumentError, match="unknown network 'LSTMs'; did you mean 'lstm'"):
        small(network="LSTMs").fit(wide(40))
    with pytest.raises(ArgumentError, match="choose one of mlp, lstm"):
        small(network="transformer").fit(wide(40))


def test_columns_that_would_collide_are_named() -> None:
    with pytest.raises(ArgumentError, match=r"target_col must differ .* 'naive'"):
        small(target_col="naive").fit(wide(40))


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_forecasts_go_on_where_each_series_ends(library: Any) -> None:
    frame = long(40) if library is pd else pl.DataFrame(long(40).to_dict("list"))
    result = small().fit(frame).predict()
    assert type(result) is type(frame)
    assert list(result.columns) == ["unique_id", "ds", "mlp"]
    assert list(result["unique_id"]) == ["small"] * 3 + ["large"] * 3
    assert [str(time)[:7] for time in result["ds"]] == ["2003-05", "2003-06", "2003-07"] * 2
    assert result["mlp"][0] < 100 < result["mlp"][5]  # each in its own unit


def test_a_history_gives_the_forecast_that_follows_it() -> None:
    frame = wide(60)
    forecaster = small().fit(frame)
    pd.testing.assert_frame_equal(forecaster.predict(frame), forecaster.predict())
    pd.testing.assert_frame_equal(forecaster.predict(frame[-6:]), forecaster.predict())
    earlier = forecaster.predict(frame[:40])
    assert earlier["ds"].iloc[0] == frame["ds"][40]
    with pytest.raises(DataError, match=r"at least lags = 6 values \(got 5"):
        forecaster.predict(frame[-5:])
    days = frame.assign(ds=pd.date_range("2020", periods=60, freq="D"))
    with pytest.raises(DataError, match=r"the step must be that of the training data \(got 'D', trained on 'MS'"):
        forecaster.predict(days)
    with pytest.raises(ArgumentError, match="fitted first"):
        small().predict(frame)


def test_a_new_history_is_gone_on_from_with_the_same_weights() -> None:
    frame = wide(60)
    forecaster = small().fit(frame[:40])
    expected = forecaster.predict(frame)
    weights = {name: array.copy() for name, array in forecaster.network_.to_arrays().items()}
    assert forecaster.set_history(frame) is forecaster
    pd.testing.assert_frame_equal(forecaster.predict(), expected)
    assert all((array == weights[name]).all() for name, array in forecaster.network_.to_arrays().items())
    assert type(forecaster.set_history(pl.DataFrame(frame.to_dict("list"))).predict()) is pl.DataFrame
    with pytest.raises(ArgumentError, match="fitted first"):
        small().set_history(frame)


def test_a_history_that_cannot_be_used_leaves_the_old_one() -> None:
    frame = wide(60)
    forecaster = small().fit(frame)
    expected = forecaster.predict()
    days = frame.assign(ds=pd.date_range("2020", periods=60, freq="D"))
    for history, message in ((frame[-5:], "at least lags = 6 values"), (days, "the step must be that of the training")):
        with pytest.raises(DataError, match=message):
            forecaster.set_history(history)
    pd.testing.assert_frame_equal(forecaster.predict(), expected)


def test_gaps_of_a_new_history_are_filled_where_that_is_allowed() -> None:
    frame = wide(60)
    holed = frame.copy()
    holed.loc[57, "y"] = np.nan
    forecaster = small(fill="forward").fit(frame[:50])
    filled = holed.assign(y=holed["y"].ffill())
    pd.testing.assert_frame_equal(forecaster.set_history(holed).predict(), forecaster.predict(filled))


def test_an_unknown_series_is_scaled_as_all_were_together() -> None:
    forecaster = small().fit(long(40))
    assert np.isfinite(forecaster.predict(wide(40))["mlp"]).all()


def test_the_forecast_does_not_depend_on_the_unit() -> None:
    frame = wide(60)
    kelvin = frame.assign(y=frame["y"] * 2.0**10)
    one, other = (small().fit(data).predict()["mlp"].to_numpy() for data in (frame, kelvin))
    np.testing.assert_array_equal(one * 2.0**10, other)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("lags_as", ["steps", "features"])
def test_every_network_fits_and_predicts(network: str, lags_as: Any) -> None:
    forecaster = small(network=network, lags_as=lags_as, max_epochs=1, num_layers=2).fit(wide(30))
    assert np.isfinite(forecaster.predict()[network]).all()


def test_the_same_seed_gives_the_same_forecast() -> None:
    results = [small(network="zoneout", seed=seed).fit(wide(60)).predict()["zoneout"] for seed in (1, 1, 2)]
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).all()


@pytest.mark.parametrize("changes", [{"scaling": "minmax"}, {"scaling": "none"}, {"anchor_last": False}])
def test_a_wave_is_learned(changes: dict[str, Any]) -> None:
    forecaster = small(lags=12, hidden_size=16, max_epochs=150, learning_rate=0.01, **changes)
    scores = forecaster.evaluate(wide(200), n_windows=10).scores["mae"]
    assert scores["mlp"] < 0.5 * min(scores["naive"], scores["drift"])


def test_a_series_too_short_is_named() -> None:
    with pytest.raises(DataError, match=r"at least lags \+ horizon = 6 \+ 3 = 9 values \(got 8"):
        small().fit(wide(8))
    with pytest.raises(DataError, match=r"before the 3 kept for validation .* validation_fraction=0"):
        small().fit(wide(11))
    assert small(validation_fraction=0).fit(wide(9)).echo_ is None


def test_a_training_part_without_variation_is_named() -> None:
    frame = wide(40)
    frame.loc[:35, "y"] = 3.0
    with pytest.raises(DataError, match="training part must vary"):
        small().fit(frame)


def test_gaps_are_an_error_until_filling_is_allowed() -> None:
    frame = wide(60)
    frame.loc[30, "y"] = np.nan
    holed = frame.drop(index=40)
    with pytest.raises(DataError, match="fill="):
        small().fit(holed)
    for fill in ("forward", "linear"):
        result = small(fill=fill).fit(holed).predict()
        assert result["ds"].iloc[0] == pd.Timestamp("2005-01-01")
        assert np.isfinite(result["mlp"]).all()
