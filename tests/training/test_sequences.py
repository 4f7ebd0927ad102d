"""The loop trains a network that is given whole numbers, ragged sequences and classes as it trains any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from peephole.nn import Network
from peephole.spec import EmbeddingSpec, NetworkSpec, Readout, body_spec
from peephole.training import Batch, TrainingSettings, train

VOCABULARY, STEPS, COUNT, WANTED = 6, 7, 24, 3


class Sequences:
    """Whole numbers with lengths, ``[T, B]``; the class says whether ``WANTED`` is among the valid ones."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(VOCABULARY, (STEPS, COUNT), generator=generator)
        self.lengths = torch.randint(1, STEPS + 1, (COUNT,), generator=generator)
        self.ids[torch.arange(STEPS)[:, None] >= self.lengths] = -1  # padding, which nobody looks at
        self.classes = (self.ids == WANTED).any(0).long()

    def __len__(self) -> int:
        return 2

    def epoch(self, generator: torch.Generator | None) -> Iterator[Batch]:
        """Two batches."""
        order = torch.arange(COUNT) if generator is None else torch.randperm(COUNT, generator=generator)
        for chosen in order.chunk(2):
            yield Batch(self.ids[:, chosen], self.classes[chosen], len(chosen), lengths=self.lengths[chosen])


def cross_entropy(module: torch.nn.Module, batch: Batch) -> Tensor:
    return torch.nn.functional.cross_entropy(module(batch.inputs, lengths=batch.lengths), batch.targets)


@pytest.mark.parametrize(("kind", "readout"), [("lstm", "last"), ("rnn", "mean"), ("mlp", "max")])
def test_a_network_with_an_embedding_learns_a_classification_by_heart(kind: str, readout: Readout) -> None:
    spec = NetworkSpec(
        input=EmbeddingSpec(num_embeddings=VOCABULARY, embedding_dim=4),
        body=body_spec(kind, 4, hidden_size=8),
        output_size=2,
        readout=readout,
    )
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.default_generator.manual_seed(0)
        module = Network(spec)
    samples = Sequences()
    assert 0 < int(samples.classes.sum()) < COUNT
    result = train(
        module, samples, objective=cross_entropy, settings=TrainingSettings(max_epochs=80, learning_rate=0.03)
    )
    assert result.history[-1].train_loss < result.history[0].train_loss
    with torch.no_grad():
        answers = module(samples.ids, lengths=samples.lengths).argmax(-1)
    assert torch.equal(answers, samples.classes)
