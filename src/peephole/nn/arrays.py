"""A module's parameters as NumPy arrays under their names in an artifact, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from peephole.errors import ArgumentError
from peephole.weights import misfit

Shapes = Mapping[str, tuple[int, ...]]


def to_arrays(module: torch.nn.Module, shapes: Shapes) -> dict[str, NDArray[Any]]:
    """A copy of every parameter that ``shapes`` names."""
    return {name: module.get_parameter(name).detach().cpu().numpy().copy() for name in shapes}


def load_arrays(module: torch.nn.Module, shapes: Shapes, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Take every parameter from arrays, all and only those that ``shapes`` names.

    Raises:
        ArgumentError: for a missing, extra or misshapen array; nothing is changed then.
    """
    problem = misfit(arrays, shapes)
    if problem:
        raise ArgumentError(f"{type(module).__name__}: the arrays must be those of the spec: {problem}")
    with torch.no_grad():
        for name in shapes:
            module.get_parameter(name).copy_(torch.tensor(arrays[name]))
