"""Torch's PackedSequence at the border: taken apart into a padded batch with lengths, and put together again."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class Unpacked(NamedTuple):
    """A packed batch as the layers take it.

    Attributes:
        x: ``[T, B, I]``, sequences in the order the user gave them.
        lengths: ``[B]`` int64 on the CPU.
    """

    x: Tensor
    lengths: Tensor


def unpack(packed: PackedSequence) -> Unpacked:
    """Pad a packed batch, time-major, in the user's order of sequences."""
    return Unpacked(*pad_packed_sequence(packed))


def pack_like(output: Tensor, packed: PackedSequence, lengths: Tensor) -> PackedSequence:
    """Pack a time-major output as ``packed`` is, with the same order of sequences."""
    in_order = packed.sorted_indices
    if in_order is None:
        return pack_padded_sequence(output, lengths, enforce_sorted=True)
    in_order_on_cpu = in_order.to("cpu")
    again = pack_padded_sequence(output.index_select(1, in_order), lengths[in_order_on_cpu], enforce_sorted=True)
    return PackedSequence(again.data, packed.batch_sizes, in_order, packed.unsorted_indices)
