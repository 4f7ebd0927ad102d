"""The demonstration goes the whole way; at full size it is the proof that the LSTM beats every baseline."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from peephole.tasks import BASELINES, DEMO
from tests.cli.command import peephole

LONGEST = 180
SMALL = dataclasses.replace(
    DEMO, networks=("lstm", "mlp"), seeds=(0, 1), lags=12, horizon=4, hidden_size=4, n_windows=5, learning_rate=0.03
)
PICTURES = {"forecasts.png", "gates.png", "metrics.png", "training.png"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration with small networks."""
    monkeypatch.setattr("peephole.cli.demo_run.DEMO", SMALL)


@pytest.mark.usefixtures("small")
def test_every_step_is_told_and_every_file_written(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = peephole("demo", "--out", out)
    assert (done.code, done.err) == (0, "")
    for part in ("1  The data", "2  Three networks", "3  The test", "4  Looking inside", "streams without torch"):
        assert part in done.out
    assert {path.name for path in out.glob("*.png")} == PICTURES
    assert all(path.name in done.out for path in out.glob("*.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    again = peephole("predict", out / "lstm", "--json")
    assert json.loads(again.out)["forecast"][0]["month"] == "2011-01-01"
    repeated = peephole("demo", "--out", out, "--json")
    assert repeated.code == 0
    assert json.loads(repeated.out)["streaming"]["large_packages_imported"] == []


@pytest.mark.slow
def test_the_lstm_beats_every_baseline_within_three_minutes(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = peephole("demo", "--out", tmp_path / "demo", "--json")
    assert time.monotonic() - begun < LONGEST
    found = json.loads(done.out)
    for row in found["scores"].values():
        assert all(row["lstm"] < row[name] for name in BASELINES)
    assert "lstm" in found["beats_every_baseline"]
    assert len(found["mae_by_seed"]["lstm"]) == len(DEMO.seeds)
    assert found["streaming"]["same_numbers"]
    assert (tmp_path / "demo" / "lstm" / "model" / "weights.safetensors").is_file()
