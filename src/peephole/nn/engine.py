"""Which engine serves a tensor: the compiled kernels, in eager mode or as an operator, or torch operations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from peephole import kernels
from peephole.errors import BackendError
from peephole.nn import autograd, builtin, operator, reference
from peephole.nn.cell import KERNEL_DTYPES, CellEngine, CellInputs, CellRun


def choose_engine(x: Tensor, cell: str) -> CellEngine:
    """What runs the cells of a layer over ``x``.

    Args:
        x: the input, for its device, dtype and size.
        cell: the cell as text, for the operator.

    Raises:
        ArgumentError: where the environment names no backend.
    """
    if cast(Any, torch.jit).is_tracing():
        return _run_traced
    if not kernels_serve(x):
        return reference.run_layer
    return partial(operator.run_layer, cell=cell) if torch.compiler.is_compiling() else autograd.run_layer


def kernels_serve(x: Tensor) -> bool:
    """Whether the compiled kernels run what has the device, dtype and sizes of ``x``.

    They do for float32 and float64 on a CPU, unless the environment asks for the reference
    (:func:`peephole.kernels.choose_backend`). Empty batches have no memory to hand over, and the tensors of
    ``torch.func``'s transforms stand for others.

    Raises:
        ArgumentError: where the environment names no backend.
    """
    if x.device.type != "cpu" or x.dtype not in KERNEL_DTYPES or x.numel() == 0:
        return False
    if torch.compiler.is_compiling():
        return _backend() == "native"
    return not is_transformed() and kernels.choose_backend() == "native"


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` is at work, whose tensors stand for others; a compiler sees through it."""
    return not torch.compiler.is_compiling() and cast(Any, torch)._C._are_functorch_transforms_active()


def _run_traced(cells: Sequence[CellInputs]) -> list[CellRun]:
    """What ``torch.jit.trace`` can record for other batches and steps than it sees: torch's own operators."""
    if not all(builtin.runs(one) for one in cells):
        raise BackendError(
            "peephole.nn: torch.jit.trace records the plain cells alone, without lengths and states (got another "
            "variant, lengths, a PackedSequence or return_states=True); use torch.export, which takes all of them"
        )
    return [builtin.run_cell(one) for one in cells]


@cast(Any, torch.compiler).assume_constant_result
def _backend() -> str:
    """The backend of what is being compiled, which the compiler need not look into."""
    return kernels.choose_backend()
