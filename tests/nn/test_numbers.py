"""Numbers at the edges of what a float holds: saturated gates, near overflow, subnormal, infinite; and odd memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.nn.cases import close, noise
from tests.nn.large import INPUT, outcome, pair

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
STEPS, ROWS, HIDDEN = 12, 5, 33


def name(dtype: torch.dtype) -> str:
    return f"nn_numbers_{dtype}".replace("torch.", "")


def assert_finite_and_torchs(theirs: torch.nn.LSTM, ours: torch.nn.Module, x: Tensor) -> None:
    expected, actual = outcome(theirs, x), outcome(ours, x)
    assert all(bool(q.isfinite().all()) for q in actual)
    largest = [max(1.0, float(q.abs().max())) for q in expected]
    close(
        [q / size for q, size in zip(actual, largest, strict=True)],
        [q / size for q, size in zip(expected, largest, strict=True)],
        name(x.dtype),
    )


@DTYPES
@pytest.mark.parametrize("scale", [30.0, 1e3, 1e6, 1e30])
def test_saturated_gates_give_what_torch_gives(scale: float, dtype: torch.dtype) -> None:
    theirs, ours = pair(HIDDEN, dtype=dtype)
    assert_finite_and_torchs(theirs, ours, scale * noise(STEPS, ROWS, INPUT, dtype=dtype))


@DTYPES
@pytest.mark.parametrize("bias", [-1e4, -100.0, 100.0, 1e4])
def test_gates_shut_or_open_for_good_give_what_torch_gives(bias: float, dtype: torch.dtype) -> None:
    theirs, ours = pair(HIDDEN, dtype=dtype)
    for layer in (theirs, ours):
        with torch.no_grad():
            dict(layer.named_parameters())["bias_ih_l0"].fill_(bias)
    assert_finite_and_torchs(theirs, ours, noise(STEPS, ROWS, INPUT, dtype=dtype))


@DTYPES
def test_inputs_near_overflow_give_what_torch_gives(dtype: torch.dtype) -> None:
    theirs, ours = pair(HIDDEN, dtype=dtype)
    huge = torch.finfo(dtype).max / (4 * INPUT)
    assert_finite_and_torchs(theirs, ours, huge * torch.sign(noise(STEPS, ROWS, INPUT, dtype=dtype)))


@DTYPES
@pytest.mark.parametrize("power", [0.5, 0.99, 1.0, 1.02], ids=["root", "near", "smallest normal", "subnormal"])
def test_the_smallest_numbers_give_what_torch_gives(power: float, dtype: torch.dtype) -> None:
    theirs, ours = pair(HIDDEN, dtype=dtype)
    tiny = float(np.float64(torch.finfo(dtype).tiny) ** power) if power <= 1 else torch.finfo(dtype).tiny / 64
    x = tiny * noise(STEPS, ROWS, INPUT, dtype=dtype)
    assert bool((x != 0).any())
    assert_finite_and_torchs(theirs, ours, x)


@DTYPES
def test_subnormal_weights_give_what_torch_gives(dtype: torch.dtype) -> None:
    theirs, ours = pair(HIDDEN, dtype=dtype)
    with torch.no_grad():
        for parameter in (*theirs.parameters(), *ours.parameters()):
            parameter.mul_(torch.finfo(dtype).tiny)
    assert bool((next(ours.parameters()) != 0).any())
    assert_finite_and_torchs(theirs, ours, noise(STEPS, ROWS, INPUT, dtype=dtype))


@DTYPES
@pytest.mark.parametrize("threads", [1, 2])
def test_subnormals_outside_are_as_before_a_pass(threads: int, dtype: torch.dtype) -> None:
    """The kernels take subnormal numbers for zero inside, on every thread that works for them, and inside alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _, ours = pair(40, dtype=dtype)
        for layer_input in (noise(30, 9, INPUT, dtype=dtype), torch.zeros(30, 9, INPUT, dtype=dtype)):
            outcome(ours, layer_input)
            half = np.array([np.finfo(np.float32).tiny], np.float32) * np.float32(0.5)
            assert 0 < half[0] < np.finfo(np.float32).tiny
            assert np.finfo(np.float64).tiny / 2 > 0
            # large enough that torch shares it among its threads, those that have worked for the pass
            shared = torch.full((1 << 18,), torch.finfo(dtype).tiny, dtype=dtype) * 0.5
            assert bool((shared > 0).all())
    finally:
        torch.set_num_threads(before)


def unaligned(x: Tensor) -> Tensor:
    """One element off, so that no vector of it is aligned."""
    storage = x.new_empty(x.numel() + 1)
    storage[1:] = x.reshape(-1)
    return storage[1:].reshape(x.shape)


def transposed(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous().transpose(0, 1)


def strided(x: Tensor) -> Tensor:
    wide = x.new_full((*x.shape[:-1], 2 * x.shape[-1]), torch.nan)
    wide[..., ::2] = x
    return wide[..., ::2]


@DTYPES
@pytest.mark.parametrize("layout", [unaligned, transposed, strided])
def test_layout_in_memory_changes_no_bit(layout: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    _, ours = pair(HIDDEN, dtype=dtype)
    x = noise(STEPS, ROWS, INPUT, dtype=dtype)
    expected = outcome(ours, x)
    assert layout(x).data_ptr() % 16 != 0 or not layout(x).is_contiguous()
    close(outcome(ours, layout(x)), expected, "nn_same_bits")
    for key, parameter in list(ours.named_parameters()):
        moved = unaligned(parameter.detach())
        setattr(ours, key, torch.nn.Parameter(moved))
    close(outcome(ours, layout(x)), expected, "nn_same_bits")


@DTYPES
def test_expanded_input_and_state_are_their_copies(dtype: torch.dtype) -> None:
    """One row in memory for the whole batch, and one step for all."""
    _, ours = pair(HIDDEN, dtype=dtype)
    row, step = noise(STEPS, 1, INPUT, dtype=dtype), noise(1, ROWS, INPUT, dtype=dtype)
    for x in (row.expand(STEPS, ROWS, INPUT), step.expand(STEPS, ROWS, INPUT)):
        close(outcome(ours, x), outcome(ours, x.clone(memory_format=torch.contiguous_format)), "nn_same_bits")
    h = noise(1, 1, HIDDEN, dtype=dtype).expand(1, ROWS, HIDDEN)
    x = noise(STEPS, ROWS, INPUT, dtype=dtype)
    close(ours(x, (h, h)), ours(x, (h.contiguous(), h.contiguous())), "nn_same_bits")
