"""What a training run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch as it went.

    Attributes:
        epoch: its number, from 1.
        train_loss: mean loss over its training samples, before each update.
        validation_loss: mean loss over the validation samples after it, None without validation.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands after an epoch.

    Attributes:
        epoch: epochs done.
        max_epochs: epochs at most.
        train_loss: as in :class:`Epoch`.
        validation_loss: as in :class:`Epoch`.
        best: the lowest loss so far (of validation, or of training without it).
        seconds_left: time left if it goes on for ``max_epochs`` at the speed so far; early stopping shortens it.
    """

    epoch: int
    max_epochs: int
    train_loss: float
    validation_loss: float | None
    best: float
    seconds_left: float


class ProgressCallback(Protocol):
    """Called after every epoch; raising KeyboardInterrupt in it stops training as Ctrl-C does."""

    def __call__(self, progress: Progress, /) -> None:
        """Told where the run stands."""
        ...
