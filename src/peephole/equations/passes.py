"""What a forward and a backward pass of one cell look like from outside: the equations' own, or a kernel's."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from peephole.equations.activations import Array
from peephole.equations.state import Gradients, Masks, State, Tape
from peephole.spec import CellSpec


@runtime_checkable
class CellForward(Protocol):
    """A forward pass with the signature of :func:`peephole.equations.recurrence.forward`."""

    def __call__(
        self,
        spec: CellSpec,
        weights: Mapping[str, Array],
        x: Array,
        state: State | None = None,
        *,
        lengths: Array | None = None,
        reverse: bool = False,
        masks: Masks = ...,
    ) -> Tape:
        """Run the cell."""
        ...


@runtime_checkable
class CellBackward(Protocol):
    """A backward pass with the signature of :func:`peephole.equations.recurrence.backward`."""

    def __call__(
        self,
        spec: CellSpec,
        weights: Mapping[str, Array],
        tape: Tape,
        dy: Array,
        *,
        dfinal: State | None = None,
        dgates: Array | None = None,
        dc: Array | None = None,
    ) -> Gradients:
        """Carry the errors back."""
        ...
