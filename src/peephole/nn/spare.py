"""Large memory for what a pass keeps for its way back, used again by the passes that follow.

A training step needs as much as the step before it. The C library's heap sees to that for pieces below 32 MB; larger
ones it maps anew each time, page by page and cleared, which was a fifth of a training step with long sequences. So a
large piece that nobody holds any more waits here for the next pass that wants as much.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

_SMALLEST = 1 << 25
_KEPT = 1 << 28
_LINE = 64
_DTYPES: Mapping[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}

Piece = np.ndarray[Any, np.dtype[np.uint8]]


@final
class SpareMemory:
    """Pieces of memory that wait to be used again, 256 MB together at most."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Piece]] = {}

    def empty(self, count: int, dtype: torch.dtype) -> Tensor:
        """A tensor of ``count`` elements with any values; one below 32 MB comes from torch."""
        bytes_ = count * dtype.itemsize
        if bytes_ < _SMALLEST:
            return torch.empty(count, dtype=dtype)
        size = _roomy(bytes_)
        try:
            piece = self._waiting[size].pop()
        except (KeyError, IndexError):
            piece = _aligned(size)
        array = piece[:bytes_].view(_DTYPES[dtype])
        weakref.finalize(array, self._keep, piece).atexit = False
        # The tensor holds the array as long as anybody holds the tensor.
        return torch.from_numpy(array)  # pyright: ignore[reportUnknownMemberType]

    def waiting(self) -> int:
        """Bytes that wait."""
        return sum(size * len(pieces) for size, pieces in list(self._waiting.items()))

    def _keep(self, piece: Piece) -> None:
        # Called when the last holder lets go, on whatever thread that is: a single append or pop is safe there.
        if self.waiting() + piece.size > _KEPT:
            self._waiting = {}
        if piece.size <= _KEPT:
            self._waiting.setdefault(piece.size, []).append(piece)


def _roomy(size: int) -> int:
    """The size rounded up by an eighth at most, so that batches of nearly one size share their pieces."""
    step = 1 << max(math.floor(math.log2(size)) - 3, 0)
    return -(-size // step) * step


def _aligned(size: int) -> Piece:
    """A piece that begins with a cache line, for registers that are stored across two lines cost twice."""
    memory = np.empty(size + _LINE, np.uint8)
    begin = -memory.__array_interface__["data"][0] % _LINE
    return memory[begin : begin + size]
