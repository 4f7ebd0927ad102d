"""An encoder-decoder learns to write words backwards; beam search, and a picture of where it looked.

Run: python examples/reverse_with_attention.py --out reverse
"""

# pyright: basic
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from peephole import artifact, inspection, nn
from peephole.spec import EmbeddingSpec, EncoderDecoderSpec, RecurrentSpec

LETTERS, START, END, SIZE = "abcdefgh", 0, 1, 10
SPEC = EncoderDecoderSpec(
    source=EmbeddingSpec(num_embeddings=SIZE, embedding_dim=12),
    encoder=RecurrentSpec(input_size=12, hidden_size=16, bidirectional=True),
    target=EmbeddingSpec(num_embeddings=SIZE, embedding_dim=12),
    decoder=RecurrentSpec(input_size=12, hidden_size=24),
    output_size=SIZE,
    attention="additive",
    attention_size=24,
    start_token=START,
    end_token=END,
)


def batch(count: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Sources ``[5, B]``, their lengths, and targets ``[6, B]`` with the end token and -100 behind it."""
    lengths = torch.randint(1, 6, (count,), generator=random)
    source, target = torch.zeros((5, count), dtype=torch.int64), torch.full((6, count), -100)
    for row, length in enumerate(lengths.tolist()):
        source[:length, row] = word = torch.randint(2, SIZE, (length,), generator=random)
        target[: length + 1, row] = torch.cat([word.flip(0), torch.tensor([END])])
    return source, lengths, target


def text(tokens: Tensor) -> str:
    """The letters, up to the end."""
    return "".join(LETTERS[token - 2] for token in tokens.tolist() if token > END)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train by teacher forcing, write freely, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for attention.png and the saved model")
    out: Path = parser.parse_args(arguments).out

    torch.manual_seed(0)
    model, random = nn.EncoderDecoder(SPEC), torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        source, lengths, target = batch(64, random)
        logits = model(source, target, source_lengths=lengths, target_lengths=lengths + 1)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    word = "badge"
    source = torch.tensor([[2 + LETTERS.index(letter)] for letter in word])
    best = model.generate(source, max_steps=10, beam_size=8, n_best=3, return_attention=True)
    assert best.log_probabilities is not None
    assert best.attention is not None
    for tokens, log_probability in zip(best.sequences, best.log_probabilities, strict=True):
        print(f"{word} -> {text(tokens[:, 0]):8} {float(log_probability.exp()):.4f}")
    shown = best.attention[0, : int(best.lengths[0]), 0].numpy()
    figure = inspection.attention(shown, source=list(word), target=[*text(best.sequences[0, :, 0]), "end"])
    print("drawn:", inspection.save(figure, out / "attention.png"))
    artifact.save(out / "model", SPEC, model.to_arrays(), overwrite=True)


if __name__ == "__main__":
    main()
