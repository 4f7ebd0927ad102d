"""Searching for the best sequence: beam search against exhaustive search and against one written with lists."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.decoding import Decoded, Search, beam_search, greedy_search, search_tokens
from peephole.errors import ArgumentError, ArgumentTypeError
from tests.tolerances import TOLERANCES

Array = np.ndarray[Any, np.dtype[Any]]
END = 1
TOLERANCE = TOLERANCES["decoding_sums"]


class Model(NamedTuple):
    """Log-probabilities of the next token after every beginning, which it counts like the nodes of a tree."""

    tables: Array
    """``[B, nodes, V]``, a table for each row of the batch."""

    @classmethod
    def random(cls, seed: int, *, vocabulary: int, steps: int, batch: int = 2, spread: float = 1.5) -> Model:
        nodes = sum(vocabulary**t for t in range(steps))
        scores = spread * np.random.default_rng(seed).standard_normal((batch, nodes, vocabulary))
        return cls(scores - np.log(np.exp(scores).sum(axis=2, keepdims=True)))

    @property
    def batch(self) -> int:
        return len(self.tables)

    def step(self, tokens: Array, nodes: Array) -> tuple[Array, Array]:
        """The state is the node of each row's beginning, −1 before there is one."""
        nodes = np.where(nodes < 0, 0, nodes * self.tables.shape[2] + tokens + 1)
        rows = np.repeat(np.arange(self.batch), len(nodes) // max(self.batch, 1))
        return self.tables[rows, np.minimum(nodes, self.tables.shape[1] - 1)], nodes

    def log_probability(self, row: int, tokens: tuple[int, ...]) -> float:
        node, total = 0, 0.0
        for token in tokens:
            total += float(self.tables[row, node, token])
            node = node * self.tables.shape[2] + token + 1
        return total

    def beam(self, steps: int, width: int, *, end: int | None = END, n_best: int = 1, alpha: float = 0.0) -> Decoded:
        return beam_search(
            self.step,
            np.full(self.batch * width, -1),
            lambda nodes, rows: nodes[rows],
            batch=self.batch,
            start_token=0,
            end_token=end,
            max_steps=steps,
            beam_size=width,
            n_best=n_best,
            length_penalty=alpha,
        )

    def greedy(self, steps: int, *, end: int | None = END, **more: Any) -> Decoded:
        known: dict[str, Any] = {"batch": self.batch, "start_token": 0, "end_token": end, "max_steps": steps}
        return greedy_search(self.step, np.full(self.batch, -1), **known, **more)


def score(log_probability: float, length: int, alpha: float) -> float:
    """Wu et al. 2016, eq. 14."""
    return log_probability / ((5 + length) / 6) ** alpha


def every_sequence(vocabulary: int, steps: int, end: int | None) -> list[tuple[int, ...]]:
    """All that end, and all of the full length."""
    shorter = [
        (*before, end)
        for t in range(steps)
        for before in itertools.product(range(vocabulary), repeat=t)
        if end is not None and end not in before
    ]
    full = [whole for whole in itertools.product(range(vocabulary), repeat=steps) if end is None or end not in whole]
    return [tuple(sequence) for sequence in (*shorter, *full)]


def found(decoded: Decoded, row: int) -> list[tuple[int, ...]]:
    """The sequences of a row, best first."""
    pairs = zip(decoded.tokens[:, :, row], decoded.lengths[:, row], strict=True)
    return [tuple(int(token) for token in tokens[:length]) for tokens, length in pairs]


@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.integers(2, 4),
    steps=st.integers(1, 5),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.5]),
    end=st.sampled_from([END, None]),
)
def test_a_beam_of_everything_is_exhaustive_search(
    seed: int, vocabulary: int, steps: int, alpha: float, end: int | None
) -> None:
    model = Model.random(seed, vocabulary=vocabulary, steps=steps)
    sequences = every_sequence(vocabulary, steps, end)
    n_best = min(3, len(sequences))
    decoded = model.beam(steps, vocabulary**steps, end=end, n_best=min(n_best, vocabulary**steps), alpha=alpha)
    for row in range(model.batch):
        ranked = sorted(sequences, key=lambda one: -score(model.log_probability(row, one), len(one), alpha))
        assert found(decoded, row) == ranked[: len(decoded.tokens)]
        for at, sequence in enumerate(found(decoded, row)):
            log_probability = model.log_probability(row, sequence)
            assert abs(decoded.log_probabilities[at, row] - log_probability) <= TOLERANCE
            assert abs(decoded.scores[at, row] - score(log_probability, len(sequence), alpha)) <= TOLERANCE


def beam_of_lists(model: Model, row: int, *, steps: int, width: int, alpha: float) -> tuple[int, ...]:
    """Beam search as one would write it down, without ever giving up a beginning."""
    beams: list[tuple[int, ...]] = [()]
    ended: list[tuple[int, ...]] = []
    for _ in range(steps):
        continued = [(*one, token) for one in beams for token in range(model.tables.shape[2])]
        best = sorted(continued, key=lambda one: -model.log_probability(row, one))[:width]
        ended += [one for one in best if one[-1] == END]
        beams = [one for one in best if one[-1] != END]
    return min(ended + beams, key=lambda one: -score(model.log_probability(row, one), len(one), alpha))


@given(seed=st.integers(0, 10**6), width=st.integers(1, 6), alpha=st.sampled_from([0.0, 0.6]))
def test_a_narrow_beam_finds_what_one_written_with_lists_finds_or_better(seed: int, width: int, alpha: float) -> None:
    model = Model.random(seed, vocabulary=4, steps=5)
    decoded = model.beam(5, width, alpha=alpha)
    for row in range(model.batch):
        sequence = beam_of_lists(model, row, steps=5, width=width, alpha=alpha)
        theirs = score(model.log_probability(row, sequence), len(sequence), alpha)
        assert decoded.scores[0, row] >= theirs - TOLERANCE
        ours = model.log_probability(row, found(decoded, row)[0])
        assert abs(decoded.log_probabilities[0, row] - ours) <= TOLERANCE


def test_without_an_end_a_narrow_beam_is_that_of_lists() -> None:
    for seed in range(20):
        model = Model.random(seed, vocabulary=4, steps=4)
        decoded = model.beam(4, 3, end=None, n_best=3)
        beams: list[tuple[int, ...]] = [()]
        for _ in range(4):
            continued = [(*one, token) for one in beams for token in range(4)]
            beams = sorted(continued, key=lambda one: -model.log_probability(1, one))[:3]
        assert found(decoded, 1) == beams


@given(seed=st.integers(0, 10**6), steps=st.integers(1, 6), end=st.sampled_from([END, None]))
def test_a_beam_of_one_is_greedy_search(seed: int, steps: int, end: int | None) -> None:
    model = Model.random(seed, vocabulary=3, steps=steps)
    beam, greedy = model.beam(steps, 1, end=end), model.greedy(steps, end=end)
    assert np.array_equal(beam.tokens, greedy.tokens)
    assert np.array_equal(beam.lengths, greedy.lengths)
    assert np.array_equal(beam.log_probabilities, greedy.log_probabilities)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_n_best_are_sorted_and_all_different(alpha: float) -> None:
    decoded = Model.random(7, vocabulary=4, steps=5).beam(5, 8, n_best=8, alpha=alpha)
    assert (np.diff(decoded.scores, axis=0) <= 0).all()
    for row in range(2):
        assert len(set(found(decoded, row))) == 8


def test_behind_its_end_a_sequence_holds_end_tokens() -> None:
    decoded = Model.random(3, vocabulary=3, steps=5).beam(5, 6, n_best=6)
    steps: Array = np.arange(len(decoded.tokens[0]))
    behind: Array = np.greater_equal(steps[:, None], decoded.lengths[:, None, :])
    assert np.any(behind)
    assert (decoded.tokens[behind] == END).all()
    assert decoded.tokens.shape[1] == decoded.lengths.max()


def test_of_equals_the_smaller_tokens_come_first() -> None:
    model = Model(np.full((1, 85, 4), -np.log(4.0)))
    decoded = model.beam(3, 64, end=None, n_best=5)
    assert found(decoded, 0) == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 0)]
    assert found(model.beam(3, 5, end=None, n_best=5), 0) == found(
        decoded, 0
    )  # among more equals than there are places
    assert found(model.greedy(3, end=None), 0) == [(0, 0, 0)]
    assert np.array_equal(model.beam(3, 64, n_best=5).tokens, model.beam(3, 64, n_best=5).tokens)


def test_a_row_is_its_own() -> None:
    model = Model.random(5, vocabulary=4, steps=5, batch=4)
    together = model.beam(5, 3, n_best=2, alpha=0.6)
    for row in range(4):
        alone = Model(model.tables[row : row + 1]).beam(5, 3, n_best=2, alpha=0.6)
        assert found(together, row) == found(alone, 0)
        assert np.array_equal(together.scores[:, row], alone.scores[:, 0])


def test_places_that_nothing_fills_are_empty() -> None:
    tables = np.full((1, 1, 3), -np.inf)
    tables[0, 0, 2] = 0.0  # one sequence alone is possible
    decoded = Model(tables).beam(1, 3, n_best=2)
    assert decoded.lengths[:, 0].tolist() == [1, 0]
    assert decoded.log_probabilities[:, 0].tolist() == [0.0, -np.inf]


def test_the_search_stops_when_nothing_can_overtake() -> None:
    tables = np.log(np.full((2, 4**5, 4), 0.01))
    tables[:, :, END] = np.log(0.97)
    model, calls = Model(tables), list[int]()

    def counted(tokens: Array, nodes: Array) -> tuple[Array, Array]:
        calls.append(len(tokens))
        return model.step(tokens, nodes)

    for alpha in (0.0, 1.0):
        search = Search(max_steps=5, beam_size=4, length_penalty=alpha)
        calls.clear()
        search_tokens(
            search, counted, np.full(8, -1), lambda nodes, rows: nodes[rows], batch=2, start_token=0, end_token=END
        )
        assert len(calls) == 1  # log 0.97 at once, and at best log 0.01 / lp(5) later


def test_a_low_temperature_is_greedy_and_a_seed_repeats_itself() -> None:
    model = Model.random(11, vocabulary=4, steps=6, batch=5)
    cold = model.greedy(6, temperature=1e-6, generator=np.random.default_rng(0))
    assert np.array_equal(cold.tokens, model.greedy(6).tokens)
    first, second = (model.greedy(6, temperature=1.0, generator=np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.tokens, second.tokens)
    for row in range(5):
        wanted = model.log_probability(row, found(first, row)[0])
        assert abs(first.log_probabilities[0, row] - wanted) <= TOLERANCE


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_temperature_says(temperature: float) -> None:
    count = 20_000
    log_p = Model.random(2, vocabulary=4, steps=1, batch=1).tables[0, 0]
    model = Model(np.broadcast_to(log_p, (count, 1, 4)))
    drawn = model.greedy(1, temperature=temperature, generator=np.random.default_rng(0)).tokens[0, 0]
    expected = np.exp(log_p / temperature) / np.exp(log_p / temperature).sum()
    sigmas = np.abs(np.bincount(drawn, minlength=4) - count * expected) / np.sqrt(count * expected * (1 - expected))
    assert sigmas.max() <= TOLERANCES["random_sigmas"]


def test_a_sequence_has_the_score_of_its_length_for_any_beam() -> None:
    model = Model.random(9, vocabulary=4, steps=5)
    for width in (1, 3):
        search = Search(max_steps=5, beam_size=width, length_penalty=0.6)
        rows: dict[str, Any] = {"batch": 2, "start_token": 0, "end_token": END}
        decoded = search_tokens(search, model.step, np.full(2 * width, -1), lambda nodes, rows: nodes[rows], **rows)
        for row in range(2):
            wanted = score(decoded.log_probabilities[0, row], decoded.lengths[0, row], 0.6)
            assert abs(decoded.scores[0, row] - wanted) <= TOLERANCE


def test_what_draws_nothing_is_refused_as_a_generator() -> None:
    with pytest.raises(ArgumentTypeError, match=r"must be a numpy\.random\.Generator .got int"):
        Model.random(1, vocabulary=3, steps=2).greedy(2, temperature=1.0, generator=3)


def test_an_empty_batch_gives_an_empty_result() -> None:
    model = Model(np.zeros((0, 1, 3)))
    assert model.greedy(3).tokens.shape == (1, 0, 0)
    assert model.beam(3, 2).tokens.shape == (1, 0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": 0}, "max_steps must be a whole number of at least 1"),
        ({"beam_size": 0}, "beam_size must be a whole number of at least 1"),
        ({"beam_size": 2.0}, "beam_size must be a whole number"),
        ({"n_best": 0}, "n_best must be a whole number of at least 1"),
        ({"n_best": 2}, "n_best must be at most beam_size"),
        ({"length_penalty": -1.0}, "length_penalty must be a number of at least 0"),
        ({"length_penalty": float("inf")}, "length_penalty must be a number of at least 0"),
        ({"temperature": 0.0}, "temperature must be a number above 0"),
        ({"temperature": 1.0, "beam_size": 2}, "choose one of them"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        Search(**{"max_steps": 3, **settings})
    assert message in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), 0.1])
def test_what_are_no_log_probabilities_is_refused(value: float) -> None:
    model = Model(np.full((1, 1, 3), value))
    with pytest.raises(ArgumentError, match="must give logarithms of probabilities"):
        model.greedy(1)
    with pytest.raises(ArgumentError, match="must give logarithms of probabilities"):
        model.beam(1, 2)
