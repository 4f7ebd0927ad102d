"""The passes of every cell on NumPy arrays: compiled, or by the equations where that is asked for.

:func:`forward` and :func:`backward` mean the same as :mod:`peephole.equations.recurrence`, in float32 and float64,
and check what they are given. Whoever holds memory of another kind calls :mod:`peephole.kernels.native` on addresses,
with the shapes of :mod:`peephole.kernels.layout`. Nothing here knows torch.
"""

from __future__ import annotations

from peephole.kernels.backend import Backend, choose_backend
from peephole.kernels.core import native_available
from peephole.kernels.dense import dense_backward, dense_forward
from peephole.kernels.recurrence import backward, forward

__all__ = [
    "Backend",
    "backward",
    "choose_backend",
    "dense_backward",
    "dense_forward",
    "forward",
    "native_available",
]
