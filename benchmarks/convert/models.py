"""Two models as PyTorch users publish them, with ``torch.nn.LSTM`` in them and nothing of ours."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import LSTM, Embedding, Linear, Module, functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

States = tuple[Tensor, Tensor]


@final
class Tagger(Module):
    """Part-of-speech tags by a bidirectional LSTM of two layers over packed sentences.

    Args:
        words: of the vocabulary; word 0 is padding.
        tags: how many.
        embedding: size of a word's vector.
        hidden: units of one direction.
    """

    def __init__(self, words: int, tags: int, *, embedding: int = 100, hidden: int = 128) -> None:
        super().__init__()
        self.embedding = Embedding(words, embedding, padding_idx=0)
        self.lstm = LSTM(embedding, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.head = Linear(2 * hidden, tags)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Logits ``[B, T, tags]`` of sentences ``words [B, T]`` with ``lengths [B]``."""
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(output)


@final
class CharRNN(Module):
    """The next character by an LSTM of two layers over one-hot characters, as in char-rnn.

    Args:
        characters: of the alphabet.
        hidden: units of a layer.
    """

    def __init__(self, characters: int, hidden: int) -> None:
        super().__init__()
        self.characters = characters
        self.lstm = LSTM(characters, hidden, num_layers=2, batch_first=True)
        self.head = Linear(hidden, characters)

    def forward(self, text: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Logits ``[B, T, characters]`` of ``text [B, T]``, and the state to go on with."""
        one_hot = functional.one_hot(text, self.characters).to(self.head.weight.dtype)
        output, (h, c) = self.lstm(one_hot, state)
        return self.head(output), (h.detach(), c.detach())


def weights_of(module: Module) -> int:
    """How many weights there are to learn."""
    return sum(parameter.numel() for parameter in module.parameters())


def lstm_of(module: Module) -> str:
    """What the model's recurrent layer is, by its full name."""
    kind = type(module.get_submodule("lstm"))
    return "torch.nn.LSTM" if kind is torch.nn.LSTM else f"{kind.__module__.rsplit('.', 1)[0]}.{kind.__name__}"
