"""Whole networks to test with: every input into every body under every readout."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from peephole.artifact import Artifact
from peephole.nn import Network
from peephole.runtime import Model
from peephole.spec import READOUTS, EmbeddingSpec, LinearSpec, NetworkSpec, body_spec
from tests.nn.cases import noise, set_seed

VOCABULARY = 5
WIDTH = 2
STEPS, LENGTHS = 4, [4, 0, 2]

INPUTS: dict[str, EmbeddingSpec | LinearSpec | None] = {
    "features": None,
    "linear": LinearSpec(input_size=3, output_size=WIDTH),
    "embedding": EmbeddingSpec(num_embeddings=VOCABULARY, embedding_dim=WIDTH),
}
BODIES: dict[str, dict[str, Any]] = {
    "residual": {"kind": "peephole", "hidden_size": WIDTH, "num_layers": 2, "residual": True},
    "both directions": {"kind": "rnn", "hidden_size": 1, "num_layers": 2, "bidirectional": True, "residual": True},
    "perceptron": {"kind": "mlp", "hidden_size": 3, "num_layers": 2},
}
NETWORKS: dict[str, NetworkSpec] = {
    f"{start}, {body}, {readout}": NetworkSpec(
        input=INPUTS[start], body=body_spec(input_size=WIDTH, **BODIES[body]), output_size=2, readout=readout
    )
    for start, body, readout in itertools.product(INPUTS, BODIES, READOUTS)
}
"""Every combination, by a name for the test's report."""


def network(spec: NetworkSpec, **options: Any) -> Network:
    """A network out of a seed, float64."""
    set_seed(0)
    return Network(spec, dtype=torch.float64, **options)


def batch(spec: NetworkSpec, steps: int = STEPS, rows: int = len(LENGTHS), *, gradient: bool = False) -> Tensor:
    """What it may be given, ``[T, B, I]`` or whole numbers ``[T, B]``."""
    if spec.vocabulary is not None:
        return torch.randint(spec.vocabulary, (steps, rows), generator=torch.Generator().manual_seed(3))
    assert spec.input_size is not None
    return noise(steps, rows, spec.input_size, gradient=gradient)


def predicted(network: Network, x: Tensor, lengths: Any) -> Tensor:
    """What the runtime says, with the network's weights."""
    saved = Artifact(network=network.spec, weights=network.to_arrays(), task=None, sha256="", peephole_version="")
    return torch.as_tensor(Model(saved).predict(x.numpy(), lengths=lengths))
