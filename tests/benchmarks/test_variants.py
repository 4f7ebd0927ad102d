"""The comparison of the variants: what is chosen by what, and that its page says what was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.variants.networks import NETWORKS, build, windows
from benchmarks.variants.report import markdown
from benchmarks.variants.results import Comparison, Run, chosen_rate, read, scores, write
from benchmarks.variants.run import train
from benchmarks.variants.tasks import JSB, TASKS, Part, loss_of, metric_of
from peephole.errors import DataError
from tests.tolerances import TOLERANCES

HERE = Path(__file__).parents[2] / "benchmarks" / "variants"
RUN = Run(
    task=JSB,
    network="lstm",
    rate=0.1,
    seed=0,
    weights=7,
    epochs=3,
    best_epoch=2,
    valid_loss=1.0,
    valid=1.0,
    test=5.0,
    epoch_seconds=0.5,
)


def part(every_step: bool) -> Part:
    """Three sequences of at most five steps."""
    drawn = torch.Generator().manual_seed(0)
    lengths = torch.tensor([5, 2, 4])
    valid = torch.arange(5)[:, None, None] < lengths[:, None]
    x = torch.rand((5, 3, 88), generator=drawn).where(valid, 0)
    notes = (torch.rand((5, 3, 88), generator=drawn) < 0.1).float().where(valid, 0)
    return Part(x, lengths, notes if every_step else torch.tensor([0, 8, 3]))


def test_the_rate_is_chosen_by_validation_and_not_by_the_test() -> None:
    better_in_the_test = replace(RUN, rate=0.2, valid_loss=2.0, test=1.0)
    again = replace(RUN, seed=1, test=7.0)
    found = scores(Comparison(machine={}, floors={}, runs=[RUN, better_in_the_test, again]), JSB)
    assert [(score.rate, score.tests, score.mean) for score in found] == [(0.1, (5.0, 7.0), 6.0)]


def test_a_seed_that_chooses_nothing_is_one_sentence() -> None:
    with pytest.raises(DataError, match="must be run with seed 3 first"):
        chosen_rate([RUN], JSB, "lstm", 3)


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    comparison = Comparison(machine={"cores": "2"}, floors={JSB: {"silence": 1.5}}, runs=[RUN, replace(RUN, seed=1)])
    write(comparison, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == comparison


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("task_name", [JSB, "japanese_vowels"])
def test_padding_does_not_change_what_a_network_says(name: str, task_name: str) -> None:
    task = TASKS[task_name]
    torch.default_generator.manual_seed(0)
    learner = build(name, task, 88).double().eval()
    given = part(task.every_step)
    x = given.x.double()
    together, alone = learner(x, given.lengths), learner(x[:2, 1:2], given.lengths[1:2])
    one = together[:2, 1:2] if task.every_step else together[1:2]
    torch.testing.assert_close(one, alone, rtol=0, atol=TOLERANCES["nn_kernels_float64"])


def test_a_window_holds_the_last_steps_and_zeros_before_the_first() -> None:
    x = torch.arange(1.0, 4.0)[:, None, None]
    assert torch.equal(windows(x, 2)[:, 0], torch.tensor([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]))


def test_frames_behind_the_end_do_not_count() -> None:
    task, given = TASKS[JSB], part(every_step=True)
    logits = torch.zeros_like(given.target)
    elsewhere = logits.clone()
    elsewhere[2:, 1] = 50.0
    assert loss_of(task, logits, given) == loss_of(task, elsewhere, given)
    assert metric_of(task, logits, given) == pytest.approx(88 * math.log(2), rel=TOLERANCES["bench_told"])


def test_the_page_says_what_was_measured() -> None:
    assert (HERE / "variants.md").read_text("utf-8") == markdown(read(HERE / "variants.json"))


def test_an_epoch_on_real_data_is_better_than_guessing(shared_data: Path) -> None:
    task = TASKS["japanese_vowels"]
    data = task.load(shared_data)
    run = train("japanese_vowels", "coupled", data, rate=1e-2, seed=0, epochs=3)
    assert run.test > 2 * 100 / task.outputs
