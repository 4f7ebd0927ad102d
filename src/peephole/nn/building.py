"""A layer from its spec and its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import torch
from torch import Tensor

from peephole.nn.lstm import LSTM
from peephole.nn.rnn import RNN
from peephole.spec import RecurrentSpec


def build_layer(spec: RecurrentSpec, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> LSTM | RNN:
    """The layer of a spec, with its parameters; nothing is drawn from torch's generator.

    Args:
        spec: cell and sizes.
        tensors: every parameter by its module name, fitting; they become the layer's own.
        arguments: of the layer, beyond what the spec says: ``batch_first``, ``dropout``.
    """
    said = {field: getattr(spec, field.name) for field in fields(spec) if field.name not in ("kind", "cell")}
    of_spec = {field.name: value for field, value in said.items() if field.default is MISSING or value != field.default}
    made = LSTM if spec.cell.cell == "lstm" else RNN
    layer = made(**of_spec, **arguments, variant=spec.cell, device="meta", dtype=next(iter(tensors.values())).dtype)
    layer.load_state_dict(dict(tensors), assign=True)
    layer.flatten_parameters()
    return layer


def tensors_of(layer: LSTM | RNN, names: Mapping[str, object]) -> dict[str, Tensor]:
    """A copy of a layer's parameters by name, on the CPU; of one that is parametrised, what it computes with."""
    with torch.no_grad():
        return {name: getattr(layer, name).detach().to("cpu", copy=True).contiguous() for name in names}
