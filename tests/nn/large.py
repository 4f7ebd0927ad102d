"""Layers large enough that several threads share a pass, beside torch's own."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from peephole.nn import LSTM
from tests.nn.cases import carry_back, noise, set_seed, total

# hidden_size, steps, rows: rows shared out; units shared out for one row; units for large weights.
SHAPES = {"rows": (40, 30, 9), "units": (200, 30, 1), "large_weights": (300, 9, 4)}
INPUT = 8


def pair(hidden_size: int, **arguments: Any) -> tuple[torch.nn.LSTM, LSTM]:
    """torch's layer and ours, of the same weights."""
    arguments = {"dtype": torch.float64, **arguments}
    set_seed(3)
    theirs = torch.nn.LSTM(INPUT, hidden_size, **arguments)
    ours = LSTM(INPUT, hidden_size, **arguments)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def outcome(layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, final state, and the gradients of the input and of every parameter."""
    layer.zero_grad()
    given = x.detach().requires_grad_()
    output, (h_n, c_n) = layer(given)
    carry_back(total((output, h_n, c_n)))
    gradients = [cast(Tensor, q.grad).clone() for q in (given, *layer.parameters())]
    return [output.detach(), h_n.detach(), c_n.detach(), *gradients]


def input_of(shape: str, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """Noise of a shape's steps and rows."""
    _, steps, rows = SHAPES[shape]
    return noise(steps, rows, INPUT, seed=seed, dtype=dtype)
