"""The measurement of ``convert``: both sides do the same mathematics, and the page says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.convert.problems import Characters, Problem, Tagging
from benchmarks.convert.report import markdown
from benchmarks.convert.results import read
from benchmarks.convert.run import OURS, REORDERED, Case, measure
from tests.tolerances import TOLERANCES

HERE = Path(__file__).parents[2] / "benchmarks" / "convert"


def test_the_page_says_what_was_measured() -> None:
    assert (HERE / "convert.md").read_text("utf-8") == markdown(read(HERE / "convert.json"))


@pytest.mark.parametrize("problem", ["tagger", "char-rnn"])
def test_a_converted_model_trains_to_the_same_curve(problem: str, shared_data: Path) -> None:
    made: Problem = Characters(shared_data, hidden=32, batch=8)
    if problem == "tagger":
        made = Tagging(shared_data, hidden=16, parts=("dev", "dev"))  # the smallest part is enough
    threads = torch.get_num_threads()
    try:
        line = measure(Case(problem, 8, torch.float64, 1), made)
    finally:
        torch.set_num_threads(threads)
    assert line.layers == ("torch.nn.LSTM", "peephole.nn.LSTM")
    assert max(line.losses) - min(line.losses) > TOLERANCES["bench_told"]  # it learns at all
    assert line.largest(OURS) <= TOLERANCES["convert_curve_float64"]
    assert line.largest(REORDERED) <= TOLERANCES["convert_curve_float64"]
