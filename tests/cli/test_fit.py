"""Fitting, predicting and evaluating through the command line."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peephole import runtime
from peephole.cli import runs
from peephole.cli.fit_forecast import fit_forecast
from peephole.tasks import Forecaster
from tests.cli.command import content_of, fit, peephole, wave, write
from tests.tolerances import TOLERANCES

IN_OTHER_WORDS = {"layers": "num_layers"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; nobody changes it."""
    place = tmp_path_factory.mktemp("fit")
    done = fit(write(place / "wave.csv", wave()), place / "run", "--unit", "kg")
    assert done.code == 0, done.err
    return place / "run"


def test_a_run_folder_holds_everything(run: Path) -> None:
    names = {name for name, content in content_of(run).items() if content is not None}
    assert names == {
        "config.json",
        "metrics.json",
        "training.jsonl",
        "backtest.csv",
        "model/model.json",
        "model/weights.safetensors",
        "pictures/forecasts.png",
        "pictures/gates.png",
        "pictures/metrics.png",
        "pictures/training.png",
    }


def test_the_configuration_is_copied_in(run: Path) -> None:
    config = json.loads((run / runs.CONFIG).read_text())
    file = run.parent / "wave.csv"
    assert config["data"] == {"file": str(file), "sha256": runs.sha256_of(file)}
    assert config["settings"]["hidden_size"] == 4
    assert config["settings"]["unit"] == "kg"
    assert config["settings"]["test_windows"] == 6


def test_the_log_has_one_line_an_epoch(run: Path) -> None:
    rows = [json.loads(line) for line in (run / runs.LOG).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]


def test_the_table_names_the_winner_and_the_unit(tmp_path: Path) -> None:
    done = fit(write(tmp_path / "wave.csv", wave()), tmp_path / "run", "--unit", "kg")
    assert done.code == 0
    assert "MAE (kg)" in done.out
    assert "seasonal naive (baseline)" in done.out
    assert "LSTM beats every baseline" in done.out or "LSTM does not beat" in done.out
    assert "peephole predict" in done.out


def test_json_is_the_only_output_of_every_command(run: Path, tmp_path: Path) -> None:
    data = run.parent / "wave.csv"
    commands: dict[str, tuple[str | Path, ...]] = {
        "predict": ("predict", run),
        "evaluate": ("evaluate", run),
        "fit": ("fit", "forecast", data, "--time", "day", "--target", "value", "--lags", "8", "--horizon", "3",
                "--max-epochs", "1", "--network", "mlp", "--out", tmp_path / "run"),
    }  # fmt: skip
    for name, command in commands.items():
        done = peephole(*command, "--json")
        assert (done.code, done.err) == (0, ""), name
        assert json.loads(done.out)["network"] in ("lstm", "mlp")


def test_predict_goes_on_from_the_end_of_the_data(run: Path) -> None:
    rows = json.loads(peephole("predict", run, "--json").out)["forecast"]
    assert [row["day"] for row in rows] == ["2021-04-01", "2021-04-02", "2021-04-03"]
    values = [float(line.split(",")[1]) for line in wave()[1:]]
    model = runtime.load(run / "model")
    assert isinstance(model, runtime.ForecastModel)
    np.testing.assert_allclose(
        [row["lstm"] for row in rows], model.predict(values), rtol=TOLERANCES["runtime_forecast"]
    )


def test_predict_from_a_newer_table_into_a_file(run: Path, tmp_path: Path) -> None:
    newer = write(tmp_path / "newer.csv", wave(100))
    done = peephole("predict", run, "--data", newer, "--out", tmp_path / "forecast.csv")
    assert done.code == 0, done.err
    lines = (tmp_path / "forecast.csv").read_text().splitlines()
    assert lines[0].endswith("day,lstm")
    assert [line.split(",")[-2] for line in lines[1:]] == ["2021-04-11", "2021-04-12", "2021-04-13"]
    shown = peephole("predict", run, "--data", newer).out
    assert "2021-04-11" in shown


def test_evaluate_gives_the_numbers_of_the_fit(run: Path) -> None:
    fitted = json.loads((run / runs.METRICS).read_text())
    found = json.loads(peephole("evaluate", run, "--json").out)
    assert found["scores"] == fitted["scores"]
    assert found["test"] == fitted["test"]
    assert "seasonal naive (baseline)" in peephole("evaluate", run).out


def test_evaluate_on_newer_data(run: Path, tmp_path: Path) -> None:
    newer = write(tmp_path / "newer.csv", wave(100))
    found = json.loads(peephole("evaluate", run, "--data", newer, "--test-windows", "2", "--json").out)
    assert found["test"]["windows"] == 2
    assert found["test"]["to"].startswith("2021-04-10")


def test_a_finished_run_is_not_trained_again(run: Path) -> None:
    before = content_of(run)
    done = fit(run.parent / "wave.csv", run, "--unit", "kg", "--resume")
    assert done.code == 0
    assert "LSTM fitted on" in done.out
    assert content_of(run) == before


def test_without_a_test_all_values_are_trained_on(tmp_path: Path) -> None:
    done = fit(write(tmp_path / "wave.csv", wave()), tmp_path / "run", "--test-windows", "0")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "run" / runs.METRICS).read_text())
    assert found["training"]["values"] == 90
    assert found["scores"] is None
    assert "No test was asked for" in done.out


def test_several_series_and_a_perceptron(tmp_path: Path) -> None:
    lines = wave()
    rows = [f"{name},{line}" for name in ("a", "b") for line in lines[1:]]
    file = write(tmp_path / "two.csv", ["unique_id,day,value", *rows])
    done = fit(file, tmp_path / "run", "--network", "mlp")
    assert done.code == 0, done.err
    assert "180" not in done.out
    assert not (tmp_path / "run" / "pictures" / "gates.png").exists()
    rows = json.loads(peephole("predict", tmp_path / "run", "--json").out)["forecast"]
    assert [row["unique_id"] for row in rows] == ["a"] * 3 + ["b"] * 3


def test_gaps_are_filled_where_that_is_asked_for(tmp_path: Path) -> None:
    lines = wave()
    lines[40] = f"{lines[40].split(',')[0]},"
    del lines[60]
    file = write(tmp_path / "gaps.csv", lines)
    done = fit(file, tmp_path / "run", "--fill", "linear")
    assert done.code == 0, done.err


def test_an_echo_is_warned_of(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).normal(size=200).cumsum()
    file = write(tmp_path / "walk.csv", ["day,value", *(f"{row},{value}" for row, value in enumerate(steps))])
    done = fit(file, tmp_path / "run")
    assert done.code == 0
    assert done.err.startswith("Warning: ")
    assert "only echoes the last value" in done.err


def test_options_have_the_defaults_of_the_forecaster() -> None:
    theirs = inspect.signature(Forecaster.__init__).parameters
    for name, option in inspect.signature(fit_forecast).parameters.items():
        parameter = theirs.get(IN_OTHER_WORDS.get(name, name))
        if parameter is not None and option.default is not inspect.Parameter.empty:
            default: Any = getattr(option.default, "value", option.default)
            assert default == parameter.default, name
