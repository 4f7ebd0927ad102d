"""Our torch modules over specs and arrays, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from peephole.artifact import Array
from peephole.nn import LSTM, RNN
from peephole.nn.building import build_layer
from peephole.spec import RecurrentSpec


def module(spec: RecurrentSpec, weights: Mapping[str, Array], *, batch_first: bool = False) -> LSTM | RNN:
    """The layer of a spec with these weights, as it is in use."""
    tensors = {name: torch.as_tensor(array.copy()) for name, array in weights.items()}
    return build_layer(spec, tensors, {"batch_first": batch_first}).eval()


def run(made: LSTM | RNN, x: Array, states: Mapping[str, Array] | None = None, **options: Any) -> dict[str, Array]:
    """What the layer gives, under the names of a graph's outputs."""
    given = tuple(torch.as_tensor(q) for q in (states or {}).values())
    with torch.no_grad():
        if isinstance(made, RNN):
            output, final = made(torch.as_tensor(x), given[0] if given else None, **options)
            final = (final,)
        else:
            output, final = made(torch.as_tensor(x), given or None, **options)
    found: dict[str, Tensor] = {"output": output, **dict(zip(("h_n", "c_n"), final, strict=False))}
    return {name: q.numpy() for name, q in found.items()}
