"""Saved, loaded, streamed without torch, interrupted and resumed: the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from peephole import artifact, runtime
from peephole.errors import ArgumentError, ArtifactError
from peephole.spec import MLPSpec, NetworkSpec
from peephole.tasks import Forecaster
from peephole.training import Interrupted, Progress
from tests.tasks.series import long, small, wide
from tests.tolerances import TOLERANCES

pd: Any = pandas  # its types are partly unknown

pytestmark = pytest.mark.filterwarnings("ignore::peephole.tasks.EchoWarning")

KINDS: list[dict[str, Any]] = [
    {"network": "lstm"},
    {"network": "rnn", "anchor_last": False},
    {"network": "mlp", "scaling": "minmax"},
    {"network": "peephole", "lags_as": "features", "scaling": "none"},
    {"network": "layer_norm", "num_layers": 2},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one["network"])
def test_saving_and_loading_keeps_every_bit(kind: dict[str, Any], tmp_path: Path) -> None:
    forecaster = small(**kind).fit(long(40))
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.get_params() == forecaster.get_params()
    pd.testing.assert_frame_equal(loaded.predict(), forecaster.predict())
    history = long(30)
    pd.testing.assert_frame_equal(loaded.predict(history), forecaster.predict(history))
    loaded.save(tmp_path / "again")
    first, again = (artifact.load(tmp_path / name) for name in ("model", "again"))
    assert first.sha256 == again.sha256
    assert first.task == again.task


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one["network"])
def test_the_runtime_forecasts_the_same_numbers(kind: dict[str, Any], tmp_path: Path) -> None:
    frame = long(40)
    forecaster = small(**kind).fit(frame)
    forecaster.save(tmp_path / "model")
    expected = forecaster.predict()
    model: Any = runtime.load(tmp_path / "model")
    for name, part in frame.groupby("unique_id"):
        values = part["y"].to_numpy()
        ours = expected.loc[expected["unique_id"] == name, forecaster.network].to_numpy()
        near = TOLERANCES["tasks_runtime_float32"] * float(values.std())
        np.testing.assert_allclose(model.predict(values, series=name), ours, rtol=0, atol=near)
        stream = model.stream(series=name)
        steps = [stream.step(value) for value in values[-forecaster.lags :]]
        np.testing.assert_allclose(steps[-1], ours, rtol=0, atol=near)


@pytest.mark.parametrize("times", ["integers", "days", "zone"])
def test_a_loaded_forecaster_goes_on_from_the_training_data(times: str, tmp_path: Path) -> None:
    frame = wide(40)
    if times == "integers":
        frame["ds"] = np.arange(1900, 1940)
    if times == "zone":
        frame["ds"] = pd.date_range("2020-03-27", periods=40, freq="h", tz="Europe/Berlin")
    frame.insert(0, "unique_id", 7)
    forecaster = small().fit(frame)
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(), forecaster.predict())


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    forecaster = small().fit(wide(40))
    forecaster.save(tmp_path / "model")
    with pytest.raises(ArgumentError, match="exists"):
        forecaster.save(tmp_path / "model")
    forecaster.save(tmp_path / "model", overwrite=True)
    with pytest.raises(ArgumentError, match="fitted first"):
        small().save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_that_is_no_forecaster_is_named(tmp_path: Path) -> None:
    network = NetworkSpec(body=MLPSpec(input_size=1, hidden_sizes=(1,)), output_size=1)
    weights = {
        "body.weight_l0": np.ones((1, 1)),
        "body.bias_l0": np.ones(1),
        "head.weight": np.ones((1, 1)),
        "head.bias": np.ones(1),
    }
    artifact.save(tmp_path / "bare", network, weights)
    with pytest.raises(ArtifactError, match="holds no forecaster"):
        Forecaster.load(tmp_path / "bare")
    artifact.save(tmp_path / "half", network, weights, task={"kind": "forecast", "lags": 1})
    with pytest.raises(ArtifactError, match="no forecast this version understands"):
        Forecaster.load(tmp_path / "half")


def test_parameters_of_another_version_are_named(tmp_path: Path) -> None:
    small().fit(wide(40)).save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    model = json.loads(file.read_text())
    model["task"]["parameters"]["attention"] = True
    file.write_text(json.dumps(model))
    with pytest.raises(ArtifactError, match="do not fit this version"):
        Forecaster.load(tmp_path / "model")


def set_in(*path: str, value: object) -> Callable[[Any], object]:
    """Change one entry of a task."""

    def damage(task: Any) -> None:
        for name in path[:-1]:
            task = task[name]
        task[path[-1]] = value

    return damage


DAMAGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "no history": (set_in("history", value={}), "history is empty"),
    "fewer values": (lambda task: task["history"]["y"]["values"].pop(), "history of series 'y' must be 6 times"),
    "fewer times": (lambda task: task["history"]["y"]["times"].pop(), "history of series 'y' must be 6 times"),
    "a gap": (lambda task: task["history"]["y"]["values"].insert(0, None), "history of series 'y' must be 6 times"),
    "an infinity": (set_in("history", "y", "values", value=[np.inf] * 6), "history of series 'y' must be 6 times"),
    "no scale": (set_in("scaling", "series", "y", "std", value=0.0), "a positive std"),
    "another horizon": (set_in("horizon", value=9), "must agree with it on lags, horizon"),
    "other lags": (set_in("parameters", "lags", value=5), "must agree with it on lags"),
    "no time": (set_in("trained_until", "y", value="soon"), "no forecast this version understands"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_altered_task_is_refused_before_it_forecasts(name: str, tmp_path: Path) -> None:
    damage, says = DAMAGES[name]
    small(network="lstm").fit(wide(40)).save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    model = json.loads(file.read_text())
    damage(model["task"])
    file.write_text(json.dumps(model))
    with pytest.raises(ArtifactError, match=says):
        Forecaster.load(tmp_path / "model")


def test_an_interrupted_fit_resumes_to_the_same_weights(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    given: dict[str, Any] = {"network": "zoneout", "max_epochs": 4}
    whole = small(**given).fit(wide(60))
    broken = small(**given)
    with pytest.raises(Interrupted) as raised:
        broken.fit(wide(60), progress=stop, checkpoint=tmp_path / "c.pt")
    assert raised.value.checkpoint == tmp_path / "c.pt"
    resumed = small(**given).fit(wide(60), checkpoint=tmp_path / "c.pt", resume=True)
    whole.save(tmp_path / "whole")
    resumed.save(tmp_path / "resumed")
    assert artifact.load(tmp_path / "whole").sha256 == artifact.load(tmp_path / "resumed").sha256
    assert resumed.history_ == whole.history_
    with pytest.raises(ArgumentError, match="other data or another network"):
        small(**given).fit(wide(61), checkpoint=tmp_path / "c.pt", resume=True)
    with pytest.raises(ArgumentError, match="does not exist"):
        small(**given).fit(wide(60), checkpoint=tmp_path / "c.pt")
