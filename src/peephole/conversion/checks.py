"""What is asked of arrays before they are taken for a layer's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Shaped(Protocol):
    """An array or a tensor, as far as its shape goes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        ...


def misfit(arrays: Mapping[str, Shaped], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What keeps arrays from being those of a layer, in a few words; ``None`` where nothing does.

    Args:
        arrays: by name, of NumPy or torch.
        shapes: those that there must be, :func:`peephole.weights.module_shapes`; no others may be there.
    """
    missing = [name for name in shapes if name not in arrays]
    extra = [name for name in arrays if name not in shapes]
    if missing or extra:
        parts = [f"{what} {_some(names)}" for what, names in (("missing", missing), ("unknown", extra)) if names]
        return "; ".join(parts)
    for name, shape in shapes.items():
        if tuple(arrays[name].shape) != shape:
            return f"{name} must have the shape {list(shape)} (got {list(arrays[name].shape)})"
    return None


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
