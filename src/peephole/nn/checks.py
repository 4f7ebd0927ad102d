"""What a recurrent layer asks of its arguments, each rule told in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError

Lengths = Sequence[int] | NDArray[np.integer[Any]] | Tensor
"""Valid steps of each sequence, as a user may give them."""


def check_count(owner: str, name: str, value: object) -> int:
    """Refuse what is not a whole number of at least 1; NumPy's are taken too."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(f"{owner}: {name} must be a whole number (got {value!r}); pass an int")
    if value < 1:
        raise ArgumentError(f"{owner}: {name} must be at least 1 (got {value}); pass a positive int")
    return int(cast(int, value))


def check_dtype(owner: str, dtype: object) -> None:
    """Refuse what parameters cannot be made of."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ArgumentTypeError(
            f"{owner}: dtype must be a floating dtype of torch (got {dtype!r}); for example torch.float32"
        )


def check_switch(owner: str, name: str, value: object) -> None:
    """Refuse what is not True or False."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{owner}: {name} must be True or False (got {value!r})")


def check_dropout(owner: str, value: object) -> float:
    """Refuse what is not a probability; 1 is allowed, as in torch."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ArgumentError(f"{owner}: dropout must be a probability in [0, 1] (got {value!r})")
    return float(value)


def check_input(owner: str, x: object, *, input_size: int, batch_first: bool, parameter: Tensor) -> Tensor:
    """Check rank, feature size, dtype and device of a layer's input.

    Args:
        owner: the class the message names.
        x: what came.
        input_size: ``I``.
        batch_first: whether the batch axis is the first one.
        parameter: a parameter of the layer, for its dtype and device.

    Returns:
        The input.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype than the parameters.
        ArgumentError: for a wrong rank or feature size, or another device.
    """
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(
            f"{owner}: input must be a tensor or a PackedSequence (got {type(x).__name__}); "
            "for a NumPy array pass torch.from_numpy(array)"
        )
    _check_dense(owner, x)
    axes = "[batch, time, features]" if batch_first else "[time, batch, features]"
    if x.dim() not in (2, 3):
        raise ArgumentError(
            f"{owner}: input must be {axes}, or [time, features] for a single sequence (got shape {tuple(x.shape)})"
        )
    if x.shape[-1] != input_size:
        matching = [axis for axis in range(x.dim() - 1) if x.shape[axis] == input_size]
        hint = (
            f"axis {matching[0]} has that size: transpose the input so that the features come last"
            if matching
            else f"pass that many features or build the layer with input_size={x.shape[-1]}"
        )
        raise ArgumentError(
            f"{owner}: the last axis of input must be input_size={input_size} (got shape {tuple(x.shape)}); {hint}"
        )
    check_like_parameters(owner, "input", x, parameter)
    return x


def _check_dense(owner: str, x: Tensor) -> None:
    """Refuse sparse and nested tensors, whose elements do not lie where the kernels look for them."""
    if x.layout is not torch.strided or x.is_nested:
        way_out = "pass the padded batch and lengths=" if x.is_nested else "convert it with .to_dense()"
        raise ArgumentTypeError(
            f"{owner}: input must be dense (got a {'nested' if x.is_nested else 'sparse'} tensor); {way_out}"
        )


def check_input_features(owner: str, x: object, *, input_size: int, parameter: Tensor) -> Tensor:
    """Check type, feature size, dtype and device of an input with any axes before the features.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype than the parameters.
        ArgumentError: for a wrong feature size or another device.
    """
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(f"{owner}: input must be a tensor (got {type(x).__name__})")
    _check_dense(owner, x)
    if x.dim() < 1 or x.shape[-1] != input_size:
        raise ArgumentError(
            f"{owner}: the last axis of input must be input_size={input_size} (got shape {tuple(x.shape)})"
        )
    check_like_parameters(owner, "input", x, parameter)
    return x


def check_generator(owner: str, generator: object, device: torch.device | None = None) -> None:
    """Refuse what is no generator (or ``None``), or one of another device than what is drawn, if that must be one.

    Raises:
        ArgumentTypeError: for what is no ``torch.Generator``.
        ArgumentError: for one of another device.
    """
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise ArgumentTypeError(
            f"{owner}: generator must be a torch.Generator (got {type(generator).__name__}); "
            "for example torch.Generator().manual_seed(0)"
        )
    if device is None:
        return
    if generator.device.type != device.type or (generator.device.index or 0) != (device.index or 0):
        raise ArgumentError(
            f"{owner}: generator must be on the device of the parameters, {device} (got {generator.device}); "
            f"make it with torch.Generator({str(device)!r})"
        )


def check_step(owner: str, x: object, *, input_size: int, parameter: Tensor) -> Tensor:
    """Check type, rank, feature size, dtype and device of a cell's input, ``[B, I]`` or ``[I]``.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype than the parameters.
        ArgumentError: for a wrong rank or feature size, or another device.
    """
    if isinstance(x, Tensor) and x.dim() not in (1, 2):
        layer = owner.removesuffix("Cell")
        raise ArgumentError(
            f"{owner}: input must be [batch, features], or [features] for a single row (got shape {tuple(x.shape)}); "
            f"a cell takes one step: pass input[t], or use {layer} for whole sequences"
        )
    return check_input_features(owner, x, input_size=input_size, parameter=parameter)


def check_pair(owner: str, hx: object) -> tuple[Tensor, ...] | None:
    """Refuse what is no tuple (or list) of an LSTM's states; ``None`` is left as it is."""
    if hx is None:
        return None
    if not isinstance(hx, (tuple, list)):
        raise ArgumentTypeError(
            f"{owner}: hx must be the tuple (h_0, c_0) (got {type(hx).__name__}); for zeros leave it out"
        )
    return tuple(cast("Sequence[Tensor]", hx))


def check_single(owner: str, hx: object) -> tuple[Tensor] | None:
    """Refuse a tuple where an RNN has one state, whose tensor is given back as the only part of it."""
    if isinstance(hx, (tuple, list)):
        came = "tuple" if isinstance(hx, tuple) else "list"
        raise ArgumentTypeError(f"{owner}: hx must be the tensor h_0, not a {came}; an RNN has no cell")
    return None if hx is None else (cast(Tensor, hx),)


def check_state(
    owner: str,
    name: str,
    state: object,
    *,
    shape: tuple[int, ...],
    steps: int,
    parameter: Tensor,
    batch_first: bool = False,
) -> Tensor:
    """Check one initial state.

    Args:
        owner: the class the message names.
        name: ``h_0``, ``c_0`` or ``r_0``.
        state: what came.
        shape: ``[layers x directions, B, size]`` (``[B, layers x directions, size]`` with batch-first states), or
            without ``B`` for a single sequence; of a cell ``[B, size]``.
        steps: ``T``, to see swapped axes.
        parameter: a parameter of the layer, for its dtype and device.
        batch_first: whether states have their batch first.

    Raises:
        ArgumentTypeError: for what is no tensor or of another dtype.
        ArgumentError: for a wrong shape or another device.
    """
    if not isinstance(state, Tensor):
        way_out = "; for zeros leave out the whole hx" if state is None else ""
        raise ArgumentTypeError(f"{owner}: {name} must be a tensor (got {type(state).__name__}){way_out}")
    if tuple(state.shape) != shape:
        in_time = (steps, *shape[1:]) if batch_first else (shape[0], steps, *shape[2:])
        swapped = len(shape) == 3 and tuple(state.shape) == in_time
        transposed = len(shape) == 3 and tuple(state.shape) == (shape[1], shape[0], shape[2])
        hint = ""
        if swapped:
            hint = "; its batch is the input's time axis: swap the input's first two axes or change batch_first"
        elif transposed:
            order = (
                "states have the batch first with batch_first_states"
                if batch_first
                else "states keep the layers first even with batch_first"
            )
            hint = f"; {order}: transpose(0, 1)"
        raise ArgumentError(f"{owner}: {name} must have the shape {shape} (got {tuple(state.shape)}){hint}")
    check_like_parameters(owner, name, state, parameter)
    return state


def check_whole_numbers(owner: str, name: str, value: object, *, parameter: Tensor) -> Tensor:
    """Check type and device of what an embedding is given; which numbers there are, :func:`check_range` checks.

    Args:
        owner: the class the message names.
        name: what it calls the value.
        value: what came.
        parameter: a parameter of the module, for its device.

    Returns:
        The value as int64.

    Raises:
        ArgumentTypeError: for what is no tensor of whole numbers.
        ArgumentError: for another device.
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"{owner}: {name} must be a tensor of whole numbers (got {type(value).__name__})")
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise ArgumentTypeError(
            f"{owner}: {name} of an embedding must be whole numbers (got {value.dtype}); pass torch.int64, or build "
            "the network without an embedding for features"
        )
    _check_device(owner, name, value, parameter)
    return value.long()


def check_range(owner: str, name: str, ids: Tensor, vocabulary: int) -> None:
    """Refuse whole numbers, ``[T, B]`` or ``[B]``, that an embedding does not have.

    Raises:
        ArgumentError: for a number below 0 or from ``vocabulary`` on. Not where torch compiles, since a look at the
            values would break the graph; torch's own check stays.
    """
    if torch.compiler.is_compiling():
        return
    outside = (ids < 0) | (ids >= vocabulary)
    if bool(outside.any()):
        first = outside.nonzero()[0]
        where = f"in row {int(first[0])}" if len(first) == 1 else f"at step {int(first[0])} of sequence {int(first[1])}"
        raise ArgumentError(
            f"{owner}: {name} must hold whole numbers from 0 to num_embeddings - 1 = {vocabulary - 1} "
            f"(got {int(ids[outside][0])} {where}); "
            "what lies behind the end of a sequence is not looked at where lengths are given"
        )


def _check_device(owner: str, name: str, value: Tensor, parameter: Tensor) -> None:
    if value.device != parameter.device:
        raise ArgumentError(
            f"{owner}: {name} must be on the device of the parameters, {parameter.device} (got {value.device}); "
            f"move one of them with .to(...)"
        )


def check_like_parameters(owner: str, name: str, value: Tensor, parameter: Tensor) -> None:
    """Refuse a tensor of another device or dtype than the parameters.

    Raises:
        ArgumentTypeError: for another dtype.
        ArgumentError: for another device.
    """
    _check_device(owner, name, value, parameter)
    if value.dtype != parameter.dtype:
        or_the_layer = f" or the layer with .to({value.dtype})" if value.dtype.is_floating_point else ""
        raise ArgumentTypeError(
            f"{owner}: {name} must have the dtype of the parameters, {parameter.dtype} (got {value.dtype}); "
            f"convert it with .to({parameter.dtype}){or_the_layer}"
        )


def check_lengths(owner: str, lengths: Lengths, *, steps: int, batch: int) -> Tensor | None:
    """Check the lengths of a ragged batch.

    Args:
        owner: the class the message names.
        lengths: a list, array or tensor of whole numbers, one for each sequence, from 0 to ``steps``.
        steps: ``T``.
        batch: ``B``.

    Returns:
        ``[B]`` int64 on the CPU, or ``None`` where every sequence has all steps. A compiler of torch, which knows
        shapes alone, gets them with their count checked.

    Raises:
        ArgumentTypeError: for what are no whole numbers.
        ArgumentError: for a wrong count, or a length below 0 or above ``T``.
    """
    values = _whole_numbers(owner, lengths)
    if tuple(values.shape) != (batch,):
        hint = (
            "; that is the number of time steps: swap the input's first two axes or change batch_first"
            if tuple(values.shape) == (steps,)
            else ""
        )
        raise ArgumentError(
            f"{owner}: lengths must hold one number for each of the {batch} sequences "
            f"(got shape {tuple(values.shape)}){hint}"
        )
    if torch.compiler.is_compiling():  # no values yet: the operator looks at them when it runs
        return values
    outside = (values < 0) | (values > steps)
    if bool(outside.any()):
        at = int(outside.nonzero()[0, 0])
        raise ArgumentError(
            f"{owner}: lengths must lie between 0 and the number of time steps, {steps} "
            f"(got {int(values[at])} at position {at})"
        )
    return None if bool((values == steps).all()) else values


def _whole_numbers(owner: str, lengths: object) -> Tensor:
    if isinstance(lengths, Tensor) or torch.compiler.is_compiling():  # which does not look into NumPy's dtypes
        values = torch.as_tensor(cast(Any, lengths)).detach()
    else:
        values = _from_array(lengths)
    if values is None or values.dtype == torch.bool or values.is_floating_point() or values.is_complex():
        is_mask = values is not None and values.dtype == torch.bool
        way_out = "of a mask pass the sums over time" if is_mask else "pass a list, array or tensor of ints"
        raise ArgumentTypeError(f"{owner}: lengths must be whole numbers (got {_kind(lengths)}); {way_out}")
    if values.is_meta:
        raise ArgumentError(f"{owner}: lengths must have values (got a tensor on meta); pass them on the CPU")
    return values.to("cpu", torch.int64)


def _from_array(lengths: object) -> Tensor | None:
    """Whole numbers, truth values or floating numbers as a tensor; ``None`` for all else."""
    try:
        array = np.asarray(cast(Any, lengths))
    except ValueError:  # lists of several lengths
        return None
    if array.size == 0:
        array = array.astype(np.int64)
    return torch.as_tensor(array) if array.dtype.kind in "iubf" else None


def _kind(value: object) -> str:
    """The type, with that of the elements where they have one."""
    kind, dtype = type(value).__name__, cast(object, getattr(value, "dtype", None))
    if isinstance(value, (list, tuple)):
        elements = cast("Sequence[object]", value)
        return f"{kind} of {' and '.join(sorted({type(one).__name__ for one in elements}))}"
    return kind if dtype is None else f"{kind} of {dtype}"
