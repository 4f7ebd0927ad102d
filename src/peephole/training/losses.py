"""Objectives: from a network and a batch to the loss that is minimised."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from peephole.training.batches import Batch


class Objective(Protocol):
    """The mean loss of a batch, a scalar that can be differentiated.

    It runs the network itself, so that one which carries state from batch to batch, or looks at several outputs,
    is an objective too.
    """

    def __call__(self, module: torch.nn.Module, batch: Batch, /) -> Tensor:
        """The loss."""
        ...


def squared_error(module: torch.nn.Module, batch: Batch) -> Tensor:
    """Mean of ``(y − s)²`` over samples and outputs (000 eq. 5 without the factor one half, and a mean for the sum)."""
    outputs = module(batch.inputs) if batch.lengths is None else module(batch.inputs, lengths=batch.lengths)
    return torch.nn.functional.mse_loss(outputs, batch.targets)
