"""A network that the compiled core steps: everything laid out once, then one call for each input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from peephole.kernels import core
from peephole.kernels.native import ACTIVATION_CODES, address_of, cell_of, check_status
from peephole.spec import Activation, CellSpec


@dataclass(frozen=True, slots=True)
class RecurrentLayer:
    """A cell of a :class:`Stepper`.

    Attributes:
        spec: the cell.
        B: rows.
        I: input features.
        H: memory cells.
        buffers: the parameters, and the state ``h_n``, ``c_n``, ``r_n`` as far as the cell has it, which a step reads
            and writes in place; contiguous and of the dtype of the stepper.
    """

    spec: CellSpec
    B: int
    I: int  # noqa: E741
    H: int
    buffers: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A layer of neurons of a :class:`Stepper`.

    Attributes:
        activation: its function.
        B: rows.
        I: inputs.
        O: outputs.
        buffers: ``W`` [O, I] and, where there is one, ``b`` [O]; contiguous and of the dtype of the stepper.
    """

    activation: Activation
    B: int
    I: int  # noqa: E741
    O: int  # noqa: E741
    buffers: Mapping[str, np.ndarray[Any, Any]]


@final
class Stepper:
    """A network that takes one input at a time; everything is laid out once, by the instruction set in use.

    A step allocates nothing and takes no lock. The GIL is released where a step is longer than some 20 µs. A stepper is
    for one thread at a time.

    Args:
        layers: what the network is made of, each as wide as the next expects.
        x: where :meth:`advance` takes the input from, ``[B, I]`` or, of one row, ``[I]``.
        y: where it writes the output, ``[B, O]`` or ``[O]``.

    Attributes:
        take: ``take(x, y)`` steps from ``x`` to ``y``, arrays as those of the constructor, which may be the same.
            False, and nothing has happened, for anything that is not contiguous and of their dtype and shape.

    Raises:
        BackendError: where the compiled core is missing or cannot be loaded, or refuses the layers.
    """

    def __init__(
        self,
        layers: Sequence[RecurrentLayer | DenseLayer],
        *,
        x: np.ndarray[Any, Any],
        y: np.ndarray[Any, Any],
    ) -> None:
        self._kept = (*layers, x, y)  # what the addresses point to
        self._places = address_of(x), address_of(y)
        self._native = core.module().Stepper(
            x.dtype.itemsize == 8, [_told(layer) for layer in layers], x.shape, y.shape
        )
        check_status(self._native.status())
        self.take: Callable[[object, object], bool] = self._native.step

    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""
        check_status(self._native.step_at(*self._places))


def _told(layer: RecurrentLayer | DenseLayer) -> tuple[object, ...]:
    addresses = {name: address_of(array) for name, array in layer.buffers.items()}
    if isinstance(layer, DenseLayer):
        return (layer.B, layer.I, layer.O, ACTIVATION_CODES[layer.activation], addresses)
    P = layer.spec.proj_size or layer.H
    return (cell_of(layer.spec), layer.B, layer.I, layer.H, P, addresses)
