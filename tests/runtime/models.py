"""Saved models to test with: random weights, every kind of network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from peephole import artifact
from peephole.runtime import ForecastModel, Model, SequenceModel, load
from peephole.spec import (
    VARIANTS,
    EmbeddingSpec,
    LinearSpec,
    MLPSpec,
    NetworkSpec,
    Readout,
    RecurrentSpec,
    variant,
)
from peephole.weights import network_shapes
from tests.encoder_decoders import ENCODER_DECODERS, Problem, problem

PERCEPTRON = NetworkSpec(body=MLPSpec(input_size=2, hidden_sizes=(5, 4), activation="relu"), output_size=3)
PERCEPTRON_WITHOUT_BIAS = NetworkSpec(body=MLPSpec(input_size=2, hidden_sizes=(4,), bias=False), output_size=3)


VOCABULARY = 7


def perceptron(readout: Readout) -> NetworkSpec:
    """The same with another readout."""
    return NetworkSpec(body=PERCEPTRON.body, output_size=3, readout=readout)


def recurrent(
    name: str = "lstm", *, input: EmbeddingSpec | LinearSpec | None = None, readout: Any = "last", **sizes: Any
) -> NetworkSpec:
    """A small network over a variant, two inputs and three outputs unless ``sizes`` say otherwise."""
    cell = variant(name).replace(**{key: sizes.pop(key) for key in ("cells_per_block", "proj_size") if key in sizes})
    output_size = sizes.pop("output_size", 3)
    defaults: dict[str, Any] = {"input_size": 2, "hidden_size": 6}
    body = RecurrentSpec(cell=cell, **(defaults | sizes))
    return NetworkSpec(input=input, body=body, output_size=output_size, readout=readout)


EMBEDDING = EmbeddingSpec(num_embeddings=VOCABULARY, embedding_dim=6)
STREAMABLE: dict[str, NetworkSpec] = {
    **{name: recurrent(name) for name in VARIANTS},
    "two layers": recurrent("peephole", num_layers=2),
    "every step": recurrent("lstm", readout="every"),
    "three cells a block": recurrent("full_gate_recurrence", cells_per_block=3, num_layers=2),
    "projection": recurrent("lstm", proj_size=4, num_layers=3),
    "without bias": recurrent("layer_norm", bias=False),
    "learned state": recurrent("peephole", num_layers=2, learned_state=True),
    "learned gates, three cells a block": recurrent("full_gate_recurrence", cells_per_block=3, learned_state=True),
    "learned projection": recurrent("lstm", proj_size=4, num_layers=2, learned_state=True),
    "learned state of an rnn": recurrent("rnn", learned_state=True),
    "perceptron": PERCEPTRON,
    "perceptron without bias": PERCEPTRON_WITHOUT_BIAS,
    "perceptron, every step": perceptron("every"),
    "perceptron, maximum": perceptron("max"),
    "residual": recurrent("peephole", num_layers=3, residual=True),
    "residual from the first layer": recurrent("full_gate_recurrence", input_size=6, num_layers=2, residual=True),
    "mean": recurrent("peephole", readout="mean"),
    "maximum": recurrent("rnn", readout="max"),
    "linear input": recurrent("coupled", input=LinearSpec(input_size=3, output_size=2)),
    "linear input, residual, mean": recurrent(
        "lstm", input=LinearSpec(input_size=3, output_size=6), input_size=6, residual=True, readout="mean"
    ),
    "embedding": recurrent("lstm", input=EMBEDDING, input_size=6),
    "embedding, residual, maximum": recurrent(
        "peephole", input=EMBEDDING, input_size=6, num_layers=2, residual=True, readout="max"
    ),
    "embedding into a perceptron, mean": NetworkSpec(
        input=EMBEDDING, body=MLPSpec(input_size=6, hidden_sizes=(4,)), output_size=3, readout="mean"
    ),
}
"""Every network that can be stepped, by a name for the test's report."""


def inputs(network: NetworkSpec, *axes: int, dtype: str = "float64", seed: int = 2) -> np.ndarray[Any, Any]:
    """What a network may be given: noise ``[*axes, I]``, or whole numbers ``[*axes]`` for an embedding."""
    generator = np.random.default_rng(seed)
    if network.vocabulary is not None:
        return generator.integers(network.vocabulary, size=axes)
    return generator.normal(size=(*axes, network.input_size or 0)).astype(dtype)


def saved(
    folder: Path, network: NetworkSpec, *, dtype: str = "float64", task: dict[str, Any] | None = None, seed: int = 0
) -> Path:
    """Save ``network`` with random weights."""
    generator = np.random.default_rng(seed)
    weights: dict[str, artifact.Array] = {
        name: generator.normal(scale=0.5, size=shape).astype(dtype) for name, shape in network_shapes(network).items()
    }
    artifact.save(folder, network, weights, task=task)
    return folder


def model(folder: Path, network: NetworkSpec, *, dtype: str = "float64") -> Model:
    """The same, loaded."""
    loaded = load(saved(folder, network, dtype=dtype))
    assert isinstance(loaded, Model)
    return loaded


def forecast_task(**changes: Any) -> dict[str, Any]:
    """What a forecaster writes: six lags, horizon three, two series."""
    return {
        "kind": "forecast",
        "lags": 6,
        "horizon": 3,
        "lags_as": "steps",
        "anchor_last": True,
        "scaling": {
            "kind": "standard",
            "series": {"a": {"mean": 10.0, "std": 2.0}, "b": {"mean": -3.0, "std": 0.5}},
            "default": None,
        },
        **changes,
    }


FORECAST_NETWORKS: dict[str, tuple[str, NetworkSpec]] = {
    "lstm, lags as steps": ("steps", recurrent("peephole", input_size=1)),
    "lstm, lags as features": ("features", recurrent("lstm", input_size=6)),
    "mlp": ("features", NetworkSpec(body=MLPSpec(input_size=6), output_size=3)),
    "mlp, steps asked for": ("steps", NetworkSpec(body=MLPSpec(input_size=6), output_size=3)),
}
"""``lags_as`` and network of every kind of forecaster."""


def forecaster(folder: Path, kind: str, **changes: Any) -> ForecastModel:
    """A forecaster with random weights, loaded."""
    lags_as, network = FORECAST_NETWORKS[kind]
    loaded = load(saved(folder, network, dtype="float32", task=forecast_task(lags_as=lags_as, **changes)))
    assert isinstance(loaded, ForecastModel)
    return loaded


def opened_encoder_decoder(folder: Path, name: str, *, dtype: str = "float64") -> tuple[SequenceModel, Problem]:
    """An encoder-decoder of the list, saved in ``folder / "model"`` and opened, and what to feed it."""
    spec, rng = ENCODER_DECODERS[name], np.random.default_rng(0)
    weights: dict[str, artifact.Array] = {
        key: rng.normal(scale=0.7, size=shape).astype(dtype) for key, shape in network_shapes(spec).items()
    }
    artifact.save(folder / "model", spec, weights)
    model = load(folder / "model")
    assert isinstance(model, SequenceModel)
    return model, problem(spec, dtype=dtype)
