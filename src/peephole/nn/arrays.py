"""A module's parameters as NumPy arrays under their names in an artifact, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from peephole.errors import ArgumentError

Shapes = Mapping[str, tuple[int, ...]]


def to_arrays(module: torch.nn.Module, shapes: Shapes) -> dict[str, NDArray[Any]]:
    """A copy of every parameter that ``shapes`` names."""
    return {name: module.get_parameter(name).detach().cpu().numpy().copy() for name in shapes}


def load_arrays(module: torch.nn.Module, shapes: Shapes, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Take every parameter from arrays, all and only those that ``shapes`` names.

    Raises:
        ArgumentError: for a missing, extra or misshapen array; nothing is changed then.
    """
    owner = type(module).__name__
    if arrays.keys() != shapes.keys():
        missing, extra = sorted(shapes.keys() - arrays.keys()), sorted(arrays.keys() - shapes.keys())
        raise ArgumentError(f"{owner}: arrays must be those of the spec (missing {missing}, not in it {extra})")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ArgumentError(f"{owner}: {name} must have the shape {shape} (got {arrays[name].shape})")
    with torch.no_grad():
        for name in shapes:
            module.get_parameter(name).copy_(torch.tensor(arrays[name]))
