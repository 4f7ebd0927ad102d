"""Automatic mixed precision: under ``torch.autocast`` a layer takes what comes and gives autocast's dtype back.

Our own engines compute in the dtype of the parameters, for a recurrence adds its rounding up; cuDNN computes as torch
has it do. Float64 is left alone, as torch leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Given = TypeVar("_Given")


def autocast_dtype(like: Tensor) -> torch.dtype | None:
    """The dtype that autocast wants results in.

    Args:
        like: a tensor of the dtype and on the device of the computation.

    Returns:
        ``None`` where autocast is off or leaves this dtype alone.
    """
    kind = like.device.type
    if not cast(Any, torch.amp).is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return None if like.dtype == torch.float64 else torch.get_autocast_dtype(kind)


def like_parameters(given: _Given, parameter: Tensor) -> _Given:
    """Floating tensors, packed batches of them and tuples of either in the dtype of the parameters; all else as it is.

    Float64 is left for the checks to refuse: autocast does not touch it either.
    """
    value: Any = given
    if isinstance(given, tuple) and not isinstance(given, PackedSequence):
        return cast(Any, tuple(like_parameters(one, parameter) for one in cast("tuple[object, ...]", given)))
    data: object = given.data if isinstance(given, PackedSequence) else given
    if not isinstance(data, Tensor) or not data.is_floating_point() or data.dtype == torch.float64:
        return given
    return value.to(parameter.dtype)


def without_autocast(function: Callable[_Arguments, _Result], like: Tensor) -> Callable[_Arguments, _Result]:
    """The function itself; where autocast is on for ``like``, a function that switches it off and calls that one."""
    if autocast_dtype(like) is None:
        return function

    def computed(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        with torch.autocast(like.device.type, enabled=False):
            return function(*arguments, **named)

    return computed
