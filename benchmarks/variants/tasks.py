"""The tasks on which the variants are compared: what is read and how it is split, what counts, what is to be beaten.

Each is a real data set, small enough for three seeds of twenty networks on one core. The folder of the data sets is
told on the command line or by ``PEEPHOLE_DATA``; in each folder lies what its source publishes.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from scipy import io  # comes with scikit-learn, which the tools for development have
from torch import Tensor
from torch.nn import functional

JSB = "jsb_chorales"
_KEPT_FOR_VALIDATION = 6
"""Of the 30 training utterances of each speaker."""


class Part(NamedTuple):
    """One part of a data set, padded.

    Attributes:
        x: ``[T, N, I]`` float32, zero behind the end of a sequence.
        lengths: ``[N]`` int64, valid steps.
        target: ``[T, N, notes]`` float32 for every step, or ``[N]`` int64, a class for the whole.
    """

    x: Tensor
    lengths: Tensor
    target: Tensor

    def rows(self, which: Tensor) -> Part:
        """The sequences ``which``, cut to the longest of them."""
        lengths = self.lengths[which]
        longest = int(lengths.max())
        target = self.target[which] if self.target.dim() == 1 else self.target[:longest, which]
        return Part(self.x[:longest, which], lengths, target)


class Data(NamedTuple):
    """The three parts of a data set."""

    train: Part
    valid: Part
    test: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A data set and how one learns on it.

    Attributes:
        title: what a reader calls it.
        load: from the folder of all data sets to the three parts.
        every_step: whether there is a target at every step, or a class for the whole sequence.
        outputs: notes or classes.
        hidden: units of every network.
        window: steps that the perceptron sees.
        batch: sequences of one update.
        rates: of learning, from which validation chooses.
        epochs: at most.
        patience: epochs without a better validation loss after which it ends.
        metric: what is told of the test part.
        less_is_better: of the metric.
        published: the figures of others, by their source.
    """

    title: str
    load: Callable[[Path], Data]
    every_step: bool
    outputs: int
    hidden: int
    window: int
    batch: int
    rates: tuple[float, ...]
    epochs: int
    patience: int
    metric: str
    less_is_better: bool
    published: Mapping[str, float] = field(default_factory=dict[str, float])


def loss_of(task: Task, logits: Tensor, part: Part) -> Tensor:
    """What is trained: nats a frame summed over the notes, or the cross-entropy of the class."""
    if not task.every_step:
        return functional.cross_entropy(logits, part.target)
    valid = torch.arange(logits.shape[0])[:, None] < part.lengths
    return functional.binary_cross_entropy_with_logits(logits[valid], part.target[valid], reduction="sum") / valid.sum()


def metric_of(task: Task, logits: Tensor, part: Part) -> float:
    """What is told: the same nats a frame, or the per cent of sequences that are classified rightly."""
    if task.every_step:
        return loss_of(task, logits, part).item()
    return 100.0 * (logits.argmax(1) == part.target).double().mean().item()


def floors_of(task: Task, data: Data) -> dict[str, float]:
    """What simple methods reach on the test part, by the metric of the task."""
    return _floors_of_notes(data) if task.every_step else _floors_of_classes(data)


def _padded(sequences: Sequence[np.ndarray[Any, Any]]) -> tuple[Tensor, Tensor]:
    """``[T, N, I]`` and ``[N]`` of sequences ``[T_n, I]``."""
    tensors = [torch.tensor(sequence, dtype=torch.float32) for sequence in sequences]
    return torch.nn.utils.rnn.pad_sequence(tensors), torch.tensor([len(one) for one in tensors])


def _jsb(folder: Path) -> Data:
    """The split of Boulanger-Lewandowski et al. 2012; the frame that follows is to be predicted from all before it."""
    content = cast("Any", io).loadmat(folder / "polymusic" / "JSB_Chorales.mat")
    parts: list[Part] = []
    for name in ("traindata", "validdata", "testdata"):
        rolls = [cast("np.ndarray[Any, Any]", roll) for roll in content[name][0]]
        x, lengths = _padded([roll[:-1] for roll in rolls])
        parts.append(Part(x, lengths, _padded([roll[1:] for roll in rolls])[0]))
    return Data(*parts)


def _floors_of_notes(data: Data) -> dict[str, float]:
    """Each note's frequency, and its frequency after a frame in which it was silent or sounded."""

    def frames(part: Part) -> tuple[Tensor, Tensor]:
        valid = torch.arange(part.x.shape[0])[:, None] < part.lengths
        return part.x[valid], part.target[valid]

    def nats(chance: Tensor, target: Tensor) -> float:
        return functional.binary_cross_entropy(chance, target, reduction="sum").item() / len(target)

    (before, after), (x, target) = frames(data.train), frames(data.test)
    smoothed = [((after * was).sum(0) + 1) / (was.sum(0) + 2) for was in (torch.ones_like(before), 1 - before, before)]
    always, silent, sounding = smoothed
    return {
        "frequency of each note": nats(always.expand_as(target), target),
        "each note by its own previous frame": nats(torch.where(x > 0, sounding, silent), target),
    }


def _vowels(folder: Path) -> Data:
    """Speakers of Japanese vowels; the last utterances of each speaker's training part are kept for validation."""
    train, labels = _read_ts(folder / "japanese_vowels" / "JapaneseVowels_TRAIN.ts.gz")
    test, test_labels = _read_ts(folder / "japanese_vowels" / "JapaneseVowels_TEST.ts.gz")
    kept: list[int] = []
    for speaker in sorted(set(labels)):
        kept += [at for at, label in enumerate(labels) if label == speaker][-_KEPT_FOR_VALIDATION:]
    learnt = [at for at in range(len(labels)) if at not in kept]
    every = np.concatenate([train[at] for at in learnt])
    mean, spread = every.mean(0), every.std(0)

    def part(sequences: Sequence[np.ndarray[Any, Any]], classes: Sequence[int]) -> Part:
        return Part(*_padded([(one - mean) / spread for one in sequences]), torch.tensor(classes))

    return Data(
        part([train[at] for at in learnt], [labels[at] for at in learnt]),
        part([train[at] for at in kept], [labels[at] for at in kept]),
        part(test, test_labels),
    )


def _read_ts(path: Path) -> tuple[list[np.ndarray[Any, Any]], list[int]]:
    """Sequences ``[T, I]`` and classes from 0 of a ``.ts`` file: channels and the class with colons between them."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    sequences: list[np.ndarray[Any, Any]] = []
    classes: list[int] = []
    for line in lines[lines.index("@data") + 1 :]:
        *channels, label = line.split(":")
        sequences.append(np.array([[float(value) for value in channel.split(",")] for channel in channels]).T)
        classes.append(int(label) - 1)
    return sequences, classes


def _pixels(folder: Path) -> Data:
    """Numerals of 8 x 8 pixels, one pixel a step, row by row; 60, 20 and 20 per cent, shuffled once."""
    table = np.loadtxt(folder / "digits8x8" / "digits.csv.gz", delimiter=",")
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(0))
    first, second = math.floor(0.6 * len(table)), math.floor(0.8 * len(table))

    def part(which: Tensor) -> Part:
        rows = torch.tensor(table)[which]
        x = (rows[:, :-1] / 16).to(torch.float32).T.unsqueeze(2).contiguous()
        return Part(x, torch.full((len(rows),), x.shape[0]), rows[:, -1].to(torch.int64))

    return Data(part(order[:first]), part(order[first:second]), part(order[second:]))


def _floors_of_classes(data: Data) -> dict[str, float]:
    """The most frequent class, and logistic regression on mean and deviation of the channels or on all pixels."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only a full report needs it

    def features(part: Part) -> np.ndarray[Any, Any]:
        if part.x.shape[2] == 1:
            return part.x[:, :, 0].T.numpy()
        rows = [part.x[:length, row].numpy() for row, length in enumerate(map(int, part.lengths))]
        return np.stack([np.concatenate([row.mean(0), row.std(0)]) for row in rows])

    frequent = data.train.target.mode().values
    model: Any = LogisticRegression(max_iter=5000)
    model.fit(features(data.train), data.train.target.numpy())
    return {
        "most frequent class": 100.0 * (data.test.target == frequent).double().mean().item(),
        "logistic regression": 100.0 * float(model.score(features(data.test), data.test.target.numpy())),
    }


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        JSB: Task(
            title="JSB chorales: the next frame",
            load=_jsb,
            every_step=True,
            outputs=88,
            hidden=100,
            window=8,
            batch=4,
            rates=(3e-3, 1e-2),
            epochs=50,
            patience=5,
            metric="nats a frame",
            less_is_better=True,
            published={
                "LSTM, Bai et al. 2018": 8.45,
                "GRU, Bai et al. 2018": 8.43,
                "RNN, Bai et al. 2018": 8.91,
                "TCN, Bai et al. 2018": 8.10,
                "RNN, Pascanu et al. 2014": 8.338,
            },
        ),
        "japanese_vowels": Task(
            title="Japanese vowels: who speaks",
            load=_vowels,
            every_step=False,
            outputs=9,
            hidden=64,
            window=29,
            batch=18,
            rates=(1e-3, 3e-3, 1e-2),
            epochs=150,
            patience=25,
            metric="% right",
            less_is_better=False,
            published={"Kudo et al. 1999, as others cite it": 94.1},
        ),
        "pixels": Task(
            title="Numerals, pixel by pixel",
            load=_pixels,
            every_step=False,
            outputs=10,
            hidden=64,
            window=64,
            batch=32,
            rates=(3e-3, 1e-2),
            epochs=120,
            patience=15,
            metric="% right",
            less_is_better=False,
        ),
    }
)
"""By the name that the command line takes."""
