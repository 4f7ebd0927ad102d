"""What the head sees of the body's features over time, in torch operations (:mod:`peephole.equations.readout`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from peephole.nn.cell import valid_steps
from peephole.spec import Readout


def read_out(readout: Readout, features: Tensor, lengths: Tensor | None) -> Tensor:
    """What the head sees.

    Args:
        readout: the last valid step, the mean or the maximum over the valid steps, or every step.
        features: ``[T, B, F]``, 0 behind the end of a sequence.
        lengths: ``[B]`` int64 on the CPU, or None where every sequence has all steps.

    Returns:
        ``[B, F]``, zeros for an empty sequence; with ``"every"`` the features as they are.
    """
    if readout == "every":
        return features
    if features.shape[0] == 0:
        return features.new_zeros(features.shape[1:])
    return _OVER_TIME[readout](features, lengths)


def _last(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features[-1]
    last = (lengths - 1).clamp(min=0).to(features.device)  # step 0 of an empty sequence is 0 already
    return features[last, torch.arange(features.shape[1], device=features.device)]


def _mean(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features.mean(0)
    counts = lengths.clamp(min=1).unsqueeze(-1).to(features.device)
    return (features / counts).sum(0)  # divided first, so that a sum in half precision holds


def _max(features: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return features.max(0).values
    valid = valid_steps(lengths, features.shape[0], features.device)
    return features.masked_fill(~valid, -math.inf).max(0).values.masked_fill(~valid[0], 0)


_OVER_TIME = {"last": _last, "mean": _mean, "max": _max}
