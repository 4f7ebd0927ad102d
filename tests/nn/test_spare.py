"""Large memory is used again when nobody holds it any more, and never before."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

from peephole.nn.spare import SpareMemory

LARGE = 10_000_000
"""Elements of float32: 40 MB."""


def test_a_piece_is_used_again_when_the_last_holder_lets_go() -> None:
    spare = SpareMemory()
    first = spare.empty(LARGE, torch.float32)
    place, part = first.data_ptr(), first[5:]
    del first
    assert spare.waiting() == 0  # the part holds it
    second = spare.empty(LARGE, torch.float32)
    assert second.data_ptr() != place
    del part
    assert spare.waiting() >= 4 * LARGE
    third = spare.empty(LARGE - 1000, torch.float32)  # nearly as large
    assert third.data_ptr() == place
    assert spare.waiting() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pieces_begin_with_a_cache_line_and_hold_what_is_written(dtype: torch.dtype) -> None:
    spare = SpareMemory()
    for count in (1, 1000, LARGE, LARGE + 1):
        one, other = spare.empty(count, dtype).fill_(1.0), spare.empty(count, dtype).fill_(2.0)
        assert (one.shape, one.dtype) == ((count,), dtype)
        assert one.data_ptr() % 64 == 0
        assert bool((one == 1).all() and (other == 2).all())


def test_no_more_waits_than_the_limit() -> None:
    spare = SpareMemory()
    held = [spare.empty(LARGE, torch.float32) for _ in range(8)]
    held += [spare.empty(80_000_000, torch.float32)]  # more than may ever wait
    while held:
        held.pop()
        assert spare.waiting() <= 1 << 28
    assert spare.waiting() > 0


def test_threads_share_the_pieces() -> None:
    spare = SpareMemory()
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            tensor = spare.empty(LARGE, torch.float32)
            tensor[::4096] = number
            wrong.extend([number] * int((tensor[::4096] != number).sum()))
            del tensor

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong
    assert 0 < spare.waiting() <= 1 << 28


def test_a_training_step_uses_the_memory_of_the_step_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from peephole import nn
    from peephole.nn import calls

    spare = SpareMemory()
    monkeypatch.setattr(calls, "_spare", spare)
    layer = nn.LSTM(4, 64)
    x = torch.randn(500, 48, 4)
    waits: list[int] = []
    for _ in range(3):
        y, _state = layer(x)
        assert spare.waiting() == 0
        y.sum().backward()
        del y, _state
        waits.append(spare.waiting())
    assert waits[0] > 0
    assert waits == [waits[0]] * 3
