"""A module of torch and ours with the same parameters, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from peephole import nn
from tests.nn.cases import close, gradients, noise, tensors, total

LAYERS = ["LSTM", "RNN"]
CELLS = ["LSTMCell", "RNNCell"]
KINDS = [*LAYERS, *CELLS]


def pair(kind: str, *arguments: Any, **settings: Any) -> tuple[Any, Any]:
    """Torch's module and ours of one class, in float64 unless said."""
    settings = {"dtype": torch.float64, **settings}
    theirs, ours = (getattr(library, kind)(*arguments, **settings) for library in (torch.nn, nn))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def input_of(kind: str, *, gradient: bool = False, dtype: torch.dtype = torch.float64) -> Tensor:
    """An input of four features: five steps and three rows, or three rows for a cell."""
    return noise(*((3, 4) if kind in CELLS else (5, 3, 4)), gradient=gradient, dtype=dtype)


def hx_of(made: Any, batch: int = 3, *, gradient: bool = False) -> Any:
    """A state for the module, as its ``hx`` argument takes it."""
    kind = type(made).__name__
    before = () if kind in CELLS else (made.num_layers * (2 if made.bidirectional else 1),)
    dtype = made.weight_ih.dtype if kind in CELLS else made.weight_ih_l0.dtype
    sizes = [getattr(made, "proj_size", 0) or made.hidden_size, made.hidden_size]
    parts = [noise(*before, batch, size, seed=7 + at, dtype=dtype, gradient=gradient) for at, size in enumerate(sizes)]
    return tuple(parts) if kind.startswith("LSTM") else parts[0]


def mapped(function: Callable[[Tensor], Tensor], hx: Any) -> Any:
    """A state with each of its tensors changed."""
    parts = [function(q) for q in tensors(hx)]
    return tuple(parts) if isinstance(hx, tuple) else parts[0]


def same_pass(theirs: Any, ours: Any, x: Tensor, hx: Any, *, tolerance: str = "nn_torch_float64") -> None:
    """Results and the gradients of input, state and parameters agree."""
    expected, actual = theirs(x, hx), ours(x, hx)
    close(actual, expected, tolerance)
    wanted = [q for q in (x, *tensors([] if hx is None else hx)) if q.requires_grad]
    close(
        gradients(total(actual), [*wanted, *ours.parameters()]),
        gradients(total(expected), [*wanted, *theirs.parameters()]),
        tolerance,
    )
