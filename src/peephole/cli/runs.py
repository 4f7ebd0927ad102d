"""The folder of a run: what is in it, how it begins, how it is gone on with, and how it is found again.

::

    config.json      every setting, the data file and its SHA-256, the version that made the run
    training.jsonl   one line an epoch: the losses and the time
    metrics.json     the errors beside the baselines; it is written last, so a run that has it is finished
    backtest.csv     the forecasts from rolling origins that the errors were taken from
    model/           the model: model.json and weights.safetensors
    pictures/        PNG
    checkpoint       only until the run is finished: what --resume goes on from

Every file is written beside its place and renamed, so that none is ever seen half written; only the log grows line by
line while training goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peephole import files
from peephole.cli import console
from peephole.errors import ArgumentError, ArtifactError, DataError
from peephole.version import VERSION

FORMAT = "peephole run"
FORMAT_VERSION = 1
CONFIG, METRICS, LOG, BACKTEST = "config.json", "metrics.json", "training.jsonl", "backtest.csv"
MODEL, PICTURES, CHECKPOINT = "model", "pictures", "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that was read back.

    Attributes:
        folder: where it is.
        config: the content of ``config.json``.
        metrics: the content of ``metrics.json``, or None where the run is not finished.
    """

    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Any] | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the command that made the run."""
        return cast("Mapping[str, Any]", self.config["settings"])

    @property
    def data_file(self) -> Path:
        """The data file of the run."""
        return Path(str(cast("Mapping[str, Any]", self.config["data"])["file"]))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        DataError: where it is not there, is a folder or cannot be read.
    """
    if not path.exists():
        raise DataError(f"FILE: {path} does not exist; give the path of a CSV or Parquet file")
    if path.is_dir():
        raise DataError(f"FILE: {path} is a folder; give the path of a CSV or Parquet file")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"FILE: {path} cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def refuse_taken(folder: Path) -> None:
    """Check that a new run may be made at ``folder``: it must be absent or empty.

    Raises:
        ArgumentError: where something is there.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        advice = "choose another --out"
        if (folder / CONFIG).exists():
            advice += ", or go on with that run by --resume"
        raise ArgumentError(f"--out: {folder} exists already and is left as it is; {advice}")


@contextlib.contextmanager
def beginning(folder: Path, checkpoint: Path, *, worthless: tuple[type[Exception], ...] = ()) -> Generator[None]:
    """Make the run folder where it is missing; whatever goes wrong before there is a checkpoint removes it again.

    Args:
        folder: the run folder.
        checkpoint: the file that, once it is there, is worth keeping: a training may have taken hours.
        worthless: errors after which a run that began here is not worth keeping even so.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    began_here = not any(folder.iterdir())
    try:
        yield
    except BaseException as error:
        if began_here and (not checkpoint.exists() or isinstance(error, worthless)):
            shutil.rmtree(folder, ignore_errors=True)
            for place in made[1:]:
                with contextlib.suppress(OSError):
                    place.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it."""
    with files.replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file beside its place and rename it."""
    write_text(path, console.dump_json(document))


def config(settings: Mapping[str, Any], data_file: Path) -> dict[str, Any]:
    """The content of ``config.json``: the settings, and the data file with its SHA-256.

    Raises:
        DataError: where the file cannot be read.
    """
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "peephole_version": VERSION,
        "command": "fit forecast",
        "settings": dict(settings),
        "data": {"file": str(data_file.resolve()), "sha256": sha256_of(data_file)},
    }


def read(folder: Path) -> Run:
    """Read a run back.

    Raises:
        ArtifactError: where the folder holds no run, or one of a newer version.
    """
    if not folder.exists():
        raise ArtifactError(f"DIR: {folder} does not exist; give the --out folder of peephole fit")
    if not (folder / CONFIG).is_file():
        raise ArtifactError(f"DIR: {folder} is no run: it has no {CONFIG}; give the --out folder of peephole fit")
    document = _read_json(folder / CONFIG)
    if document.get("format") != FORMAT:
        raise ArtifactError(f"DIR: {folder / CONFIG} does not describe a run of peephole fit")
    made_by = document.get("format_version")
    if not isinstance(made_by, int) or made_by > FORMAT_VERSION:
        raise ArtifactError(
            f"DIR: {folder} was made by a newer Peephole ({document.get('peephole_version')}, run format {made_by}; "
            f"this one reads up to {FORMAT_VERSION}); install that version"
        )
    settings, data = document.get("settings"), document.get("data")
    if not isinstance(settings, dict) or not isinstance(data, dict) or not {"file", "sha256"} <= data.keys():
        raise ArtifactError(
            f"DIR: {folder / CONFIG} lacks the settings or the data of its run; bring it back, or fit anew"
        )
    metrics = _read_json(folder / METRICS) if (folder / METRICS).is_file() else None
    return Run(folder=folder, config=document, metrics=metrics)


def check_same(run: Run, wanted: Mapping[str, Any]) -> None:
    """Check that a run is gone on with as it was begun.

    Args:
        run: the run in the folder.
        wanted: the content that ``config.json`` would have now.

    Raises:
        ArgumentError: naming every setting that differs.
        DataError: where the data file has changed.
    """
    settings = cast("Mapping[str, Any]", wanted["settings"])
    names = [*settings, *(name for name in run.settings if name not in settings)]
    differing = [
        f"--{name.replace('_', '-')} was {run.settings.get(name)!r} and is now {settings.get(name)!r}"
        for name in names
        if run.settings.get(name) != settings.get(name)
    ]
    if differing:
        raise ArgumentError(
            f"--resume: {run.folder} was begun with other settings ({'; '.join(differing)}); "
            "repeat the command as it was, or choose another --out"
        )
    before, now = (cast("Mapping[str, Any]", config["data"])["sha256"] for config in (run.config, wanted))
    if before != now:
        raise DataError(
            f"FILE: the data has changed since {run.folder} was begun (SHA-256 {str(before)[:12]}… and now "
            f"{str(now)[:12]}…); bring the old file back, or choose another --out"
        )


def model_folder(folder: Path) -> Path:
    """Where the model of a run, or a model that was saved alone, is.

    Raises:
        ArtifactError: where there is none, saying what to do.
    """
    for place in (folder / MODEL, folder):
        if (place / "model.json").is_file():
            return place
    if (folder / CONFIG).is_file():
        raise ArtifactError(
            f"DIR: the run {folder} is not finished and has no model yet; finish it by repeating its command with "
            "--resume"
        )
    what = "holds no model" if folder.exists() else "does not exist"
    raise ArtifactError(f"DIR: {folder} {what}; give the --out folder of peephole fit, or the folder of a saved model")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"DIR: {path} cannot be read ({error})") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"DIR: {path} must hold a JSON object")
    return cast("dict[str, Any]", document)
