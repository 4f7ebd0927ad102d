"""Encoder-decoders with weights, and what to feed them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from peephole.nn import EncoderDecoder
from tests.encoder_decoders import ENCODER_DECODERS, problem
from tests.nn.cases import set_seed


def made(name: str, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> EncoderDecoder:
    """A network with weights large enough for every input to matter."""
    set_seed(seed)
    network = EncoderDecoder(ENCODER_DECODERS[name], dtype=dtype)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    return network


def fed(name: str, *, seed: int = 0) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Source, target and the other arguments of ``forward``."""
    given = problem(ENCODER_DECODERS[name], seed=seed)
    start = None if given.start is None else torch.tensor(given.start)
    others = {"source_lengths": given.source_lengths, "target_lengths": given.target_lengths, "start": start}
    return torch.tensor(given.source), torch.tensor(given.target), others
