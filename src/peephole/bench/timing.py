"""Timing several callables side by side, so that what disturbs the machine disturbs all of them.

They are called turn by turn in one process, in an order that changes with every turn, and what is told is the median
of the ratios *within* a turn, with its quartiles. A change of clock speed or a busy neighbour then moves both sides of
a ratio. Calls that are too short for the clock are timed in bursts; garbage collection waits; what has a pool of
threads of its own is given the time in which the other pool's threads stop spinning, and one call to warm up again.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

FEWEST_TURNS = 7
FEWEST_SLOW_TURNS = 3
BURST_SECONDS = 1e-3
"""The shortest time that is read off the clock."""
SETTLE_SECONDS = 0.02
"""How long the idle threads of a pool may spin before they sleep."""
RESTLESS = 0.2
"""Where the quartiles of a ratio are further apart than this part of the median, measuring goes on."""
_PATIENCE = 3
_SLOW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Something to be timed.

    Attributes:
        call: does the work once.
        pool: whose threads it works on; threads of another pool may go on spinning for a while.
    """

    call: Callable[[], object]
    pool: str = "openmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times longer the other took.

    Attributes:
        low: the lower quartile.
        median: the median of the paired ratios.
        high: the upper quartile.
        turns: how many pairs there were.
    """

    low: float
    median: float
    high: float
    turns: int


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Quartiles of ``theirs / ours``, turn by turn: above 1 ours is the faster.

    Args:
        ours: our time in each turn.
        theirs: the other's time in the same turns; at least two.
    """
    low, median, high = statistics.quantiles(
        [their / our for our, their in zip(ours, theirs, strict=True)], n=4, method="inclusive"
    )
    return Ratio(low=low, median=median, high=high, turns=len(ours))


def order_of_turn(names: Sequence[str], turn: int) -> list[str]:
    """Who comes when: another order every turn, with everyone in every place equally often."""
    start = turn // 2 % len(names) if len(names) > 2 else 0
    order = [*names[start:], *names[:start]]
    return order[::-1] if turn % 2 else order


def interleaved(
    contestants: Mapping[str, Contestant],
    *,
    seconds: float,
    settle: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time everyone, turn by turn.

    Args:
        contestants: by name, ours first; at least one.
        seconds: for the whole line. There are always :data:`FEWEST_TURNS` turns, or :data:`FEWEST_SLOW_TURNS` where
            those would take ten times as long; and up to three times as long is given to a line that comes out
            :data:`RESTLESS`.
        settle: seconds to wait between calls on different pools of threads.
        clock: gives seconds.

    Returns:
        By name, the seconds that one call took in each turn.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    bursts = {name: _burst(contestant, clock) for name, contestant in contestants.items()}
    with _without_garbage_collection():
        begun, turn, pool = clock(), 0, ""
        while _goes_on(times, turn, clock() - begun, seconds):
            for name in order_of_turn(list(contestants), turn):
                contestant = contestants[name]
                if settle and contestant.pool != pool:
                    time.sleep(settle)
                    contestant.call()
                pool = contestant.pool
                times[name].append(_timed(contestant, bursts[name], clock))
            turn += 1
    return times


def _goes_on(times: Mapping[str, list[float]], turn: int, spent: float, seconds: float) -> bool:
    if turn < FEWEST_SLOW_TURNS:
        return True
    if turn < FEWEST_TURNS:
        return spent < _SLOW * max(seconds, BURST_SECONDS)
    if spent < seconds:
        return True
    return spent < _PATIENCE * seconds and _restless(times)


def _restless(times: Mapping[str, list[float]]) -> bool:
    """Whether any ratio to the first is still uncertain."""
    ours, *others = times.values()
    ratios = [paired(ours, theirs) for theirs in others]
    return any((ratio.high - ratio.low) > RESTLESS * ratio.median for ratio in ratios)


def _burst(contestant: Contestant, clock: Callable[[], float]) -> int:
    """Warm up, and say how many calls fill :data:`BURST_SECONDS`."""
    took = _timed(contestant, 1, clock)
    for _ in range(3):
        if took > 0.1:
            break
        took = min(took, _timed(contestant, 1, clock))
    return max(1, math.ceil(BURST_SECONDS / took)) if took > 0 else 1


def _timed(contestant: Contestant, calls: int, clock: Callable[[], float]) -> float:
    call = contestant.call
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls


@contextmanager
def _without_garbage_collection() -> Generator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
