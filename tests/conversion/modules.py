"""Our torch modules over specs and arrays, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from peephole.artifact import Array
from peephole.nn import LSTM, RNN
from peephole.spec import RecurrentSpec


def module(spec: RecurrentSpec, weights: Mapping[str, Array], *, batch_first: bool = False) -> LSTM | RNN:
    """The layer of a spec with these weights, as it is in use."""
    kind = RNN if spec.cell.cell == "rnn" else LSTM
    dtype = torch.as_tensor(next(iter(weights.values()))).dtype
    made = kind(
        spec.input_size,
        spec.hidden_size,
        spec.num_layers,
        bias=spec.bias,
        batch_first=batch_first,
        bidirectional=spec.bidirectional,
        dtype=dtype,
        variant=spec.cell,
    )
    made.load_state_dict({name: torch.as_tensor(array.copy()) for name, array in weights.items()})
    return made.eval()


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
