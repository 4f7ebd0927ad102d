"""Ctrl-C and a kill leave a run that --resume goes on with, to the very same weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peephole.cli import runs
from tests.cli.command import Done, peephole, wave, write

COMMAND = ("fit", "forecast", "data.csv", "--time", "day", "--target", "value", "--lags", "16", "--horizon", "3",
           "--hidden-size", "16", "--max-epochs", "60", "--patience", "60", "--test-windows", "2")  # fmt: skip
WAIT = 60
STOPS = {"ctrl-c": (signal.SIGINT, 130), "kill": (signal.SIGKILL, -signal.SIGKILL)}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted."""
    place = tmp_path_factory.mktemp("unbroken")
    write(place / "data.csv", wave(300))
    done = elsewhere(place)
    assert done.code == 0, done.err
    return place / "run"


def elsewhere(place: Path, *more: str) -> Done:
    """Run the command in a process of its own."""
    code = "from peephole.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMAND, "--out", "run", *more],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def stopped(place: Path, how: signal.Signals) -> Done:
    """Run the command in a process of its own and stop it after a few epochs."""
    code = "from peephole.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *COMMAND, "--out", "run"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log, begun = place / "run" / runs.LOG, time.monotonic()
    while not (log.exists() and log.read_text().count("\n") > 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < WAIT
        time.sleep(0.005)
    process.send_signal(how)
    out, err = process.communicate(timeout=WAIT)
    return Done(process.returncode, out, err)


@pytest.mark.parametrize("how", STOPS)
def test_resumed_weights_are_those_of_an_unbroken_run(how: str, unbroken: Path, tmp_path: Path) -> None:
    write(tmp_path / "data.csv", wave(300))
    number, code = STOPS[how]
    done = stopped(tmp_path, number)
    run = tmp_path / "run"
    assert done.code == code, done
    assert (run / runs.CHECKPOINT).exists()
    assert not (run / runs.METRICS).exists()
    if how == "ctrl-c":
        assert done.out == ""
        assert done.err.startswith("Error: interrupted after ")
        assert done.err.count("\n") == 1
        assert f"peephole {' '.join(COMMAND)} --out run --resume" in done.err
    resumed = elsewhere(tmp_path, "--resume")
    assert resumed.code == 0, resumed.err
    assert not (run / runs.CHECKPOINT).exists()
    for name in ("model/weights.safetensors", runs.LOG, runs.BACKTEST, runs.METRICS):
        assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name
    epochs = [json.loads(line)["epoch"] for line in (run / runs.LOG).read_text().splitlines()]
    assert epochs == list(range(1, 61))


def test_ctrl_c_before_training_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("peephole.cli.runs.write_json", interrupted)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", wave(300))
    done = peephole(*COMMAND, "--out", "run")
    assert (done.code, done.out) == (130, "")
    assert done.err == "Error: interrupted; nothing was written\n"
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def test_ctrl_c_after_training_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data.csv", wave())
    command = (*COMMAND, "--max-epochs", "2", "--out", "run")
    with monkeypatch.context() as broken:
        broken.setattr("peephole.cli.forecast_run.write_frame", interrupted)
        assert peephole(*command).code == 130
    assert (tmp_path / "run" / runs.CHECKPOINT).exists()
    assert peephole(*command, "--resume").code == 0
    assert (tmp_path / "run" / runs.METRICS).exists()
