"""Checks of arrays before they reach the kernels: type, dtype, shape, range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.kernels.core import Dtype
from peephole.kernels.layout import DIMENSIONS, Sizes, weight_shapes
from peephole.spec import CellSpec, check_hidden_size
from peephole.weights import cell_shapes

Array = np.ndarray[Any, np.dtype[Any]]

_REALS = (np.dtype(np.float32), np.dtype(np.float64))


class Call(NamedTuple):
    """What a call was found to be: its owner for messages, its sizes and its dtype."""

    owner: str
    sizes: Sizes
    dtype: np.dtype[Any]

    @property
    def dtype_name(self) -> Dtype:
        """``"float32"`` or ``"float64"``."""
        return cast("Dtype", self.dtype.name)


def checked_input(owner: str, x: object, dimensions: str) -> Array:
    """``x``, dense: an array of float32 or float64 with as many axes as ``dimensions`` has letters.

    Raises:
        ArgumentTypeError: for something else than an array, or another dtype.
        ArgumentError: for another number of axes, or an axis of features that is empty.
    """
    array = _array(owner, "x", x)
    if array.dtype not in _REALS:
        raise ArgumentTypeError(
            f"{owner}: x must be float32 or float64 (got {array.dtype}); convert it, for example x.astype('float32')"
        )
    letters = dimensions.split()
    if array.ndim != len(letters):
        raise ArgumentError(
            f"{owner}: x must have the {len(letters)} axes [{', '.join(letters)}] (got shape {array.shape})"
        )
    if not array.shape[-1]:
        raise ArgumentError(f"{owner}: x must have at least one feature (got shape {array.shape})")
    return dense(array)


def checked_array(
    owner: str, name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any], *, dimensions: str = ""
) -> Array:
    """``value``, dense, after checking its type, its dtype against that of ``x``, and its shape.

    Raises:
        ArgumentTypeError: for something else than an array, or another dtype than ``x`` has.
        ArgumentError: for another shape.
    """
    array = _array(owner, name, value)
    if array.dtype != dtype:
        raise ArgumentTypeError(f"{owner}: {name} must be {dtype} as x is (got {array.dtype}); convert one of them")
    if array.shape != shape:
        letters = (dimensions or DIMENSIONS[name]).replace(" ", ", ")
        advice = "; it looks transposed" if len(shape) > 1 and array.shape == shape[::-1] else ""
        raise ArgumentError(f"{owner}: {name} must have the shape [{letters}] = {shape} (got {array.shape}){advice}")
    return dense(array)


def checked_group(call: Call, values: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The arrays among ``values`` that are not None, each checked.

    Raises:
        ArgumentTypeError: for an array of the wrong type or dtype.
        ArgumentError: for one of the wrong shape, or one that the cell has no use for.
    """
    checked: dict[str, Array] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name not in shapes:
            raise ArgumentError(f"{call.owner}: {name} was given, but this cell has no use for it; leave it out")
        checked[name] = checked_array(call.owner, name, value, shapes[name], call.dtype)
    return checked


def checked_call(owner: str, spec: CellSpec, weights: Mapping[str, object], x: Array) -> Call:
    """Sizes and dtype of a call, ``H`` being read off the parameters.

    Raises:
        ArgumentTypeError: where a parameter that tells ``H`` is no array.
        ArgumentError: where one is missing or has another number of axes, or ``H`` does not suit the cell.
    """
    teller = "W_p" if spec.proj_size else "R"
    if teller not in weights:
        raise ArgumentError(f"{owner}: the parameter {teller} is missing (got {_names(weights)})")
    array = _array(owner, teller, weights[teller])
    if array.ndim != len(DIMENSIONS[teller].split()):
        raise ArgumentError(f"{owner}: {teller} must have 2 axes (got shape {array.shape})")
    T, B, I = x.shape  # noqa: E741
    H = array.shape[1]
    check_hidden_size(owner, spec, H)
    return Call(owner, Sizes(T, B, I, H), x.dtype)


def checked_weights(call: Call, spec: CellSpec, weights: Mapping[str, object]) -> dict[str, Array]:
    """All parameters of the cell by letter, each checked; ``b`` may be absent.

    Raises:
        ArgumentTypeError: for a parameter of the wrong type or dtype.
        ArgumentError: for a missing or unknown parameter, or one of the wrong shape.
    """
    expected = cell_shapes(spec, call.sizes.I, call.sizes.H, bias="b" in weights)
    if expected.keys() != weights.keys():
        differ = _names(expected.keys() ^ weights.keys())
        raise ArgumentError(
            f"{call.owner}: the parameters must be {_names(expected)} (got {_names(weights)}); they differ in {differ}"
        )
    shapes = weight_shapes(spec, call.sizes, bias="b" in weights)
    return {name: checked_array(call.owner, name, weights[name], shape, call.dtype) for name, shape in shapes.items()}


def checked_lengths(call: Call, lengths: object) -> np.ndarray[Any, np.dtype[np.int64]]:
    """``lengths`` as int64; all ``T`` where None.

    Raises:
        ArgumentTypeError: for something else than an array of whole numbers.
        ArgumentError: for another shape, or a length outside ``0..T``.
    """
    T, B = call.sizes.T, call.sizes.B
    if lengths is None:
        return np.full(B, T, np.int64)
    array = _array(call.owner, "lengths", lengths)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(f"{call.owner}: lengths must be whole numbers (got {array.dtype}); use int64")
    if array.shape != (B,):
        raise ArgumentError(f"{call.owner}: lengths must have the shape [B] = {(B,)} (got {array.shape})")
    if B and (array.min() < 0 or array.max() > T):
        raise ArgumentError(
            f"{call.owner}: lengths must be from 0 to T = {T} (got {array.min()} to {array.max()}); "
            "a row has as many valid steps as its length says"
        )
    return dense(array.astype(np.int64))


def dense(array: Array) -> Array:
    """The array itself, or a copy where it is not row-major without gaps and aligned."""
    return np.require(array, requirements=("C", "A"))


def _array(owner: str, name: str, value: object) -> Array:
    if not isinstance(value, np.ndarray):
        raise ArgumentTypeError(
            f"{owner}: {name} must be a NumPy array (got {type(value).__name__}); convert it with numpy.asarray"
        )
    return cast("Array", value)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
