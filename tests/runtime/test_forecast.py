"""A forecaster without its training: units in, units out, stepping equal to predicting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.runtime import ForecastModel, load
from peephole.spec import EmbeddingSpec, NetworkSpec
from tests.runtime.models import FORECAST_NETWORKS, forecast_task, forecaster, recurrent, saved
from tests.tolerances import TOLERANCES

LAGS, HORIZON = 6, 3
SERIES = 10 + 2 * np.sin(np.arange(20) / 3)


def by_hand(model: ForecastModel, window: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The rule of the module's docstring, for series ``a``."""
    scaled = (window - 10.0) / 2.0
    as_steps = model.forecast.as_steps
    x = scaled[:, None] if as_steps else scaled if model.network.body.kind == "mlp" else scaled[None, :]
    y = model.model.predict(x).astype(np.float64)
    return (y + (scaled[-1] if model.forecast.anchor_last else 0.0)) * 2.0 + 10.0


@pytest.mark.parametrize("kind", FORECAST_NETWORKS)
@pytest.mark.parametrize("anchor_last", [True, False])
def test_a_forecast_is_scaled_run_and_unscaled(tmp_path: Path, kind: str, anchor_last: bool) -> None:
    model = forecaster(tmp_path / "m", kind, anchor_last=anchor_last)
    got = model.predict(SERIES, series="a")
    assert got.shape == (HORIZON,)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, by_hand(model, SERIES[-LAGS:]), rtol=0, atol=TOLERANCES["runtime_forecast"])


@pytest.mark.parametrize("kind", FORECAST_NETWORKS)
def test_only_the_last_lags_count(tmp_path: Path, kind: str) -> None:
    model = forecaster(tmp_path / "m", kind)
    whole, tail = model.predict(SERIES, series="a"), model.predict(SERIES[-LAGS:], series="a")
    assert whole.tobytes() == tail.tobytes()


@pytest.mark.parametrize("kind", [kind for kind, (lags_as, _) in FORECAST_NETWORKS.items() if lags_as == "features"])
def test_streaming_equals_predicting_after_every_value(tmp_path: Path, kind: str) -> None:
    model = forecaster(tmp_path / "m", kind)
    stream = model.stream(series="a")
    for t, value in enumerate(SERIES):
        got = stream.step(value)
        if t + 1 < LAGS:
            assert np.isnan(got).all()
        else:
            expected = model.predict(SERIES[: t + 1], series="a")
            np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCES["runtime_forecast"])


def test_a_recurrent_stream_equals_predicting_after_the_first_lags(tmp_path: Path) -> None:
    model = forecaster(tmp_path / "m", "lstm, lags as steps")
    stream = model.stream(series="a")
    got = [stream.step(value) for value in SERIES[:LAGS]]
    expected = model.predict(SERIES[:LAGS], series="a")
    np.testing.assert_allclose(got[-1], expected, rtol=0, atol=TOLERANCES["runtime_forecast"])
    assert np.isfinite(got).all()


def test_a_recurrent_stream_remembers_more_than_the_lags(tmp_path: Path) -> None:
    model = forecaster(tmp_path / "m", "lstm, lags as steps")
    stream = model.stream(series="a")
    got = [stream.step(value) for value in SERIES][-1]
    scaled = (SERIES - 10.0) / 2.0
    y = model.model.predict(scaled[:, None]).astype(np.float64)
    np.testing.assert_allclose(got, (y + scaled[-1]) * 2.0 + 10.0, rtol=0, atol=TOLERANCES["runtime_forecast"])


@pytest.mark.parametrize("kind", FORECAST_NETWORKS)
@pytest.mark.parametrize("cut", [0, 3, 6, 13])
def test_a_saved_stream_goes_on_bit_for_bit(tmp_path: Path, kind: str, cut: int) -> None:
    model = forecaster(tmp_path / "m", kind)
    stream = model.stream(series="a")
    for value in SERIES[:cut]:
        stream.step(value)
    stream.save(tmp_path / "state.npz")
    expected = np.stack([stream.step(value) for value in SERIES[cut:]])
    another = model.stream(series="a")
    another.step(3.0)
    another.load(tmp_path / "state.npz")
    assert np.stack([another.step(value) for value in SERIES[cut:]]).tobytes() == expected.tobytes()
    stream.reset()
    assert np.stack([stream.step(value) for value in SERIES])[cut:].tobytes() == expected.tobytes()


def test_every_series_has_its_own_scaling(tmp_path: Path) -> None:
    model = forecaster(tmp_path / "m", "mlp")
    same = (SERIES - 10.0) / 2.0 * 0.5 - 3.0
    a, b = model.predict(SERIES, series="a"), model.predict(same, series="b")
    np.testing.assert_allclose((a - 10.0) / 2.0, (b + 3.0) / 0.5, rtol=0, atol=TOLERANCES["runtime_forecast"])


def test_the_only_series_needs_no_name_and_others_take_the_default(tmp_path: Path) -> None:
    scaling = forecast_task()["scaling"]
    one = forecaster(tmp_path / "one", "mlp", scaling={**scaling, "series": {"a": scaling["series"]["a"]}})
    assert one.predict(SERIES).tobytes() == one.predict(SERIES, series="a").tobytes()
    default = forecaster(tmp_path / "default", "mlp", scaling={**scaling, "default": scaling["series"]["a"]})
    assert default.predict(SERIES, series="new").tobytes() == default.predict(SERIES, series="a").tobytes()
    several = forecaster(tmp_path / "several", "mlp")
    for series in (None, "new"):
        with pytest.raises(ArgumentError, match=r"series must name one of the 2 trained on .*; for example 'a', 'b'"):
            several.predict(SERIES, series=series)
        with pytest.raises(ArgumentError, match="series must name one of"):
            several.stream(series=series)
    with pytest.raises(ArgumentError, match="series must name one of"):
        default.predict(SERIES)


BAD_HISTORIES: dict[str, tuple[Any, type[Exception], str]] = {
    "too short": (SERIES[:5], ArgumentError, r"at least lags = 6 values \(got the shape \[5\]\)"),
    "two axes": (SERIES[:, None], ArgumentError, "one-dimensional"),
    "text": (["a"] * 6, ArgumentTypeError, "history must hold real numbers"),
    "nan": ([*SERIES, np.nan], ArgumentError, "1 that are NaN or infinite.; fill the gaps first"),
    "infinite": ([*SERIES[:5], np.inf], ArgumentError, "NaN or infinite"),
}


@pytest.mark.parametrize("case", BAD_HISTORIES)
def test_a_bad_history_is_one_clear_error(tmp_path: Path, case: str) -> None:
    history, kind, message = BAD_HISTORIES[case]
    with pytest.raises(kind, match=message):
        forecaster(tmp_path / "m", "mlp").predict(history, series="a")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(np.nan, ArgumentError), (-np.inf, ArgumentError), ("a", ArgumentTypeError), (None, ArgumentTypeError)],
)
@pytest.mark.parametrize("network", FORECAST_NETWORKS)
def test_a_bad_value_leaves_the_stream_alone(tmp_path: Path, network: str, value: Any, kind: type[Exception]) -> None:
    model = forecaster(tmp_path / "m", network)
    stream, undisturbed = model.stream(series="a"), model.stream(series="a")
    for good in SERIES[:8]:
        stream.step(good)
        undisturbed.step(good)
    with pytest.raises(kind, match="value must be"):
        stream.step(value)
    assert stream.step(9.0).tobytes() == undisturbed.step(9.0).tobytes()


BAD_TASKS: dict[str, dict[str, Any]] = {
    "other lags": {"lags_as": "features", "lags": 7},
    "no lags": {"lags": 0},
    "unknown layout": {"lags_as": "images"},
    "other horizon": {"horizon": 4},
    "lags as text": {"lags": "many"},
    "no scaling": {"scaling": None},
    "negative scale": {"scaling": {"series": {"a": {"mean": 0.0, "std": -1.0}}, "default": None}},
    "no mean": {"scaling": {"series": {"a": {"std": 1.0}}, "default": None}},
}


@pytest.mark.parametrize("case", BAD_TASKS)
def test_a_task_at_odds_with_its_network_is_refused(tmp_path: Path, case: str) -> None:
    folder = saved(tmp_path / "m", recurrent("lstm", input_size=1), task=forecast_task(**BAD_TASKS[case]))
    with pytest.raises(ArtifactError, match="forecast"):
        load(folder)


def test_a_forecast_is_made_of_numbers_not_of_an_embedding(tmp_path: Path) -> None:
    embedding = EmbeddingSpec(num_embeddings=5, embedding_dim=1)
    network = recurrent("lstm", input=embedding, input_size=1)
    with pytest.raises(ArtifactError, match="a network of 1 inputs"):
        load(saved(tmp_path / "m", network, task=forecast_task()))


def test_a_forecast_is_read_at_the_last_step(tmp_path: Path) -> None:
    network: NetworkSpec = recurrent("lstm", input_size=1, readout="every")
    with pytest.raises(ArtifactError, match="read at the last step"):
        load(saved(tmp_path / "m", network, task=forecast_task()))
