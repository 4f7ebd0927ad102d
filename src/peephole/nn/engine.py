"""Which engine serves a tensor: the compiled kernels, or torch operations."""

from __future__ import annotations

from torch import Tensor

from peephole import kernels
from peephole.nn.cell import KERNEL_DTYPES


def kernels_serve(x: Tensor) -> bool:
    """Whether the compiled kernels run what has the device, dtype and sizes of ``x``.

    They do for float32 and float64 on a CPU, unless the environment asks for the reference
    (:func:`peephole.kernels.choose_backend`). Empty batches have no memory to hand over.

    Raises:
        ArgumentError: where the environment names no backend.
    """
    served = x.device.type == "cpu" and x.dtype in KERNEL_DTYPES and x.numel() > 0
    return served and kernels.choose_backend() == "native"
