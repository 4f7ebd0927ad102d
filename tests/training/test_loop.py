"""Laws of the loop."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError
from peephole.training import ArrayBatches, Batch, DivergedError, Progress, TrainingSettings, squared_error, train
from tests.tolerances import TOLERANCES
from tests.training.runs import network, run, same_bits, samples


def test_the_same_seed_gives_the_same_bits_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    one, other, third = network(), network(), network()
    assert run(one) == run(other)
    run(third, settings=TrainingSettings(max_epochs=3, seed=4))
    assert same_bits(one, other)
    assert not same_bits(one, third)
    assert torch.equal(torch.get_rng_state(), before)


def test_one_step_of_one_batch_is_the_gradient_by_hand() -> None:
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0], [0.0], [2.0]], dtype=torch.float64)
    module = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    weights = module.weight.detach().clone()
    seen: list[Tensor] = []

    def objective(of: torch.nn.Module, batch: Batch) -> Tensor:
        loss = squared_error(of, batch)
        seen.append(loss.detach())
        return loss

    settings = TrainingSettings(max_epochs=1, clip_norm=None, learning_rate=1e-3)
    result = train(module, ArrayBatches(inputs, targets, batch_size=3), objective=objective, settings=settings)
    errors = inputs @ weights.T - targets
    gradient = 2 * (errors.T @ inputs) / 3
    torch.testing.assert_close(module.weight.grad, gradient, rtol=TOLERANCES["training_float64"], atol=0)
    assert result.history[0].train_loss == pytest.approx(float((errors**2).mean()), rel=TOLERANCES["training_float64"])
    assert len(seen) == 1


def test_every_sample_is_dealt_once_an_epoch_in_an_order_of_the_seed() -> None:
    batches = ArrayBatches(torch.arange(10.0)[:, None], torch.arange(10.0)[:, None], batch_size=3)
    generator = torch.Generator().manual_seed(0)
    epochs = [[_values(batch) for batch in batches.epoch(generator)] for _ in range(2)]
    assert [len(batch) for batch in epochs[0]] == [3, 3, 3, 1]
    assert len(batches) == 4
    for epoch in epochs:
        assert sorted(value for batch in epoch for value in batch) == list(range(10))
    assert epochs[0] != epochs[1]
    assert [value for batch in batches.epoch(None) for value in _values(batch)] == list(range(10))


def _values(batch: Batch) -> list[float]:
    return [float(value) for value in batch.inputs.flatten()]


def test_time_major_batches_are_cut_along_the_batch() -> None:
    batches = ArrayBatches(torch.zeros(7, 10, 1), torch.zeros(10, 2), batch_size=4, axis=1)
    assert [tuple(batch.inputs.shape) for batch in batches.epoch(None)] == [(7, 4, 1), (7, 4, 1), (7, 2, 1)]


def test_the_best_weights_are_kept_and_patience_stops() -> None:
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 9.0])
    weights: list[Tensor] = []
    module = network()

    def objective(of: torch.nn.Module, batch: Batch) -> Tensor:
        if of.training:
            return squared_error(of, batch)
        weights.append(next(of.parameters()).detach().clone())
        return torch.tensor(next(losses))

    one = ArrayBatches(torch.zeros(1, 3), torch.zeros(1, 2), batch_size=1)
    settings = TrainingSettings(max_epochs=50, patience=3)
    result = train(module, samples(1), objective=objective, validation=one, settings=settings)
    assert (result.best_epoch, result.best_loss, result.stopped) == (2, 1.0, "patience")
    assert len(result.history) == 5
    assert torch.equal(next(module.parameters()), weights[1])
    assert not module.training


def test_without_validation_the_last_weights_are_kept() -> None:
    result = run(network(), validated=False)
    assert (result.best_epoch, result.stopped) == (3, "max_epochs")
    assert all(row.validation_loss is None for row in result.history)
    assert result.best_loss == result.history[-1].train_loss


def test_the_gradient_is_clipped_to_its_norm() -> None:
    module = network()
    run(module, settings=TrainingSettings(max_epochs=2, clip_norm=0.01))
    squares = [float((parameter.grad**2).sum()) for parameter in module.parameters() if parameter.grad is not None]
    assert math.sqrt(sum(squares)) == pytest.approx(0.01, rel=TOLERANCES["training_clipped_float32"])


def test_progress_is_told_after_every_epoch() -> None:
    told: list[Progress] = []
    result = run(network(), progress=told.append)
    assert [progress.epoch for progress in told] == [1, 2, 3]
    assert all(progress.max_epochs == 3 and progress.seconds_left >= 0 for progress in told)
    assert told[-1].seconds_left == 0
    assert told[-1].best == result.best_loss == min(row.validation_loss or math.inf for row in result.history)


def _poisoned(where: str) -> tuple[torch.nn.Module, ArrayBatches, float | None]:
    module, inputs, targets = network(), torch.ones(4, 3), torch.ones(4, 2)
    if where == "inputs":
        inputs[2, 1] = math.nan
    if where == "targets":
        targets[0, 0] = math.inf
    if where == "weights":
        with torch.no_grad():
            module.get_parameter("3.weight")[0, 0] = math.nan
    if where == "outputs":
        with torch.no_grad():
            module.get_parameter("3.weight").fill_(3e38)
    return module, ArrayBatches(inputs, targets, batch_size=4), 1.0


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("inputs", "the inputs of the batch"),
        ("targets", "the targets of the batch"),
        ("weights", "the weights '3.weight'"),
        ("outputs", "the outputs of layer '3'"),
    ],
)
def test_a_loss_that_is_not_finite_stops_with_step_layer_and_advice(where: str, words: str) -> None:
    module, batches, clip = _poisoned(where)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    with pytest.raises(DivergedError, match=r"not finite at step 1 \(epoch 1\)") as raised:
        train(module, batches, settings=TrainingSettings(clip_norm=clip))
    assert words in str(raised.value)
    assert all(
        torch.equal(one.nan_to_num(), other.nan_to_num())
        for one, other in zip(before, module.parameters(), strict=True)
    )


def test_a_gradient_that_is_not_finite_is_named() -> None:
    def objective(of: torch.nn.Module, batch: Batch) -> Tensor:
        return torch.sqrt(squared_error(of, batch) * 0)

    with pytest.raises(DivergedError, match=r"the gradient is not finite at step 1 .* the gradient of '3\.bias'"):
        train(network(), samples(1), objective=objective)


def test_a_validation_loss_that_is_not_finite_is_named() -> None:
    bad = ArrayBatches(torch.full((1, 3), math.nan), torch.zeros(1, 2), batch_size=1)
    with pytest.raises(DivergedError, match="the validation loss"):
        train(network(), samples(1), validation=bad)


BAD_SETTINGS: list[dict[str, Any]] = [
    {"max_epochs": 0},
    {"learning_rate": 0.0},
    {"learning_rate": math.nan},
    {"weight_decay": -1.0},
    {"optimizer": "sgd"},
    {"clip_norm": 0.0},
    {"patience": 0},
]


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=lambda one: next(iter(one)))
def test_bad_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(settings))):
        TrainingSettings(**settings)


def test_bad_batches_are_named() -> None:
    with pytest.raises(ArgumentError, match="same number of samples"):
        ArrayBatches(torch.zeros(3, 1), torch.zeros(2, 1), batch_size=1)
    with pytest.raises(ArgumentError, match="batch_size"):
        ArrayBatches(torch.zeros(3, 1), torch.zeros(3, 1), batch_size=0)
