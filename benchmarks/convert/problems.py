"""What the two models learn from, as a training loop sees it: batches, a loss, an optimiser, a validation."""

from __future__ import annotations

import gzip
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import Module, functional
from torch.nn.utils.rnn import pad_sequence

from benchmarks.convert.models import CharRNN, States, Tagger

PADDING = 0
UNKNOWN = 1
_IGNORED = -100
"""The class that torch's cross-entropy leaves out."""


class Batch(NamedTuple):
    """Rows that are learnt from together.

    Attributes:
        x: ``[B, T]`` int64.
        target: ``[B, T]`` int64.
        lengths: ``[B]`` int64, valid steps.
    """

    x: Tensor
    target: Tensor
    lengths: Tensor

    def in_reverse_order(self) -> Batch:
        """The same rows, the last one first: to mathematics the same, to rounding not."""
        return Batch(self.x.flip(0), self.target.flip(0), self.lengths.flip(0))


class Validation(NamedTuple):
    """On text that was not learnt from: nats a symbol, and the per cent of symbols that are right."""

    loss: float
    accuracy: float


class Problem(ABC):
    """A model and its data.

    Attributes:
        title: what a reader calls it.
        settings: of its training.
        packed: whether torch's layer gets packed sequences.
    """

    title: str
    settings: str
    packed: bool

    @abstractmethod
    def model(self) -> Module:
        """A new model, drawn from torch's generator."""

    @abstractmethod
    def optimiser(self, model: Module) -> torch.optim.Optimizer:
        """The optimiser that is usual for the model."""

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Batches without an end, the same in every run."""

    @abstractmethod
    def loss(self, model: Module, batch: Batch, state: States | None) -> tuple[Tensor, States | None]:
        """Mean nats a symbol, and the state to go on with where one is carried."""

    @abstractmethod
    def clip(self, model: Module) -> None:
        """Bound the gradients."""

    @abstractmethod
    def validate(self, model: Module) -> Validation:
        """How well the model does on what it has not seen."""


@final
class Tagging(Problem):
    """Part-of-speech tags of the English Web Treebank.

    Args:
        folder: of all data sets.
        hidden: units of a layer and direction.
        parts: what is learnt from, and what is validated on.
    """

    def __init__(self, folder: Path, *, hidden: int = 128, parts: tuple[str, str] = ("train", "dev")) -> None:
        train, dev = (_sentences(folder / "ud_english_ewt_pos" / f"{name}.tsv.gz") for name in parts)
        counts = Counter(word for sentence in train for word, _ in sentence)
        known = [word for word, count in counts.items() if count > 1]  # the others teach the unknown word
        self._words = {word: index for index, word in enumerate(known, start=UNKNOWN + 1)}
        self._tags = {tag: at for at, tag in enumerate(sorted({tag for sentence in train for _, tag in sentence}))}
        self._train = [self._encoded(sentence) for sentence in train]
        self._dev = [self._encoded(sentence) for sentence in dev]
        self._hidden = hidden
        self.packed = True
        self.title = f"tagger, 2 × {hidden} bidirectional"
        self.settings = "embedding 100, batches of 32 sentences, packed; Adam, 1e-3, norm of the gradient at most 5"

    def model(self) -> Module:
        """A tagger with a word vector for every word that occurs twice."""
        return Tagger(len(self._words) + UNKNOWN + 1, len(self._tags), hidden=self._hidden)

    def optimiser(self, model: Module) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(model.parameters(), lr=1e-3)

    def batches(self) -> Iterator[Batch]:
        """Sentences in an order drawn anew for every epoch."""
        drawn = torch.Generator().manual_seed(0)
        while True:
            order = torch.randperm(len(self._train), generator=drawn).numpy()
            for begin in range(0, len(order), 32):
                yield _padded([self._train[at] for at in order[begin : begin + 32]])

    def loss(self, model: Module, batch: Batch, state: States | None) -> tuple[Tensor, States | None]:
        """Mean over the words; sentences share no state."""
        logits: Tensor = model(batch.x, batch.lengths)
        return functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), ignore_index=_IGNORED), None

    def clip(self, model: Module) -> None:
        """By the norm of all gradients together."""
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)

    @torch.no_grad()
    def validate(self, model: Module) -> Validation:
        """On the development part."""
        nats, right, words = 0.0, 0, 0
        for begin in range(0, len(self._dev), 128):
            batch = _padded(self._dev[begin : begin + 128])
            logits: Tensor = model(batch.x, batch.lengths)
            valid = batch.target != _IGNORED
            nats += functional.cross_entropy(logits[valid], batch.target[valid], reduction="sum").item()
            right += int((logits.argmax(2) == batch.target)[valid].sum())
            words += int(valid.sum())
        return Validation(nats / words, 100.0 * right / words)

    def _encoded(self, sentence: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
        words = [self._words.get(word, UNKNOWN) for word, _ in sentence]
        return torch.tensor(words), torch.tensor([self._tags[tag] for _, tag in sentence])


@final
class Characters(Problem):
    """The next character of Shakespeare's plays, with the settings of char-rnn.

    Args:
        folder: of all data sets.
        hidden: units of a layer.
        batch: rows.
        steps: characters of a row in one batch; the state is carried to the next.
    """

    def __init__(self, folder: Path, *, hidden: int = 128, batch: int = 50, steps: int = 50) -> None:
        text = (folder / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
        alphabet = {character: at for at, character in enumerate(sorted(set(text)))}
        codes = torch.tensor([alphabet[character] for character in text])
        border = int(0.9 * len(codes))
        self._train, self._valid = codes[:border], codes[border:]
        self._alphabet, self._hidden, self._batch, self._steps = len(alphabet), hidden, batch, steps
        self.packed = False
        self.title = f"char-rnn, 2 × {hidden}"
        self.settings = f"batches of {batch} × {steps} characters; RMSprop, 2e-3, decay 0.95, gradients within ±5"

    def model(self) -> Module:
        """A character model of two layers."""
        return CharRNN(self._alphabet, self._hidden)

    def optimiser(self, model: Module) -> torch.optim.Optimizer:
        """RMSprop, as char-rnn has it."""
        return torch.optim.RMSprop(model.parameters(), lr=2e-3, alpha=0.95)

    def batches(self) -> Iterator[Batch]:
        """Stretches of text, each going on where the one before ended."""
        return itertools.cycle(_stretches(self._train, self._batch, self._steps))

    def loss(self, model: Module, batch: Batch, state: States | None) -> tuple[Tensor, States | None]:
        """Mean over the characters."""
        logits, after = model(batch.x, state)
        return functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten()), after

    def clip(self, model: Module) -> None:
        """Each gradient by itself."""
        torch.nn.utils.clip_grad_value_(model.parameters(), 5.0)

    @torch.no_grad()
    def validate(self, model: Module) -> Validation:
        """On the last tenth of the text."""
        losses: list[Tensor] = []
        right: list[Tensor] = []
        state: States | None = None
        for batch in _stretches(self._valid, self._batch, self._steps):
            logits, state = model(batch.x, state)
            losses.append(functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten()))
            right.append((logits.argmax(2) == batch.target).double().mean())
        return Validation(torch.stack(losses).mean().item(), 100.0 * torch.stack(right).mean().item())


def _sentences(path: Path) -> list[list[tuple[str, str]]]:
    """Words and tags of every sentence; lower case."""
    found: list[list[tuple[str, str]]] = []
    for block in gzip.decompress(path.read_bytes()).decode("utf-8").strip().split("\n\n"):
        lines = [line.split("\t") for line in block.splitlines() if not line.startswith("# ")]
        found.append([(word.lower(), tag) for word, tag in lines])
    return found


def _padded(sentences: list[tuple[Tensor, Tensor]]) -> Batch:
    words, tags = ([pair[at] for pair in sentences] for at in (0, 1))
    return Batch(
        pad_sequence(words, batch_first=True, padding_value=PADDING),
        pad_sequence(tags, batch_first=True, padding_value=_IGNORED),
        torch.tensor([len(one) for one in words]),
    )


def _stretches(codes: Tensor, rows: int, steps: int) -> Iterator[Batch]:
    """The text cut into ``rows`` long pieces side by side, ``steps`` characters of each at a time."""
    count = (len(codes) - 1) // (rows * steps)
    used = rows * steps * count
    x, target = codes[:used].view(rows, -1), codes[1 : used + 1].view(rows, -1)
    full = torch.full((rows,), steps)
    for begin in range(0, used // rows, steps):
        yield Batch(x[:, begin : begin + steps], target[:, begin : begin + steps], full)
