"""``Network``: a whole network made from its :class:`~peephole.spec.NetworkSpec`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, cast, final

import torch
from numpy.typing import NDArray
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.arrange import Arranged, arrange
from peephole.nn.arrays import load_arrays, to_arrays
from peephole.nn.building import make_body, make_input
from peephole.nn.checks import Lengths, check_dropout, check_dtype, check_switch
from peephole.nn.lstm import LSTM
from peephole.nn.mixed import autocast_dtype, like_parameters
from peephole.nn.mlp import MLP
from peephole.nn.readout import read_out
from peephole.nn.rnn import RNN
from peephole.spec import MLPSpec, NetworkSpec
from peephole.spec.checks import check_kind
from peephole.weights import network_shapes


@final
class Network(torch.nn.Module):
    """An input, a body and a linear head, ``y = V q + d``, where ``q`` is what the readout shows of the body.

    One-to-one, many-to-one and synced many-to-many of 002 Fig. 5.1; the other shapes are those of an
    :class:`~peephole.nn.EncoderDecoder`. The names of the parameters are those of the artifact
    (:func:`peephole.weights.network_shapes`): ``input.*``, ``body.*``, ``head.weight``, ``head.bias``.
    It begins with torch's first weights; :func:`peephole.nn.initialise` draws those of the body by another scheme.

    Args:
        spec: input, body, head and what the head sees.
        dropout: probability of dropout between recurrent layers, in training.
        batch_first: input and output are ``[B, T, size]`` instead of ``[T, B, size]``; states are not affected.
        device: where the parameters are made.
        dtype: their dtype.

    Attributes:
        spec: the description, frozen.
        batch_first: whether the batch axis of input and output is the first one.
        input: a ``torch.nn.Embedding`` or ``torch.nn.Linear``, or None where the body takes the features as they are.
        body: :class:`~peephole.nn.LSTM`, :class:`~peephole.nn.RNN` or :class:`~peephole.nn.MLP`.
        head: the linear layer.

    Raises:
        ArgumentError: for a dropout out of range.
        ArgumentTypeError: for a ``batch_first`` that is not True or False.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> from peephole.spec import NetworkSpec, body_spec
        >>> network = nn.Network(NetworkSpec(body=body_spec("peephole", 3), output_size=2, readout="mean"))
        >>> tuple(network(torch.randn(7, 4, 3), lengths=[7, 2, 5, 1]).shape)
        (4, 2)
    """

    spec: NetworkSpec
    batch_first: bool
    input: torch.nn.Embedding | torch.nn.Linear | None
    body: LSTM | RNN | MLP
    head: torch.nn.Linear

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        dropout: float = 0.0,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_kind("spec", spec, (NetworkSpec,), owner="Network")
        check_switch("Network", "batch_first", batch_first)
        check_dtype("Network", dtype)
        if check_dropout("Network", dropout) and isinstance(spec.body, MLPSpec):
            warnings.warn(
                f"Network: dropout acts between recurrent layers and does nothing with an MLP (got dropout={dropout}); "
                "leave it out",
                stacklevel=2,
            )
        self.spec = spec
        self.batch_first = batch_first
        self.input = make_input(spec.input, device=device, dtype=dtype)
        self.body = make_body(spec.body, dropout=dropout, device=device, dtype=dtype)
        self.head = torch.nn.Linear(spec.body.feature_size, spec.output_size, device=device, dtype=dtype)

    def forward(self, input: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Run the network.

        Args:
            input: into a recurrent body ``[T, B, I]``, or ``[T, I]`` for a single sequence; with ``batch_first``
                ``[B, T, I]``. Into a perceptron the same ``[T, B, I]`` (``[B, T, I]``), each step by itself, or samples
                without time, ``[B, I]`` or ``[I]``. For an embedding whole numbers without the last axis, ``[T, B]``,
                ``[T]`` and, into a perceptron, ``[B]``, each from 0 to ``num_embeddings − 1``.
            lengths: valid steps of each sequence, 0 to ``T``; all steps if left out. What lies behind changes nothing,
                and need not be a number of the embedding. With a perceptron they say that ``[T, I]`` is a single
                sequence and not a batch of samples.

        Returns:
            ``[B, K]`` with the readouts ``"last"``, ``"mean"`` and ``"max"``; with ``"every"`` ``[T, B, K]``
            (``[B, T, K]``), where the head shows its bias behind the end of a sequence. Without ``B`` for a single
            sequence, ``[B, K]`` or ``[K]`` for samples without time. A sequence of length 0 shows the head zeros.

        Raises:
            ArgumentError: for wrong shapes, lengths, devices or whole numbers.
            ArgumentTypeError: for wrong types or dtypes.
        """
        return self.run(input, lengths=lengths)[0]

    def run(
        self, input: Tensor, hx: tuple[Tensor, ...] | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The same with a state to start from, and the state at the end; for truncated BPTT and streaming.

        Args:
            input: as in :meth:`forward`.
            hx: the state before the first step, ``(h,)`` of an RNN and ``(h, c)`` or ``(h, c, r)`` of an LSTM; zeros
                if left out.
            lengths: valid steps of each sequence.

        Returns:
            The output, and the final state in the same form (empty for a perceptron).

        Raises:
            ArgumentError: for wrong shapes, lengths, devices or whole numbers, or a state given to a perceptron.
            ArgumentTypeError: for wrong types or dtypes.

        Example:
            >>> import torch
            >>> from peephole import nn
            >>> from peephole.spec import NetworkSpec, body_spec
            >>> network = nn.Network(NetworkSpec(body=body_spec("lstm", 3), output_size=2))
            >>> y, state = network.run(torch.randn(7, 4, 3))
            >>> y, state = network.run(torch.randn(7, 4, 3), state)  # and on from there
            >>> tuple(y.shape), [tuple(part.shape) for part in state]
            ((4, 2), [(1, 4, 32), (1, 4, 32)])
        """
        parameter = self.head.weight
        given = input if autocast_dtype(parameter) is None else like_parameters(input, parameter)
        at = arrange(self.spec, given, lengths, batch_first=self.batch_first, parameter=parameter)
        features, final = self._features(at, hx)
        y = cast(Tensor, self.head(read_out(self.spec.readout, features, at.lengths)))
        return at.restore(y, over_time=self.spec.readout == "every"), final

    def _features(self, at: Arranged, hx: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What the body makes of every step, ``[T, B, F]``, 0 behind the end of a sequence; and its final state."""
        x, perceptron = at.x, isinstance(self.body, MLP)
        if at.valid is not None and x.is_floating_point() and (perceptron or self.input is not None):
            x = x.masked_fill(~at.valid, 0)  # so that not even a NaN in the padding reaches a gradient
        if self.input is not None:
            x = cast(Tensor, self.input(x))
        if isinstance(self.body, MLP):
            if hx is not None:
                raise ArgumentError("Network: hx belongs to a recurrent body (got an MLP); leave it out")
            y = cast(Tensor, self.body(x))
            return (y if at.valid is None else y.masked_fill(~at.valid, 0)), ()
        x = x if at.has_batch else x[:, 0]
        if isinstance(self.body, LSTM):
            y, final = cast("tuple[Tensor, tuple[Tensor, ...]]", self.body(x, hx, lengths=at.lengths))
        else:
            h_0 = None if hx is None else _only(hx)
            y, h_n = cast("tuple[Tensor, Tensor]", self.body(x, h_0, lengths=at.lengths))
            final = (h_n,)
        return (y if at.has_batch else y.unsqueeze(1)), final

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of every tensor under its name in an artifact, as NumPy arrays."""
        return to_arrays(self, network_shapes(self.spec))

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take every tensor from NumPy arrays, the inverse of :meth:`to_arrays`.

        Args:
            arrays: by name; all and only those of :func:`peephole.weights.network_shapes`.

        Raises:
            ArgumentError: for a missing, extra or misshapen array; nothing is changed then.
        """
        load_arrays(self, network_shapes(self.spec), arrays)


def _only(hx: tuple[Tensor, ...]) -> Tensor:
    if not isinstance(cast(object, hx), (tuple, list)) or len(hx) != 1:
        came = "a tensor" if isinstance(cast(object, hx), Tensor) else f"{len(hx)} tensors"
        raise ArgumentTypeError(f"Network: hx of an RNN must be the tuple (h_0,) (got {came}); pass it as (h_0,)")
    return hx[0]
