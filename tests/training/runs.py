"""A small run with everything that must survive a break: shuffled batches, masks drawn at random, momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from peephole.training import ArrayBatches, Batch, TrainingResult, TrainingSettings, squared_error, train

BATCHES = 4
EPOCHS = 3
STEPS = BATCHES * EPOCHS


def network() -> torch.nn.Sequential:
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.default_generator.manual_seed(5)
        return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(8, 2))


def samples(seed: int, count: int = 30) -> ArrayBatches:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3, generator=generator)
    targets = torch.sin(inputs[:, :2] + inputs[:, 1:])
    return ArrayBatches(inputs, targets, batch_size=8)


def run(
    module: torch.nn.Module,
    *,
    before_step: Callable[[int], None] | None = None,
    validated: bool = True,
    settings: TrainingSettings | None = None,
    **arguments: Any,
) -> TrainingResult:
    """Train; ``before_step`` is called with the number of updates made since this call."""
    made = 0

    def objective(of: torch.nn.Module, batch: Batch) -> Tensor:
        nonlocal made
        if of.training:
            if before_step is not None:
                before_step(made)
            made += 1
        return squared_error(of, batch)

    return train(
        module,
        samples(1),
        objective=objective,
        validation=samples(2) if validated else None,
        settings=settings or TrainingSettings(max_epochs=EPOCHS, seed=3, checkpoint_seconds=0),
        **arguments,
    )


def same_bits(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
