"""Encoder-decoders of every kind, in one list that every law of them runs over, and what to feed them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, LinearSpec, MLPSpec, RecurrentSpec, variant

VOCABULARY = 4
START, END = 0, 1
SOURCE_LENGTHS = [4, 1, 3]
TARGET_LENGTHS = [2, 5, 1]


def _stack(name: str = "lstm", input_size: int = 3, hidden_size: int = 4, **more: Any) -> RecurrentSpec:
    cell = variant(name).replace(proj_size=more.pop("proj_size", 0))
    return RecurrentSpec(cell=cell, input_size=input_size, hidden_size=hidden_size, **more)


def _tokens(encoder: RecurrentSpec | MLPSpec, decoder: RecurrentSpec, **more: Any) -> EncoderDecoderSpec:
    parts: dict[str, Any] = {
        "source": EmbeddingSpec(num_embeddings=5, embedding_dim=3),
        "target": EmbeddingSpec(num_embeddings=VOCABULARY, embedding_dim=decoder.input_size),
        "output_size": VOCABULARY,
        "start_token": START,
        "end_token": END,
    }
    return EncoderDecoderSpec(encoder=encoder, decoder=decoder, **(parts | more))


def _attention(size: int = 3) -> dict[str, Any]:
    return {"attention": "additive", "attention_size": size}


ENCODER_DECODERS: dict[str, EncoderDecoderSpec] = {
    "handed over": _tokens(_stack(), _stack(num_layers=1)),
    "handed over, two layers, attention": _tokens(_stack(num_layers=2), _stack(num_layers=2), **_attention()),
    "mapped though it fits": _tokens(_stack(), _stack(), bridge=True),
    "both directions to rnn, attention": _tokens(
        _stack(bidirectional=True), _stack("rnn", hidden_size=5, input_size=2), **_attention()
    ),
    "rnn of two layers to lstm": _tokens(_stack("rnn", num_layers=2, hidden_size=3, learned_state=True), _stack()),
    "lstm to full gates of three layers": _tokens(
        _stack("peephole", bidirectional=True), _stack("full_gate_recurrence", num_layers=3)
    ),
    "projections, attention": _tokens(
        _stack(proj_size=2), _stack("coupled", proj_size=3, num_layers=2), **_attention(2)
    ),
    "features in, no end": _tokens(_stack(), _stack(), source=None, end_token=None),
    "linear in, without bias": _tokens(
        _stack(bias=False), _stack("layer_norm", bias=False), source=LinearSpec(input_size=2, output_size=3)
    ),
    "perceptron": _tokens(MLPSpec(input_size=3, hidden_sizes=(6, 5)), _stack("peephole", num_layers=2), source=None),
    "perceptron of a label": _tokens(MLPSpec(input_size=3, hidden_sizes=(4,), bias=False), _stack("rnn")),
    "numbers": EncoderDecoderSpec(encoder=_stack(), decoder=_stack(input_size=2), output_size=2),
    "numbers, linear, attention": EncoderDecoderSpec(
        encoder=_stack("rnn"),
        decoder=_stack("peephole"),
        target=LinearSpec(input_size=2, output_size=3),
        output_size=2,
        **_attention(),
    ),
}
"""Every kind, by a name for the test's report."""

TOKENS = [name for name, spec in ENCODER_DECODERS.items() if spec.writes_tokens]
NUMBERS = [name for name in ENCODER_DECODERS if name not in TOKENS]
RECURRENT = [name for name, spec in ENCODER_DECODERS.items() if isinstance(spec.encoder, RecurrentSpec)]
ATTENTIVE = [name for name, spec in ENCODER_DECODERS.items() if spec.attention]


class Problem(NamedTuple):
    """A ragged batch of three: source, target, their lengths, and the numbers to begin with (None for tokens)."""

    source: Any
    target: Any
    source_lengths: list[int] | None
    target_lengths: list[int]
    start: Any


def problem(spec: EncoderDecoderSpec, *, dtype: str = "float64", seed: int = 0) -> Problem:
    """Something to feed ``spec``, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    batch = len(TARGET_LENGTHS)
    steps = (max(SOURCE_LENGTHS),) if isinstance(spec.encoder, RecurrentSpec) else ()
    if isinstance(spec.source, EmbeddingSpec):
        source: Any = rng.integers(0, spec.source.num_embeddings, (*steps, batch))
    else:
        size = spec.encoder.input_size if spec.source is None else spec.source.input_size
        source = rng.standard_normal((*steps, batch, size)).astype(dtype)
    shape = (max(TARGET_LENGTHS), batch)
    numbers = not spec.writes_tokens
    target: Any = rng.standard_normal((*shape, spec.output_size)).astype(dtype) if numbers else None
    return Problem(
        source,
        target if numbers else rng.integers(2, VOCABULARY, shape),
        SOURCE_LENGTHS if steps else None,
        TARGET_LENGTHS,
        rng.standard_normal((batch, spec.output_size)).astype(dtype) if numbers else None,
    )
