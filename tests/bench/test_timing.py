"""Who is timed when, and what is made of the times; the clock is one that the tests turn."""

from __future__ import annotations

import gc
import itertools
from collections import Counter
from collections.abc import Callable

import pytest

from peephole.bench.timing import (
    FEWEST_SLOW_TURNS,
    FEWEST_TURNS,
    Contestant,
    interleaved,
    order_of_turn,
    paired,
)
from tests.tolerances import TOLERANCES


class Clock:
    """Goes forward when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.called: list[str] = []

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """A call that takes these times in turn, over and over."""
        times = list(seconds)

        def call() -> None:
            self.called.append(name)
            self.now += times[0]
            times.append(times.pop(0))

        return call


def by_hand(number: float) -> object:
    return pytest.approx(number, rel=TOLERANCES["bench_by_hand"])


def test_the_ratio_is_the_median_of_the_paired_ratios_and_not_the_ratio_of_medians() -> None:
    ours, theirs = [1.0, 2.0, 4.0, 8.0, 100.0], [3.0, 2.0, 8.0, 32.0, 100.0]
    ratio = paired(ours, theirs)  # 3, 1, 2, 4, 1
    assert (ratio.low, ratio.median, ratio.high, ratio.turns) == (1.0, 2.0, 3.0, 5)


def test_a_slow_machine_moves_no_ratio() -> None:
    slow = [1.0, 50.0, 7.0, 1.0]
    ratio = paired([2 * factor for factor in slow], [3 * factor for factor in slow])
    assert (ratio.low, ratio.median, ratio.high) == (by_hand(1.5),) * 3


@pytest.mark.parametrize("count", [2, 3, 4])
def test_everyone_has_every_place_equally_often(count: int) -> None:
    names = ["ours", "a", "b", "c"][:count]
    orders = [order_of_turn(names, turn) for turn in range(2 * count)]
    assert all(sorted(order) == sorted(names) for order in orders)
    assert all(order != following for order, following in itertools.pairwise(orders))
    for place in range(count):
        assert set(Counter(order[place] for order in orders).values()) == {2}


def test_times_belong_to_the_call_that_took_them() -> None:
    clock = Clock()
    contestants = {
        "ours": Contestant(call=clock.work("ours", 0.01)),
        "theirs": Contestant(call=clock.work("theirs", 0.03)),
    }
    times = interleaved(contestants, seconds=1.0, clock=lambda: clock.now)
    assert len(times["ours"]) == len(times["theirs"]) >= FEWEST_TURNS
    assert times["ours"] == [by_hand(0.01)] * len(times["ours"])
    assert paired(times["ours"], times["theirs"]).median == by_hand(3.0)
    assert clock.now >= 1.0


def test_short_calls_are_timed_in_bursts() -> None:
    clock = Clock()
    times = interleaved({"ours": Contestant(call=clock.work("ours", 1e-5))}, seconds=0.0, clock=lambda: clock.now)
    assert len(clock.called) > 50 * FEWEST_TURNS
    assert times["ours"] == [by_hand(1e-5)] * FEWEST_TURNS


def test_a_slow_line_has_few_turns_and_an_unsteady_one_more() -> None:
    clock = Clock()
    slow = interleaved({"ours": Contestant(call=clock.work("ours", 30.0))}, seconds=1.0, clock=lambda: clock.now)
    assert len(slow["ours"]) == FEWEST_SLOW_TURNS

    def turns(*seconds: float) -> int:
        clock = Clock()
        both = {
            "ours": Contestant(call=clock.work("ours", 0.01)),
            "theirs": Contestant(call=clock.work("theirs", *seconds)),
        }
        return len(interleaved(both, seconds=1.0, clock=lambda: clock.now)["ours"])

    assert turns(0.01, 0.01, 0.03, 0.03) > 2 * turns(0.02)


def test_another_pool_is_waited_for_and_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = Clock(), list[float]()
    monkeypatch.setattr("time.sleep", slept.append)
    both = {
        "ours": Contestant(call=clock.work("ours", 0.01)),
        "theirs": Contestant(call=clock.work("theirs", 0.01), pool="its own"),
    }
    times = interleaved(both, seconds=0.0, settle=0.5, clock=lambda: clock.now)
    timed = len(times["ours"]) + len(times["theirs"])
    warmed = len(clock.called) - timed - 2 * 4
    assert slept == [0.5] * warmed
    assert warmed == len(times["ours"]) + 1  # an order begins with whom the one before ended with


def test_garbage_collection_waits_and_comes_back() -> None:
    seen: list[bool] = []
    clock = Clock()

    def work() -> None:
        seen.append(gc.isenabled())
        clock.now += 0.01
        if len(seen) > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interleaved({"ours": Contestant(call=work)}, seconds=0.0, clock=lambda: clock.now)
    assert not any(seen[4:])
    assert gc.isenabled()
