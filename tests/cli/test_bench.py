"""``peephole bench`` from end to end on shapes of a few milliseconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from peephole.bench import Case, read
from peephole.bench.grid import PEERS, REGIMES
from peephole.bench.results import Row
from peephole.cli.bench import Peer, Regime
from tests.cli.command import content_of, peephole

TINY = ("--seconds", "0", "--shapes", "4,2,3", "--threads", "1")


def test_the_choices_are_those_of_the_library() -> None:
    assert [regime.value for regime in Regime] == list(REGIMES)
    assert [peer.value for peer in Peer] == list(PEERS)


def test_everything_is_measured_and_written(tmp_path: Path) -> None:
    out, threads = tmp_path / "new" / "speed", torch.get_num_threads()
    done = peephole("bench", *TINY, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert set(content_of(out)) == {"speed.json", "speed.md", "grids.png", "regimes.png"}
    results = read(out / "speed.json")
    assert results.complete
    assert {row.regime for row in results.rows} == set(REGIMES)
    assert {row.peer for row in results.rows} == set(PEERS)
    assert not any(row.missing for row in results.rows)
    assert results.peak.keys() == {"float32", "float64"}
    assert {f"{row.dtype} {row.threads}" for row in results.rows} == {"float32 1", "float64 1"}
    assert all(row.ours_ms > 0 and row.share > 0 for row in results.rows)
    for regime in REGIMES:
        assert f"{regime}: {REGIMES[regime]}; 1 thread" in done.out
    assert "geometric mean" in done.out
    assert torch.get_num_threads() == threads


def test_json_alone_is_one_document_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = peephole("bench", *TINY, "--regimes", "training", "--peers", "torch", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert [(row["work"], row["peer"]) for row in found["rows"]] == [("training", "torch"), ("training_no_dx", "torch")]
    assert content_of(tmp_path) == {}


def test_a_missing_peer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = peephole("bench", *TINY, "--regimes", "step", "--out", tmp_path)
    assert done.code == 0
    assert "Missing: ONNX Runtime: onnxruntime is not installed; pip install onnxruntime." in done.out
    assert [row.missing != "" for row in read(tmp_path / "speed.json").rows] == [False, True]
    assert "onnxruntime is not installed" in (tmp_path / "speed.md").read_text()


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peephole.bench import run

    whole = run.measure_line
    lines: list[Case] = []

    def interrupted(line: Case, **settings: Any) -> list[Row]:
        if len(lines) == 2:
            raise KeyboardInterrupt
        lines.append(line)
        return whole(line, **settings)

    monkeypatch.setattr(run, "measure_line", interrupted)
    threads = torch.get_num_threads()
    done = peephole("bench", *TINY, "--regimes", "training", "--regimes", "float64", "--out", tmp_path)
    assert done.code == 130
    assert done.err == f"Error: interrupted after 2 rows; they are in {tmp_path / 'speed.json'}\n"
    results = read(tmp_path / "speed.json")
    assert (len(results.rows), results.complete) == (2, False)
    assert "The measurement was interrupted" in done.out
    assert torch.get_num_threads() == threads


def test_finished_tables_outlive_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peephole.bench import run

    whole = run.measure_line

    def broken(line: Case, **settings: Any) -> list[Row]:
        if line.work == "inference":
            raise MemoryError
        return whole(line, **settings)

    monkeypatch.setattr(run, "measure_line", broken)
    done = peephole("bench", *TINY, "--regimes", "step", "--regimes", "float64", "--out", tmp_path)
    assert done.code == 2
    results = read(tmp_path / "speed.json")
    assert [row.regime for row in results.rows] == ["step", "step"]
    assert not results.complete


def test_ctrl_c_before_the_first_row_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_lines: object, **_settings: object) -> Generator[list[Row]]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("peephole.bench.measure", interrupted)
    done = peephole("bench", *TINY, "--out", tmp_path)
    assert (done.code, done.err) == (130, "Error: interrupted; nothing was written\n")
    assert content_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--threads", "0"), "bench: threads must be 1 to"),
        (("--threads", "4096"), "the cores of this machine (got 4096)"),
        (("--seconds", "-1"), "seconds must be a number of at least 0"),
        (("--seconds", "nan"), "seconds must be a number of at least 0"),
        (("--regimes", "nonsense"), "nonsense"),
        (("--peers", "nonsense"), "nonsense"),
        (("--regimes", "training", "--peers", "loop"), "leave nothing to measure"),
        (("--shapes", "4,2"), "three whole numbers H,B,T (got '4,2')"),
    ],
)
def test_bad_values_give_one_message(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = peephole("bench", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    assert told in done.err
    assert content_of(tmp_path) == {}
