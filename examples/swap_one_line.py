"""A tagger written for torch.nn.LSTM goes on with Peephole's layers: the same weights, the same losses.

Run: python examples/swap_one_line.py
"""

# pyright: basic
from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from peephole import nn

WORDS, TAGS, UPDATES = 50, 3, 100


class Tagger(torch.nn.Module):
    """A tag for each word, from what stands before and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(WORDS, 16)
        self.encoder = torch.nn.LSTM(16, 24, num_layers=2, bidirectional=True)  # or: nn.LSTM(16, 24, …)
        self.head = torch.nn.Linear(48, TAGS)

    def forward(self, words: Tensor) -> Tensor:
        """Words ``[T, B]``, logits ``[T, B, TAGS]``."""
        features, _ = self.encoder(self.embed(words))
        return self.head(features)


def batch(random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sentences of 12 words; a word's tag says whether its neighbours are smaller: none, one or both."""
    words = torch.randint(WORDS, (12, 32), generator=random)
    padded = torch.nn.functional.pad(words, (0, 0, 1, 1), value=WORDS)
    return words, (padded[:-2] < words).long() + (padded[2:] < words).long()


def train(model: Tagger) -> list[float]:
    """The loss of each update."""
    random, losses = torch.Generator().manual_seed(1), list[float]()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(UPDATES):
        words, tags = batch(random)
        loss = torch.nn.functional.cross_entropy(model(words).flatten(0, 1), tags.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def main(arguments: Sequence[str] | None = None) -> None:
    """Train both from the same weights, and convert one back."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)

    torch.manual_seed(0)
    theirs = Tagger().double()  # in float64, so that rounding does not grow into a difference
    ours = nn.convert(copy.deepcopy(theirs))
    print(ours)
    before, after = train(theirs), train(ours)
    for update in (0, UPDATES // 2, UPDATES - 1):
        print(f"update {update + 1:3}: torch {before[update]:.6f}  peephole {after[update]:.6f}")
    print("the same losses:", max(abs(a - b) for a, b in zip(before, after, strict=True)) < 1e-6)

    back = nn.convert(ours, to="torch")
    print("and back:", type(back.encoder) is torch.nn.LSTM)


if __name__ == "__main__":
    main()
