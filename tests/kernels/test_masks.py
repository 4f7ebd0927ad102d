"""Random masks: the published generator bit for bit, the right share of ones, nothing that repeats."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from peephole.errors import BackendError
from peephole.kernels import native
from tests.kernels.problems import Array
from tests.tolerances import TOLERANCES

STREAMS = 16
M64, M32 = 2**64 - 1, 2**32 - 1


def mask(
    seed: int, probability: float, count: int, value: float = 1.0, dtype: Literal["float32", "float64"] = "float32"
) -> Array:
    drawn = np.full(count + 1, np.nan, dtype)
    native.draw_mask(dtype, native.address_of(drawn), count, seed=seed, probability=probability, value=value)
    assert np.isnan(drawn[count])  # not one more
    return drawn[:count]


def split_mix(state: int) -> tuple[int, int]:
    """SplitMix64: the next state, and the number."""
    state = (state + 0x9E3779B97F4A7C15) & M64
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return state, z ^ (z >> 31)


def xoshiro(state: list[int]) -> int:
    """The next number of xoshiro128++, whose state is changed."""

    def turned(word: int, bits: int) -> int:
        return ((word << bits) | (word >> (32 - bits))) & M32

    result = (turned((state[0] + state[3]) & M32, 7) + state[0]) & M32
    shifted = (state[1] << 9) & M32
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = turned(state[3], 11)
    return result


def published(seed: int, count: int) -> Array:
    """The numbers that masks are made of, by the loops of the generators' authors."""
    streams: list[list[int]] = []
    for _ in range(STREAMS):
        seed, first = split_mix(seed)
        seed, second = split_mix(seed)
        streams.append([first & M32, first >> 32, second & M32, second >> 32])
    return np.array([xoshiro(streams[n % STREAMS]) for n in range(count)], np.uint64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [0, 1, 2**63 + 12345, M64])
@pytest.mark.usefixtures("isa")
def test_masks_come_from_the_published_generator(seed: int, dtype: Literal["float32", "float64"]) -> None:
    for count in (0, 1, 15, 16, 17, 1000):
        for probability in (0.0, 0.1, 0.5, 1 / 3, 1.0):
            expected = published(seed, count) < round(probability * 2**32)
            assert np.array_equal(mask(seed, probability, count, 1.25, dtype), expected * np.array(1.25, dtype))


@pytest.mark.parametrize("probability", [0.03, 0.25, 0.5, 0.9])
def test_the_share_of_ones_is_the_probability_and_neighbours_know_nothing_of_each_other(probability: float) -> None:
    count, sigmas = 1 << 20, TOLERANCES["random_sigmas"]
    drawn = mask(7, probability, count).astype(np.float64)
    variance = probability * (1 - probability)
    assert abs(drawn.mean() - probability) < sigmas * np.sqrt(variance / count)
    centred = drawn - probability
    for apart in (1, 2, 15, 16, 17, 64, 1000):
        together = float((centred[apart:] * centred[:-apart]).mean())
        assert abs(together) < sigmas * variance / np.sqrt(count - apart), apart
    other = mask(8, probability, count).astype(np.float64) - probability
    assert abs(float((centred * other).mean())) < sigmas * variance / np.sqrt(count)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(BackendError, match="refused"):
        mask(0, probability, 4)
