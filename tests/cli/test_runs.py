"""A run folder is begun, kept, gone on with and found again without ever losing what was there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest

from peephole.cli import runs
from peephole.errors import ArgumentError, ArtifactError, DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("day,value\n")
    return path


def begin(folder: Path, data: Path) -> None:
    folder.mkdir()
    runs.write_json(folder / runs.CONFIG, runs.config({"lags": 3}, data))


def fail(folder: Path, written: Path, error: BaseException, *, worthless: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Begin a run, write a file and fail."""
    with runs.beginning(folder, folder / "checkpoint", worthless=worthless):
        written.write_text("written")
        raise error


def test_a_failed_beginning_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with pytest.raises(DataError):
        fail(folder, folder / "half", DataError("no"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_once_there_is_a_checkpoint_nothing_is_removed(tmp_path: Path, error: type[BaseException]) -> None:
    checkpoint = tmp_path / "run" / "checkpoint"
    with pytest.raises(error):
        fail(tmp_path / "run", checkpoint, error("no"))
    assert checkpoint.exists()


def test_a_run_that_began_earlier_is_never_removed(tmp_path: Path, data: Path) -> None:
    begin(tmp_path / "run", data)
    with pytest.raises(DataError):
        fail(tmp_path / "run", tmp_path / "run" / "half", DataError("no"), worthless=(DataError,))
    assert (tmp_path / "run" / runs.CONFIG).exists()


def test_a_worthless_beginning_is_removed_even_with_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoint"
    with pytest.raises(DataError):
        fail(tmp_path / "run", checkpoint, DataError("no"), worthless=(DataError,))
    assert not (tmp_path / "run").exists()


def test_a_taken_folder_is_refused_and_an_empty_one_is_not(tmp_path: Path, data: Path) -> None:
    (tmp_path / "empty").mkdir()
    runs.refuse_taken(tmp_path / "empty")
    runs.refuse_taken(tmp_path / "absent")
    begin(tmp_path / "run", data)
    with pytest.raises(ArgumentError, match="go on with that run by --resume"):
        runs.refuse_taken(tmp_path / "run")


def test_what_was_written_is_read(tmp_path: Path, data: Path) -> None:
    begin(tmp_path / "run", data)
    run = runs.read(tmp_path / "run")
    assert run.settings == {"lags": 3}
    assert run.metrics is None
    assert [file.name for file in (tmp_path / "run").iterdir()] == [runs.CONFIG]


def test_going_on_with_other_settings_or_data_is_refused(tmp_path: Path, data: Path) -> None:
    begin(tmp_path / "run", data)
    run = runs.read(tmp_path / "run")
    runs.check_same(run, runs.config({"lags": 3}, data))
    with pytest.raises(ArgumentError, match="--lags was 3 and is now 4"):
        runs.check_same(run, runs.config({"lags": 4}, data))
    data.write_text("day,value\n1,2\n")
    with pytest.raises(DataError, match="the data has changed"):
        runs.check_same(run, runs.config({"lags": 3}, data))


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path, data: Path) -> None:
    begin(tmp_path / "run", data)
    document = json.loads((tmp_path / "run" / runs.CONFIG).read_text())
    runs.write_json(tmp_path / "run" / runs.CONFIG, {**document, "format_version": runs.FORMAT_VERSION + 1})
    with pytest.raises(ArtifactError, match="newer Peephole"):
        runs.read(tmp_path / "run")


def test_the_model_is_found_in_a_run_and_alone(tmp_path: Path, data: Path) -> None:
    begin(tmp_path / "run", data)
    with pytest.raises(ArtifactError, match="not finished"):
        runs.model_folder(tmp_path / "run")
    (tmp_path / "run" / runs.MODEL).mkdir()
    (tmp_path / "run" / runs.MODEL / "model.json").write_text("{}")
    assert runs.model_folder(tmp_path / "run") == tmp_path / "run" / runs.MODEL
    assert runs.model_folder(tmp_path / "run" / runs.MODEL) == tmp_path / "run" / runs.MODEL
    with pytest.raises(ArtifactError, match="does not exist"):
        runs.model_folder(tmp_path / "nowhere")
