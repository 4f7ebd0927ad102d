"""What a training run is told, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from peephole.errors import ArgumentError

OptimizerName = Literal["adam", "adamw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """The settings of :func:`peephole.training.train`.

    Attributes:
        max_epochs: passes over the training batches, at least 1.
        learning_rate: step size of the optimiser, positive.
        weight_decay: decay of AdamW, 0 or more.
        optimizer: ``"adamw"`` or ``"adam"``.
        clip_norm: largest norm of the gradient over all parameters, positive; None clips nothing.
        patience: epochs without a better validation loss before training stops; None never stops early.
        seed: seed of the order of the batches and of random masks.
        checkpoint_seconds: least time between two checkpoints, 0 for one after every batch. Wherever a run is cut off,
            resuming gives the same weights; a longer time only means more to do again.

    Raises:
        ArgumentError: for a value out of range.
    """

    max_epochs: int = 200
    learning_rate: float = 5e-3
    weight_decay: float = 0.0
    optimizer: OptimizerName = "adamw"
    clip_norm: float | None = 1.0
    patience: int | None = 20
    seed: int = 0
    checkpoint_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise ArgumentError(f"TrainingSettings: max_epochs must be at least 1 (got {self.max_epochs})")
        if self.patience is not None and self.patience < 1:
            raise ArgumentError(f"TrainingSettings: patience must be at least 1, or None (got {self.patience})")
        if self.optimizer not in ("adam", "adamw"):
            raise ArgumentError(f"TrainingSettings: optimizer must be adam or adamw (got {self.optimizer!r})")
        for name, value in (("learning_rate", self.learning_rate), ("clip_norm", self.clip_norm)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ArgumentError(f"TrainingSettings: {name} must be positive and finite (got {value})")
        for name, value in (("weight_decay", self.weight_decay), ("checkpoint_seconds", self.checkpoint_seconds)):
            if not value >= 0:
                raise ArgumentError(f"TrainingSettings: {name} must not be negative (got {value})")
