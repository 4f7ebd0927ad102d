"""From what a network is given to time-major batches, checked, and from its outputs back to the user's layout."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.cell import valid_steps
from peephole.nn.checks import (
    Lengths,
    check_input,
    check_input_features,
    check_lengths,
    check_range,
    check_whole_numbers,
)
from peephole.spec import MLPSpec, NetworkSpec


class Arranged(NamedTuple):
    """An input as a network works on it.

    Attributes:
        x: ``[T, B, I]``, or whole numbers ``[T, B]`` for an embedding; ``T = 1`` for samples without time.
        lengths: ``[B]`` int64 on the CPU, or None where every sequence has all steps.
        valid: ``[T, B, 1]``, whether a step lies inside its sequence, or None where all do.
        has_time: whether the input had a time axis.
        has_batch: whether it had a batch axis.
        batch_first: whether that was the first one.
    """

    x: Tensor
    lengths: Tensor | None
    valid: Tensor | None
    has_time: bool
    has_batch: bool
    batch_first: bool

    def restore(self, y: Tensor, *, over_time: bool) -> Tensor:
        """Bring outputs, ``[T, B, K]`` over time and else ``[B, K]``, into the layout of the input."""
        if over_time and self.has_time:
            return y[:, 0] if not self.has_batch else y.transpose(0, 1) if self.batch_first else y
        y = y[0] if over_time else y
        return y if self.has_batch else y[0]


def arrange(
    spec: NetworkSpec, given: object, lengths: Lengths | None, *, batch_first: bool, parameter: Tensor
) -> Arranged:
    """Check an input and bring it into the inner layout.

    A recurrent body has time in every input. A perceptron has it where there are two axes before the features (in
    whole numbers: two axes), or where lengths are given.

    Args:
        spec: the network.
        given: the input, as the user gave it.
        lengths: valid steps of each sequence, as the user gave them.
        batch_first: whether the batch axis comes before the time axis.
        parameter: a parameter of the network, for its dtype and device.

    Raises:
        ArgumentError: for wrong shapes, lengths or devices.
        ArgumentTypeError: for wrong types or dtypes.
    """
    if isinstance(given, PackedSequence):
        raise ArgumentTypeError(
            "Network: input must be a tensor (got a PackedSequence); pass the padded batch and its lengths="
        )
    perceptron = isinstance(spec.body, MLPSpec)
    x = _checked(spec, given, batch_first=batch_first, parameter=parameter)
    axes = x.dim() - (spec.vocabulary is None)
    least = int(not perceptron or lengths is not None)
    if not least <= axes <= 2:
        raise ArgumentError(f"Network: input must be {_layouts(spec, batch_first)} (got shape {tuple(x.shape)})")
    has_time = axes == 2 or bool(least)
    has_batch = axes == 2 or (axes == 1 and not has_time)
    if axes == 2 and batch_first:
        x = x.transpose(0, 1)
    if not has_batch:
        x = x.unsqueeze(axes)  # behind the time axis, if there is one
    if not has_time:
        x = x.unsqueeze(0)
    ends = None if lengths is None else check_lengths("Network", lengths, steps=x.shape[0], batch=x.shape[1])
    valid = None if ends is None else valid_steps(ends, x.shape[0], x.device)
    if spec.vocabulary is not None:
        x = _ids(x, valid, spec.vocabulary)
    return Arranged(x, ends, valid, has_time, has_batch, batch_first)


def _checked(spec: NetworkSpec, given: object, *, batch_first: bool, parameter: Tensor) -> Tensor:
    """The tensor, of the right kind of numbers, on the right device and with the right features."""
    size = spec.input_size
    if size is not None and isinstance(spec.body, MLPSpec):
        return check_input_features("Network", given, input_size=size, parameter=parameter)
    if size is not None:
        return check_input("Network", given, input_size=size, batch_first=batch_first, parameter=parameter)
    return check_whole_numbers("Network", "input", given, parameter=parameter)


def _ids(ids: Tensor, valid: Tensor | None, vocabulary: int) -> Tensor:
    """Whole numbers as an embedding takes them; what lies behind the end of a sequence is not looked at."""
    ids = ids if valid is None else ids.masked_fill(~valid.squeeze(-1), 0)
    check_range("Network", "input", ids, vocabulary)
    return ids


def _layouts(spec: NetworkSpec, batch_first: bool) -> str:
    """The layouts that a network takes, in words."""
    features = "" if spec.vocabulary is not None else ", features"
    sequences = f"[batch, time{features}]" if batch_first else f"[time, batch{features}]"
    if isinstance(spec.body, MLPSpec):
        return f"[batch{features}], or {sequences} for sequences"
    return f"{sequences}, or [time{features}] for a single sequence"
