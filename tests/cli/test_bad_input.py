"""Whatever is wrong with what a user gives: exit code 2, one message, no traceback, and every file as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.command import Done, content_of, fit, peephole, wave, write


@dataclass(frozen=True)
class Case:
    """A command line that must be refused.

    Attributes:
        run: makes what it needs in a folder and gives the arguments.
        says: what the message must hold.
    """

    run: Callable[[Path], Done]
    says: tuple[str, ...]


def refused_data(change: Callable[[list[str]], list[str]], *more: str, rows: int = 90) -> Callable[[Path], Done]:
    def run(place: Path) -> Done:
        return fit(write(place / "data.csv", change(wave(rows))), place / "run", *more)

    return run


def with_line(at: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:at], text, *lines[at + 1 :]]


def swapped(lines: list[str]) -> list[str]:
    return [*lines[:10], lines[11], lines[10], *lines[12:]]


def constant(lines: list[str]) -> list[str]:
    return [lines[0], *(f"{line.split(',')[0]},5" for line in lines[1:])]


def as_it_is(lines: list[str]) -> list[str]:
    return lines


def empty(place: Path) -> Done:
    (place / "data.csv").touch()
    return fit(place / "data.csv", place / "run")


def run_that_exists(place: Path) -> Done:
    (place / "run").mkdir()
    write(place / "run" / "mine.txt", ["mine"])
    return fit(write(place / "data.csv", wave()), place / "run")


def finished_run_again(place: Path) -> Done:
    file = write(place / "data.csv", wave())
    fit(file, place / "run", "--max-epochs", "1")
    return fit(file, place / "run", "--max-epochs", "1")


DATA = {
    "missing file": Case(lambda place: fit(place / "nowhere.csv", place / "run"), ("nowhere.csv", "no such file")),
    "a folder": Case(lambda place: fit(place, place / "run"), ("must be a file",)),
    "unknown ending": Case(
        lambda place: fit(write(place / "data.xlsx", wave()), place / "run"), ("ending must be one of",)
    ),
    "empty file": Case(empty, ("the file is empty",)),
    "no rows": Case(refused_data(lambda lines: lines[:1]), ("data.csv", "got none")),
    "missing time column": Case(refused_data(as_it_is, "--time", "date"), ("--time", "'date'", "'day', 'value'")),
    "missing target column": Case(refused_data(as_it_is, "--target", "valu"), ("--target", "did you mean 'value'")),
    "missing id column": Case(refused_data(as_it_is, "--id", "shop"), ("--id", "'shop'")),
    "text among numbers": Case(refused_data(with_line(18, "2021-01-18,broken")), ("'broken'", "line 19")),
    "text as time": Case(refused_data(with_line(18, "yesterday,3.0")), ("'yesterday'", "line 19")),
    "missing value": Case(refused_data(with_line(18, "2021-01-18,")), ("NaN", "line 19", "--fill forward")),
    "NaN": Case(refused_data(with_line(18, "2021-01-18,nan")), ("line 19", "--fill linear")),
    "infinite": Case(refused_data(with_line(18, "2021-01-18,inf")), ("infinite", "line 19", "--fill forward")),
    "unsorted": Case(refused_data(swapped), ("must rise", "sort the table by 'day'")),
    "duplicate": Case(refused_data(with_line(18, "2021-01-17,3.0")), ("must differ", "2021-01-17")),
    "gap": Case(refused_data(lambda lines: lines[:30] + lines[31:]), ("2021-01-30 is missing", "--fill forward")),
    "irregular": Case(refused_data(with_line(18, "2021-01-18 07:00,3.0")), ("must be even",)),
    "short": Case(refused_data(as_it_is, rows=10), ("lags + horizon = 8 + 3 = 11", "got 10")),
    "short with a test": Case(refused_data(as_it_is, rows=13), ("--test-windows", "got 13 in all")),
    "short with validation": Case(refused_data(as_it_is, rows=15), ("--validation-fraction 0",)),
    "constant": Case(refused_data(constant), ("must vary",)),
}
SETTINGS = {
    "unknown network": Case(refused_data(as_it_is, "--network", "lstmm"), ("unknown network 'lstmm'", "'lstm'")),
    "no lags": Case(refused_data(as_it_is, "--lags", "0"), ("lags must be a whole number of at least 1 (got 0)",)),
    "learning rate": Case(refused_data(as_it_is, "--learning-rate", "-1"), ("--learning-rate must be",)),
    "validation": Case(refused_data(as_it_is, "--validation-fraction", "1.5"), ("--validation-fraction must be",)),
    "windows": Case(refused_data(as_it_is, "--test-windows", "-1"), ("--test-windows must be",)),
    "too many windows": Case(refused_data(as_it_is, "--test-windows", "40"), ("lower --test-windows, --test-step",)),
    "frequency": Case(refused_data(as_it_is, "--freq", "fortnight"), ("freq", "'fortnight'")),
    "other frequency": Case(refused_data(as_it_is, "--freq", "h"), ("2021-01-01 01:00",)),
    "no frequency": Case(refused_data(as_it_is, "--freq", "9" * 30 + "D"), ("freq: must be a whole number",)),
    "season": Case(refused_data(as_it_is, "--season-length", "100"), ("one season of 100", "lower --season-length")),
    "no number": Case(refused_data(as_it_is, "--lags", "many"), ("--lags", "valid integer")),
    "unknown filling": Case(refused_data(as_it_is, "--fill", "zero"), ("'zero'", "forward")),
    "unknown option": Case(refused_data(as_it_is, "--lag", "3"), ("No such option", "--lags")),
    "more memory than there is": Case(refused_data(as_it_is, "--hidden-size", "1000000"), ("not enough memory",)),
    "seed": Case(refused_data(as_it_is, "--seed", str(2**63)), ("seed must be", "at most 9223372036854775807")),
    "no target": Case(lambda place: peephole("fit", "forecast", place / "a.csv"), ("Missing option",)),
    "diverged": Case(refused_data(as_it_is, "--learning-rate", "1e30", "--no-anchor-last"), ("lower --learning-rate",)),
}
FOLDERS = {
    "run folder exists": Case(run_that_exists, ("exists already and is left as it is", "--out")),
    "run is finished": Case(finished_run_again, ("exists already", "--resume")),
    "nothing to resume": Case(refused_data(as_it_is, "--resume"), ("no run at", "leave out --resume")),
    "resume of no run": Case(
        lambda place: fit(write(place / "data.csv", wave()), place, "--resume"), ("has no config.json",)
    ),
    "out below a file": Case(
        lambda place: fit(write(place / "data.csv", wave()), place / "data.csv" / "run"), ("data.csv",)
    ),
    "demo in a folder in use": Case(lambda place: peephole("demo", "--out", place), ("is no earlier demo",)),
}
OTHERS = {
    "unknown command": Case(lambda _: peephole("fitt"), ("No such command 'fitt'",)),
    "unknown variant": Case(lambda _: peephole("gradcheck", "--variant", "lstmm"), ("unknown variant 'lstmm'",)),
    "predict nothing": Case(lambda place: peephole("predict", place / "nowhere"), ("does not exist",)),
    "predict no model": Case(lambda place: peephole("predict", place), ("holds no model",)),
    "evaluate nothing": Case(lambda place: peephole("evaluate", place / "nowhere"), ("does not exist",)),
}


def check_refused(place: Path, case: Case) -> None:
    write(place / "bystander.txt", ["as it was"])
    done = case.run(place)
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1, done.err
    assert "Traceback" not in done.err
    for part in case.says:
        assert part in done.err, done.err


@pytest.mark.parametrize("name", [*DATA, *SETTINGS])
def test_bad_data_and_settings_leave_nothing_behind(name: str, tmp_path: Path) -> None:
    check_refused(tmp_path, {**DATA, **SETTINGS}[name])
    left = {key for key, content in content_of(tmp_path).items() if content is not None}
    assert left <= {"bystander.txt", "data.csv", "data.xlsx"}
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [*FOLDERS, *OTHERS])
def test_a_folder_in_use_is_left_as_it_is(name: str, tmp_path: Path) -> None:
    check_refused(tmp_path, {**FOLDERS, **OTHERS}[name])
    assert (tmp_path / "bystander.txt").read_text() == "as it was\n"
    if (tmp_path / "run" / "mine.txt").exists():
        assert [file.name for file in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run beside its data."""
    place = tmp_path_factory.mktemp("fitted")
    assert fit(write(place / "data.csv", wave()), place / "run", "--max-epochs", "1").code == 0
    return place


@pytest.fixture
def copied(fitted: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be damaged; its configuration names the copied data."""
    import shutil

    place = tmp_path / "copy"
    shutil.copytree(fitted, place)
    config = json.loads((place / "run" / "config.json").read_text())
    config["data"]["file"] = str(place / "data.csv")
    (place / "run" / "config.json").write_text(json.dumps(config))
    return place


def model_json(place: Path, entry: str, value: object) -> None:
    path = place / "run" / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))


def config_json(place: Path, entry: str, value: object) -> None:
    path = place / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))


def cut_weights(place: Path) -> None:
    path = place / "run" / "model" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def altered_weights(place: Path) -> None:
    path = place / "run" / "model" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def unfinished(place: Path) -> None:
    for name in ("model/model.json", "metrics.json"):
        (place / "run" / name).unlink()


def nothing(_place: Path) -> None:
    """Leave the run as it is."""


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...], tuple[str, ...]]] = {
    "newer model": (lambda place: model_json(place, "format_version", 99), ("predict", "run"), ("version 99",)),
    "newer run": (lambda place: config_json(place, "format_version", 99), ("evaluate", "run"), ("newer Peephole",)),
    "no settings": (lambda place: config_json(place, "settings", {}), ("evaluate", "run"), ("test_windows", "--data")),
    "no data": (lambda place: config_json(place, "data", {}), ("evaluate", "run"), ("lacks the settings or the data",)),
    "no JSON": (
        lambda place: (place / "run" / "model" / "model.json").write_text("{"),
        ("predict", "run"),
        ("not JSON",),
    ),
    "cut weights": (cut_weights, ("predict", "run"), ("truncated or altered",)),
    "altered weights": (altered_weights, ("evaluate", "run"), ("truncated or altered",)),
    "no forecaster": (lambda place: model_json(place, "task", None), ("predict", "run"), ("holds no forecaster",)),
    "unfinished": (unfinished, ("predict", "run"), ("not finished", "--resume")),
    "data has changed": (
        lambda place: write(place / "data.csv", wave(91)),
        ("evaluate", "run"),
        ("has changed since", "--data"),
    ),
    "data is gone": (lambda place: (place / "data.csv").unlink(), ("evaluate", "run"), ("no longer there", "--data")),
    "model alone": (nothing, ("evaluate", "run/model"), ("--data",)),
    "trained on": (
        nothing,
        ("evaluate", "run", "--data", "data.csv", "--test-windows", "7"),
        ("must lie behind the training data", "training ended at 2021-03-13", "lower --test-windows"),
    ),
    "missing data": (nothing, ("predict", "run", "--data", "nowhere.csv"), ("no such file",)),
    "short data": (
        lambda place: write(place / "short.csv", wave(5)),
        ("predict", "run", "--data", "short.csv"),
        ("at least lags = 8",),
    ),
    "out exists": (nothing, ("predict", "run", "--out", "data.csv"), ("exists already",)),
    "out in no folder": (nothing, ("predict", "run", "--out", "nowhere/f.csv"), ("--out: there is no folder nowhere",)),
    "other settings": (
        nothing,
        ("fit", "forecast", "data.csv", "--time", "day", "--target", "value", "--lags", "9", "--horizon", "3",
         "--hidden-size", "4", "--max-epochs", "1", "--out", "run", "--resume"),
        ("--lags was 8 and is now 9",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_or_unfit_run_is_refused(name: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage, arguments, says = DAMAGES[name]
    damage(copied)
    monkeypatch.chdir(copied)
    before = content_of(copied)
    done = peephole(*arguments)
    assert (done.code, done.out) == (2, ""), done
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1, done.err
    for part in says:
        assert part in done.err, done.err
    assert content_of(copied) == before
