"""Which tokens to write, given what a model says of the next one: greedy search, sampling, beam search.

Nothing here knows the model. A function ``step(tokens, state) -> (log_probabilities, state)`` takes the last token of
every row, ``[R]``, and gives the logarithms of the next one's probabilities, ``[R, V]``; the state is whatever it
makes of it, and ``select(state, rows)`` gives the state of other rows in their place. NumPy is enough.

A sequence ends with the end token, which counts as its last step, or after ``max_steps`` tokens. Its log-probability
is the sum of its tokens'. Beam search ranks sequences by their score (Wu et al. 2016, eq. 14) ::

    s(Y) = log P(Y) / lp(Y)          lp(Y) = ((5 + |Y|) / (5 + 1))^α

with ``α`` the ``length_penalty``: 0 ranks by the log-probability alone, more favours longer sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.shapes import Float, Int

S = TypeVar("S")

Array = np.ndarray[Any, np.dtype[Any]]
L = TypeVar("L", float, Array)
Step = Callable[[Array, S], tuple[Array, S]]
Select = Callable[[S, Array], S]


class Decoded(NamedTuple):
    """What was written, best first.

    Attributes:
        tokens: ``[n, T, B]`` int64, ``T`` the steps of the longest; behind a sequence's end stands the end token.
        log_probabilities: ``[n, B]``, of the whole sequence; ``−inf`` where there are fewer than ``n`` sequences.
        scores: ``[n, B]``, what they are ranked by.
        lengths: ``[n, B]`` int64, the end token included; 0 where there are fewer than ``n`` sequences.
    """

    tokens: Int[np.ndarray, "n T B"]
    log_probabilities: Float[np.ndarray, "n B"]
    scores: Float[np.ndarray, "n B"]
    lengths: Int[np.ndarray, "n B"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How to search.

    Attributes:
        max_steps: the most tokens of a sequence, at least 1.
        beam_size: beginnings that beam search keeps of each row; 1 for greedy search.
        n_best: sequences that are wanted of each row, 1 to ``beam_size``; None for the best alone.
        length_penalty: ``α`` of the score (Wu et al. 2016, eq. 14), at least 0.
        temperature: above 0, draws each token instead of taking the most probable; None draws nothing.

    Raises:
        ArgumentError: for a number that is out of range, a beam too small for ``n_best``, or a temperature with a beam.

    Example:
        >>> from peephole.decoding import Search
        >>> Search(max_steps=20, beam_size=4, n_best=2, length_penalty=0.6).count
        2
    """

    max_steps: int
    beam_size: int = 1
    n_best: int | None = None
    length_penalty: float = 0.0
    temperature: float | None = None

    def __post_init__(self) -> None:
        for name, count in (("max_steps", self.max_steps), ("beam_size", self.beam_size), ("n_best", self.count)):
            if type(count) is not int or count < 1:
                raise ArgumentError(f"generate: {name} must be a whole number of at least 1 (got {count!r})")
        if self.count > self.beam_size:
            raise ArgumentError(
                f"generate: n_best must be at most beam_size (got {self.n_best} and {self.beam_size}); "
                "a wider beam finds more"
            )
        if not _is_number(self.length_penalty) or self.length_penalty < 0:
            raise ArgumentError(
                f"generate: length_penalty must be a number of at least 0 (got {self.length_penalty!r})"
            )
        if self.temperature is None:
            return
        if not _is_number(self.temperature) or self.temperature <= 0:
            raise ArgumentError(
                f"generate: temperature must be a number above 0 (got {self.temperature!r}); "
                "None takes the most probable token"
            )
        if self.beam_size > 1:
            raise ArgumentError(
                f"generate: temperature draws one sequence and beam_size looks for the best (got {self.temperature} "
                f"and {self.beam_size}); choose one of them"
            )

    @property
    def count(self) -> int:
        """Sequences of each row."""
        return 1 if self.n_best is None else self.n_best

    def check_numbers(self) -> None:
        """Refuse what has no meaning where numbers are written and no tokens.

        Raises:
            ArgumentError: for everything but ``max_steps``.
        """
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "max_steps" and value != one.default:
                raise ArgumentError(
                    f"generate: {one.name} belongs to a target of tokens (got {value!r} for numbers); leave it out"
                )


def search_tokens(
    search: Search,
    step: Step[S],
    state: S,
    select: Select[S],
    *,
    batch: int,
    start_token: int,
    end_token: int | None,
    generator: np.random.Generator | None = None,
) -> Decoded:
    """Greedy search for a beam of 1, else beam search.

    Args:
        search: how to search.
        step: the model, over ``batch * search.beam_size`` rows.
        state: its state before the first step, of as many rows.
        select: gives the state of other rows in their place.
        batch: ``B``.
        start_token: what every row is given first.
        end_token: what ends a sequence, or None.
        generator: for a temperature.

    Raises:
        ArgumentError: for log-probabilities that are NaN.
        ArgumentTypeError: for a ``generator`` that is none.
    """
    known: dict[str, Any] = {
        "batch": batch,
        "start_token": start_token,
        "end_token": end_token,
        "max_steps": search.max_steps,
    }
    if search.beam_size == 1:
        found = greedy_search(step, state, **known, temperature=search.temperature, generator=generator)
        return found._replace(scores=found.log_probabilities / _penalty(found.lengths, search.length_penalty))
    width = {"beam_size": search.beam_size, "n_best": search.count}
    return beam_search(step, state, select, **known, **width, length_penalty=search.length_penalty)


def greedy_search(
    step: Step[S],
    state: S,
    *,
    batch: int,
    start_token: int,
    end_token: int | None,
    max_steps: int,
    temperature: float | None = None,
    generator: np.random.Generator | None = None,
) -> Decoded:
    """Write the most probable next token again and again, or one drawn at random.

    Args:
        step: the model, over ``batch`` rows.
        state: its state before the first step.
        batch: ``B``.
        start_token: what every row is given first.
        end_token: what ends a row, or None.
        max_steps: the most tokens of a row, at least 1.
        temperature: draws each token from ``softmax(log p / temperature)``; None takes the most probable, of equals
            the smaller one. The log-probabilities that are returned are the model's, without the temperature.
        generator: of the draws; a new one, seeded by the system, where None.

    Returns:
        One sequence a row (``n`` is 1), whose score is its log-probability.

    Raises:
        ArgumentError: for a number out of range, or log-probabilities that are NaN.
        ArgumentTypeError: for a ``generator`` that is none.

    Example:
        >>> import numpy as np
        >>> from peephole import decoding
        >>> chain = np.log([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])  # token after token; 0 begins and ends
        >>> model = (lambda last, state: (chain[last], state), None)
        >>> decoding.greedy_search(*model, batch=2, start_token=0, end_token=0, max_steps=4).tokens[0].tolist()
        [[1, 1], [0, 0]]
    """
    Search(max_steps=max_steps, temperature=temperature)  # checks them
    random = np.random.default_rng() if generator is None else generator
    if not isinstance(cast(object, random), np.random.Generator):
        raise ArgumentTypeError(
            f"generate: generator must be a numpy.random.Generator (got {type(random).__name__}); "
            "for example numpy.random.default_rng(0)"
        )
    last = np.full(batch, start_token, np.int64)
    sums, lengths = np.zeros(batch), np.zeros(batch, np.int64)
    live = np.ones(batch, np.bool_)
    written: list[Array] = []
    while live.any() and len(written) < max_steps:
        log_p, state = step(last, state)
        log_p = _checked(log_p)
        chosen = log_p.argmax(axis=1) if temperature is None else _draw(log_p / temperature, random)
        last = chosen if end_token is None else np.where(live, chosen, end_token)
        sums[live] += log_p[live, last[live]]
        lengths += live
        written.append(last)
        if end_token is not None:
            live &= last != end_token
    tokens = np.stack(written) if written else np.zeros((0, batch), np.int64)
    return Decoded(tokens[None].astype(np.int64), sums[None], sums[None].copy(), lengths[None])


def beam_search(
    step: Step[S],
    state: S,
    select: Select[S],
    *,
    batch: int,
    start_token: int,
    end_token: int | None,
    max_steps: int,
    beam_size: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
) -> Decoded:
    """Keep the ``beam_size`` most probable beginnings at every step, and return the best sequences found.

    At each step every beginning is continued by every token, and the ``beam_size`` best of all these are kept; those
    that end are set aside, the others go on. A beginning is given up when it cannot overtake the ``n_best``-th sequence
    set aside, however it went on: since no log-probability is above 0, the best that may become of it is its own
    log-probability over the penalty of ``max_steps`` tokens. The search is over when nothing goes on. Beginnings of
    ``max_steps`` tokens are sequences like those that ended. Of equals comes first what ended earlier, then the
    earlier beam, then the smaller token.

    A beam that holds everything (``beam_size ≥ V^max_steps``) is exhaustive search; a beam of 1 is greedy search.

    Args:
        step: the model, over ``batch * beam_size`` rows, those of a row's beam one after the other.
        state: its state before the first step, of as many rows.
        select: gives the state of the rows that it is given, ``[R]``; each comes from the same row's beam.
        batch: ``B``.
        start_token: what every row is given first.
        end_token: what ends a sequence, or None.
        max_steps: the most tokens of a sequence, at least 1.
        beam_size: beginnings that are kept of each row, at least 1.
        n_best: sequences that are returned of each row, 1 to ``beam_size``.
        length_penalty: ``α`` of the score (Wu et al. 2016, eq. 14), at least 0.

    Returns:
        The ``n_best`` sequences of each row, best first.

    Raises:
        ArgumentError: for a number out of range, or log-probabilities that are NaN.

    Example:
        >>> import numpy as np
        >>> from peephole import decoding
        >>> chain = np.log([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])  # token after token; 0 begins and ends
        >>> model = (lambda last, state: (chain[last], state), None, lambda state, rows: state)
        >>> tokens = {"batch": 1, "start_token": 0, "end_token": 0, "max_steps": 4}
        >>> np.exp(decoding.beam_search(*model, **tokens, beam_size=3).log_probabilities).round(2).tolist()
        [[0.3]]
    """
    Search(max_steps=max_steps, beam_size=beam_size, n_best=n_best, length_penalty=length_penalty)  # checks them
    beams = _Beams.first(batch, beam_size, start_token)
    filler = 0 if end_token is None else end_token
    kept = _Kept.none((batch, n_best, max_steps), filler)
    most = _penalty(max_steps, length_penalty)
    last = beams.tokens[:, :, 0]
    for t in range(1, max_steps + 1):
        log_p, state = step(last.reshape(-1), state)
        beams, origin = beams.continued(_checked(log_p).reshape(batch, beam_size, log_p.shape[1]))
        last = beams.tokens[:, :, -1]
        ended = np.full(last.shape, t == max_steps) if end_token is None else (last == end_token) | (t == max_steps)
        kept = kept.with_more(beams, ended, penalty=_penalty(t, length_penalty), filler=filler)
        # what ended does not go on, nor does what cannot overtake the last of those kept
        going = ~ended & (beams.sums / most > kept.scores[:, -1:])
        beams = beams._replace(sums=np.where(going, beams.sums, -np.inf))
        if not going.any():
            break
        state = select(state, origin.reshape(-1))
    steps = int(kept.lengths.max(initial=0))
    tokens = kept.tokens[:, :, :steps].transpose(1, 2, 0)
    return Decoded(np.ascontiguousarray(tokens), kept.sums.T.copy(), kept.scores.T.copy(), kept.lengths.T.copy())


class _Beams(NamedTuple):
    """The beginnings.

    Attributes:
        tokens: ``[B, W, 1 + t]``, the start token before them.
        sums: ``[B, W]``, their log-probabilities, ``−inf`` for a place without one.
    """

    tokens: Array
    sums: Array

    @classmethod
    def first(cls, batch: int, beam_size: int, start_token: int) -> _Beams:
        sums = np.full((batch, beam_size), -np.inf)
        sums[:, 0] = 0.0  # all places begin alike: only one of them counts
        return cls(np.full((batch, beam_size, 1), start_token, np.int64), sums)

    def continued(self, log_p: Array) -> tuple[_Beams, Array]:
        """The best continuations, and the row that each was continued from."""
        W, V = log_p.shape[1:]
        candidates = (self.sums[:, :, None] + log_p).reshape(len(log_p), W * V)
        best = np.stack([_largest(row, W) for row in candidates]) if len(candidates) else np.zeros((0, W), np.int64)
        beam, token = np.divmod(best, V)
        rows = np.arange(len(log_p))[:, None]
        tokens = np.concatenate([self.tokens[rows, beam], token[:, :, None]], axis=2)
        return _Beams(tokens, candidates[rows, best]), rows * W + beam


class _Kept(NamedTuple):
    """The best sequences so far, ``[B, n]`` and best first.

    Attributes:
        tokens: ``[B, n, max_steps]``, with the filler behind the end.
        sums: their log-probabilities.
        scores: what they are ranked by, ``−inf`` for a place without a sequence.
        lengths: their tokens.
    """

    tokens: Array
    sums: Array
    scores: Array
    lengths: Array

    @classmethod
    def none(cls, shape: tuple[int, int, int], filler: int) -> _Kept:
        nothing = np.full(shape[:2], -np.inf)
        return cls(np.full(shape, filler, np.int64), nothing, nothing, np.zeros(shape[:2], np.int64))

    def with_more(self, beams: _Beams, ended: Array, *, penalty: float, filler: int) -> _Kept:
        """With the beginnings that ended among them."""
        ended = ended & np.isfinite(beams.sums)
        t = beams.tokens.shape[2] - 1
        tokens = np.full((*ended.shape, self.tokens.shape[2]), filler, np.int64)
        tokens[:, :, :t] = np.where(ended[:, :, None], beams.tokens[:, :, 1:], filler)
        sums = np.where(ended, beams.sums, -np.inf)
        more = (tokens, sums, sums / penalty, np.where(ended, t, 0))
        pools = [np.concatenate(pair, axis=1) for pair in zip(self, more, strict=True)]
        best = np.argsort(-pools[2], axis=1, kind="stable")[:, : self.scores.shape[1]]
        rows = np.arange(len(ended))[:, None]
        return _Kept(*(pool[rows, best] for pool in pools))


def _largest(values: Array, count: int) -> Array:
    """Where the ``count`` largest of ``values`` are, largest first, of equals the earlier one.

    Of a vocabulary's many numbers only those few are put in order that reach the last one wanted: sorting all of them
    would take longer than the model does.
    """
    reach = np.flatnonzero(values >= np.partition(values, -count)[-count])
    return reach[np.argsort(-values[reach], kind="stable")[:count]]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _penalty(length: L, alpha: float) -> L:
    """``lp(Y)`` (Wu et al. 2016, eq. 14), of one length or an array of them."""
    return cast("L", ((5 + length) / 6) ** alpha)


def _checked(log_p: Array) -> Array:
    """In float64, and none NaN or above 0, which the search relies on."""
    if not (log_p <= 0).all():
        raise ArgumentError(
            "generate: the model must give logarithms of probabilities, at most 0 (got NaN or a number above 0); "
            "look for NaN or infinity in its weights and inputs"
        )
    return log_p.astype(np.float64, copy=False)


def _draw(scaled: Array, random: np.random.Generator) -> Array:
    """One token of each row from ``softmax(scaled)``, the first whose cumulative probability exceeds the draw."""
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    below = powers.cumsum(axis=1)
    drawn = random.random(len(scaled)) * below[:, -1]
    return (below > drawn[:, None]).argmax(axis=1)
