"""The order of measuring, and what a row says of it."""

from __future__ import annotations

import os

import pytest
import torch

from peephole.bench import Case, Peak, Row, Shape, cases, measure, run
from tests.tolerances import TOLERANCES

SHAPE = Shape(4, 2, 3)


def test_a_regime_is_measured_on_every_number_of_threads_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str, int, int]] = []

    def line_measured(line: Case, *, threads: int, **_settings: object) -> list[Row]:
        seen.append((line.regime, line.work, threads, torch.get_num_threads()))
        return []

    monkeypatch.setattr(run, "measure_line", line_measured)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    begun: list[str] = []
    before = torch.get_num_threads()
    lines = cases(regimes=["step", "float64"], shapes=[SHAPE])
    assert list(measure(lines, threads=[1, 2], seconds=0.0, peak=Peak(), begin=begun.append)) == [[]] * 6
    works = [("step", "step")], [("float64", "training"), ("float64", "inference")]
    assert seen == [(*work, count, count) for regime in works for count in (1, 2) for work in regime]
    assert begun[0] == "step H4 B2 T1, 1 thread"
    assert begun[-1] == "float64 H4 B2 T3, 2 threads"
    assert torch.get_num_threads() == before


def test_the_share_is_of_the_peak_of_all_threads() -> None:
    (line,) = cases(regimes=["inference"], peers=["torch"], shapes=[SHAPE])
    before = torch.get_num_threads()
    try:
        (row,) = run.measure_line(line, threads=2, seconds=0.0, peak=Peak(lambda _dtype: 0.5))
    finally:
        torch.set_num_threads(before)
    assert row.share == row.gflops > 0
    assert row.gflops == pytest.approx(line.flops(6) / row.ours_ms / 1e6, rel=TOLERANCES["bench_told"])


def test_the_peak_is_the_best_of_a_few_looks_and_kept() -> None:
    looks = iter([70.0, 100.0, 90.0, 35.0, 50.0, 49.0])
    peak = Peak(lambda _dtype: next(looks))
    assert [peak.of("float32"), peak.of("float64"), peak.of("float32")] == [100.0, 50.0, 100.0]
    assert peak.found == {"float32": 100.0, "float64": 50.0}
