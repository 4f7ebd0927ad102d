"""Batches for the loop: anything with a length that deals out one epoch in an order drawn from a generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from peephole.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one update.

    Attributes:
        inputs: what the network is given.
        targets: what it should say, in the form the objective expects.
        lengths: valid steps of each sequence, int64 ``[B]``, or None where all are whole.
        size: number of samples, the weight of this batch in the mean loss of an epoch.
    """

    inputs: Tensor
    targets: Tensor
    size: int
    lengths: Tensor | None = None


class Batches(Protocol):
    """A source of batches.

    ``epoch`` must draw all it needs of chance from ``generator``, so that a generator put back to its state at the
    beginning of an epoch deals out the same batches again: that is what makes resuming exact.
    """

    def __len__(self) -> int:
        """Batches of one epoch."""
        ...

    def epoch(self, generator: torch.Generator | None) -> Iterator[Batch]:
        """The batches of one epoch, shuffled with ``generator``, or in their order with None."""
        ...


@final
class ArrayBatches:
    """Batches cut from two tensors that lie in memory.

    Args:
        inputs: samples along ``axis``.
        targets: samples along axis 0.
        batch_size: samples of one batch; the last one of an epoch may be smaller.
        axis: axis of ``inputs`` that counts samples: 1 for time-major ``[T, B, I]``, 0 for ``[B, I]``.

    Raises:
        ArgumentError: where there are no samples, or the tensors differ in their number.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, batch_size: int, axis: int = 0) -> None:
        self.count = targets.shape[0]
        if batch_size < 1:
            raise ArgumentError(f"ArrayBatches: batch_size must be at least 1 (got {batch_size})")
        if not self.count or inputs.shape[axis] != self.count:
            raise ArgumentError(
                f"ArrayBatches: inputs and targets must hold the same number of samples, at least 1 "
                f"(got {inputs.shape[axis]} and {self.count})"
            )
        self.inputs, self.targets, self.batch_size, self.axis = inputs, targets, batch_size, axis

    def __len__(self) -> int:
        return (self.count + self.batch_size - 1) // self.batch_size

    def epoch(self, generator: torch.Generator | None) -> Iterator[Batch]:
        """The batches of one epoch, shuffled with ``generator``, or in their order with None."""
        order = torch.arange(self.count) if generator is None else torch.randperm(self.count, generator=generator)
        for start in range(0, self.count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            inputs = self.inputs.index_select(self.axis, chosen)
            yield Batch(inputs, self.targets.index_select(0, chosen), len(chosen))
