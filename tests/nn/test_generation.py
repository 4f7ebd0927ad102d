"""Writing sequences: beam search against every sequence there is, settings, and learning to write."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from peephole.errors import ArgumentError
from peephole.nn import EncoderDecoder
from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, RecurrentSpec
from tests.encoder_decoders import ATTENTIVE, ENCODER_DECODERS, END, NUMBERS, START, TOKENS, VOCABULARY
from tests.nn.cases import carry_back, close, set_seed
from tests.nn.sequence_cases import fed, made
from tests.tolerances import TOLERANCES

STEPS = 4
Array = np.ndarray[Any, np.dtype[Any]]


def log_probabilities(network: EncoderDecoder, source: Tensor, row: int, lengths: Any) -> dict[tuple[int, ...], float]:
    """Every sequence that ends within the steps or has all of them, by teacher forcing, one pass over all."""
    end = network.spec.end_token
    tokens = range(VOCABULARY)
    every = [one for t in range(1, STEPS + 1) for one in itertools.product(tokens, repeat=t)]
    kept = [one for one in every if end not in one[:-1] and (one[-1] == end or len(one) == STEPS)]
    target = torch.tensor([[*one, *(STEPS - len(one)) * [START]] for one in kept]).T
    rows = source.dim() - 1 - source.is_floating_point()
    repeats = source.narrow(rows, row, 1).repeat_interleave(len(kept), rows)
    ends = None if lengths is None else [lengths[row]] * len(kept)
    logits = network(repeats, target, source_lengths=ends, target_lengths=[len(one) for one in kept])
    each = logits.detach().log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return {one: float(each[: len(one), at].sum()) for at, one in enumerate(kept)}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_beam_of_everything_is_exhaustive_search_over_random_networks(name: str, alpha: float) -> None:
    for seed in range(3):
        network, (source, _, given) = made(name, seed=seed), fed(name, seed=seed)
        lengths = given["source_lengths"]
        found = network.generate(
            source, lengths=lengths, max_steps=STEPS, beam_size=VOCABULARY**STEPS, n_best=4, length_penalty=alpha
        )
        for row in range(3):
            every = log_probabilities(network, source, row, lengths)
            ranked = sorted(every, key=lambda one: -every[one] / ((5 + len(one)) / 6) ** alpha)
            for at, wanted in enumerate(ranked[:4]):
                length = int(found.lengths[at, row])
                assert tuple(int(token) for token in found.sequences[at, :length, row]) == wanted
                sums = cast(Tensor, found.log_probabilities)
                assert abs(float(sums[at, row]) - every[wanted]) <= TOLERANCES["decoding_sums"]


@pytest.mark.parametrize("name", TOKENS)
def test_greedy_writing_takes_the_most_probable_token_of_every_step(name: str) -> None:
    network, (source, _, given) = made(name), fed(name)
    lengths = given["source_lengths"]
    found = network.generate(source, lengths=lengths, max_steps=6)
    logits = network(source, found.sequences, source_lengths=lengths, target_lengths=found.lengths)
    told = logits.detach().log_softmax(-1)
    for row, length in enumerate(int(q) for q in found.lengths):
        assert torch.equal(told[:length, row].argmax(-1), found.sequences[:length, row])
        wanted = told[:length, row].max(-1).values.sum()
        assert abs(float(cast(Tensor, found.log_probabilities)[row] - wanted)) <= TOLERANCES["decoding_sums"]
        assert length == 6 or found.sequences[length - 1, row] == END


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_writing_repeats_itself_and_neither_draws_nor_changes_the_mode(name: str) -> None:
    set_seed(0)
    spec = ENCODER_DECODERS[name]
    decoder = replace(spec.decoder, cell=spec.decoder.cell.replace(zoneout_hidden=0.5))
    network = EncoderDecoder(replace(spec, decoder=decoder, bridge=True))
    network.double().encoder.eval()
    source, _, given = fed(name)
    settings: dict[str, Any] = {"lengths": given["source_lengths"], "start": given["start"], "max_steps": 5}
    first, second = (network.generate(source, **settings) for _ in range(2))
    assert torch.equal(first.sequences, second.sequences)
    assert network.decoder.training
    assert not network.encoder.training
    assert torch.equal(first.sequences, network.eval().generate(source, **settings).sequences)
    assert not first.sequences.requires_grad


@pytest.mark.parametrize("name", ATTENTIVE)
def test_attention_comes_with_what_was_written(name: str) -> None:
    network, (source, _, given) = made(name), fed(name)
    settings: dict[str, Any] = {"lengths": given["source_lengths"], "start": given["start"], "max_steps": 5}
    found = network.generate(source, **settings, return_attention=True)
    weights = cast(Tensor, found.attention)
    assert weights.shape == (len(found.sequences), 3, 4)
    encoded, said = network.encode(source, lengths=settings["lengths"]), network.shifted
    step = network.decode(said(found.sequences, start=given["start"])[:1], encoded, encoded.state)
    close(weights[:1], step.attention, "nn_order_of_sums")
    for row, length in enumerate(int(q) for q in found.lengths):
        assert not weights[length:, row].any()
    if name in TOKENS:
        several = network.generate(source, **settings, beam_size=3, n_best=2, return_attention=True)
        assert cast(Tensor, several.attention).shape == (2, len(several.sequences[0]), 3, 4)


def test_a_seed_decides_what_is_drawn() -> None:
    network, (source, _, given) = made("handed over"), fed("handed over")

    def drawn(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        settings: dict[str, Any] = {"lengths": given["source_lengths"], "max_steps": 20, "temperature": 2.0}
        return network.generate(source, **settings, generator=generator).sequences

    assert torch.equal(drawn(1), drawn(1))
    assert any(not torch.equal(drawn(1), drawn(seed)) for seed in range(2, 6))


@pytest.mark.parametrize(
    "settings", [{"beam_size": 2}, {"n_best": 1}, {"length_penalty": 1.0}, {"temperature": 1.0}], ids=str
)
def test_settings_of_tokens_are_refused_for_numbers(settings: dict[str, Any]) -> None:
    network, (source, _, _) = made(NUMBERS[0]), fed(NUMBERS[0])
    with pytest.raises(ArgumentError, match=f"{next(iter(settings))} belongs to a target of tokens"):
        network.generate(source, max_steps=2, **settings)


def test_wrong_use_is_told_in_one_sentence() -> None:
    network, (source, _, _) = made("handed over"), fed("handed over")
    with pytest.raises(ArgumentError, match="max_steps must be a whole number of at least 1"):
        network.generate(source, max_steps=0)
    with pytest.raises(ArgumentError, match="start belongs to a target of numbers"):
        network.generate(source, max_steps=2, start=torch.zeros(3, 4, dtype=torch.float64))
    with pytest.raises(ArgumentError, match="return_attention needs attention"):
        network.generate(source, max_steps=2, return_attention=True)
    with torch.no_grad():
        cast(Tensor, network.head.bias).fill_(torch.nan)
    with pytest.raises(ArgumentError, match="look for NaN or infinity in its weights"):
        network.generate(source, max_steps=2, beam_size=2)


# Learning to write


class Reversed(NamedTuple):
    """Random sequences of letters and the same from the end, followed by the end token; −100 behind that."""

    source: Tensor
    lengths: Tensor
    target: Tensor


def reversed_sequences(count: int, seed: int, *, letters: int = 6, longest: int = 5) -> Reversed:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, count)
    source = np.zeros((longest, count), np.int64)
    target = np.full((longest + 1, count), -100)
    for row, length in enumerate(lengths):
        letters_of_row: Array = rng.integers(2, 2 + letters, int(length))
        source[:length, row] = letters_of_row
        target[: length + 1, row] = [*letters_of_row[::-1], END]
    return Reversed(torch.tensor(source), torch.tensor(lengths), torch.tensor(target))


def learned(attention: bool, *, steps: int) -> float:
    """The share of sequences never seen in training that are written without a mistake."""
    set_seed(0)
    stack: dict[str, Any] = {"input_size": 12, "hidden_size": 24}
    embedding = EmbeddingSpec(num_embeddings=8, embedding_dim=12)
    more: dict[str, Any] = {"attention": "additive", "attention_size": 24} if attention else {}
    spec = EncoderDecoderSpec(
        encoder=RecurrentSpec(**stack, bidirectional=True),
        decoder=RecurrentSpec(**stack),
        source=embedding,
        target=embedding,
        output_size=8,
        start_token=START,
        end_token=END,
        **more,
    )
    network = EncoderDecoder(spec)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    held_out = reversed_sequences(400, seed=10**6)
    unseen = {_key(held_out, row) for row in range(400)}
    for step in range(steps):
        batch = reversed_sequences(64, seed=step)
        target = batch.target.clone()
        target[:, [row for row in range(64) if _key(batch, row) in unseen]] = -100  # held out, not learned from
        logits = network(batch.source, batch.target, source_lengths=batch.lengths, target_lengths=batch.lengths + 1)
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimiser.zero_grad()
        carry_back(loss)
        cast(Any, optimiser).step()
    found = network.generate(held_out.source, lengths=held_out.lengths, max_steps=6)
    wanted = held_out.target.masked_fill(held_out.target < 0, END)[: len(found.sequences)]
    right = (found.sequences == wanted).all(0) & (found.lengths == held_out.lengths + 1)
    return float(right.double().mean())


def _key(batch: Reversed, row: int) -> tuple[int, ...]:
    return tuple(int(token) for token in batch.source[: int(batch.lengths[row]), row])


def test_reversing_a_sequence_is_learned_and_sooner_with_attention() -> None:
    with_attention, without = learned(True, steps=150), learned(False, steps=150)
    assert with_attention > 0.95
    assert with_attention > without
