"""Modules from their specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from peephole.nn.lstm import LSTM
from peephole.nn.mlp import MLP
from peephole.nn.rnn import RNN
from peephole.spec import EmbeddingSpec, LinearSpec, MLPSpec, RecurrentSpec


def make_layer(spec: RecurrentSpec, **arguments: Any) -> LSTM | RNN:
    """The layer of a stack; ``arguments`` are those that the spec does not say (``dropout``, ``batch_first``, ...)."""
    said = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name not in ("kind", "cell")}
    return (LSTM if spec.cell.cell == "lstm" else RNN)(**said, **arguments, variant=spec.cell)


def make_body(
    spec: RecurrentSpec | MLPSpec, *, dropout: float, device: torch.device | str | None, dtype: torch.dtype | None
) -> LSTM | RNN | MLP:
    """A network's body: a stack, or a perceptron, which has no place for dropout."""
    if isinstance(spec, RecurrentSpec):
        return make_layer(spec, dropout=dropout, device=device, dtype=dtype)
    return MLP(spec.input_size, spec.hidden_sizes, spec.activation, bias=spec.bias, device=device, dtype=dtype)


def make_input(
    spec: EmbeddingSpec | LinearSpec | None, *, device: torch.device | str | None, dtype: torch.dtype | None
) -> torch.nn.Embedding | torch.nn.Linear | None:
    """What a network begins with; ``None`` where it takes the features as they are."""
    if isinstance(spec, EmbeddingSpec):
        return torch.nn.Embedding(spec.num_embeddings, spec.embedding_dim, device=device, dtype=dtype)
    if isinstance(spec, LinearSpec):
        return torch.nn.Linear(spec.input_size, spec.output_size, device=device, dtype=dtype)
    return None


def build_layer(spec: RecurrentSpec, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> LSTM | RNN:
    """The layer of a spec, with its parameters; nothing is drawn from torch's generator.

    Args:
        spec: cell and sizes.
        tensors: every parameter by its module name, fitting; they become the layer's own.
        arguments: of the layer, beyond what the spec says: ``batch_first``, ``dropout``.
    """
    layer = make_layer(spec, **arguments, device="meta", dtype=next(iter(tensors.values())).dtype)
    layer.load_state_dict(dict(tensors), assign=True)
    layer.flatten_parameters()
    return layer


def tensors_of(layer: LSTM | RNN, names: Mapping[str, object]) -> dict[str, Tensor]:
    """A copy of a layer's parameters by name, on the CPU; of one that is parametrised, what it computes with."""
    with torch.no_grad():
        return {name: getattr(layer, name).detach().to("cpu", copy=True).contiguous() for name in names}
