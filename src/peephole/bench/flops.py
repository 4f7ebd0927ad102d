"""Useful floating-point operations of a pass: those of its matrix products, a product and a sum counting as two.

The pointwise work and whatever a kernel computes twice or on padding are not counted, so the share of the machine's
peak that follows from the count is a lower bound of what the kernel does.
"""

from __future__ import annotations

from peephole.spec import CellSpec
from peephole.weights import row_count


def forward_flops(cell: CellSpec, *, input_size: int, hidden_size: int, rows: int) -> int:
    """``2 (T·B) K (I + P)``, and ``2 (T·B) P H`` where there is a projection.

    Args:
        cell: the cell.
        input_size: ``I``.
        hidden_size: ``H``.
        rows: ``T·B``, or the sum of the lengths of a ragged batch.
    """
    K, P = row_count(cell, hidden_size), cell.proj_size or hidden_size
    return 2 * rows * (K * (input_size + P) + cell.proj_size * hidden_size)


def backward_flops(cell: CellSpec, *, input_size: int, hidden_size: int, rows: int, input_gradient: bool) -> int:
    """Twice the forward pass: every product there has one for its weights here and one for what it was applied to.

    Args:
        cell: the cell.
        input_size: ``I``.
        hidden_size: ``H``.
        rows: ``T·B``, or the sum of the lengths of a ragged batch.
        input_gradient: whether ``dx`` is wanted; its product ``2 (T·B) K I`` falls away where it is not.
    """
    both = 2 * forward_flops(cell, input_size=input_size, hidden_size=hidden_size, rows=rows)
    return both if input_gradient else both - 2 * rows * row_count(cell, hidden_size) * input_size
