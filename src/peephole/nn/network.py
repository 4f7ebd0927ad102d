"""``Network``: a whole network made from its :class:`~peephole.spec.NetworkSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.checks import Lengths, check_lengths
from peephole.nn.lstm import LSTM
from peephole.nn.mlp import MLP
from peephole.nn.rnn import RNN
from peephole.spec import MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import network_shapes


@final
class Network(torch.nn.Module):
    """A body and a linear head, ``y = V h + d``.

    The names of the parameters are those of the artifact (:func:`peephole.weights.network_shapes`): ``body.*``,
    ``head.weight``, ``head.bias``.

    Args:
        spec: body, head and what the head sees.
        dropout: probability of dropout between recurrent layers, in training.
        device: where the parameters are made.
        dtype: their dtype.

    Attributes:
        spec: the description, frozen.
        body: :class:`~peephole.nn.LSTM`, :class:`~peephole.nn.RNN` or :class:`~peephole.nn.MLP`.
        head: the linear layer.

    Raises:
        ArgumentError: for a dropout out of range.
    """

    spec: NetworkSpec
    body: LSTM | RNN | MLP
    head: torch.nn.Linear

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.body = _body(spec.body, dropout=dropout, device=device, dtype=dtype)
        self.head = torch.nn.Linear(spec.body.feature_size, spec.output_size, device=device, dtype=dtype)

    def forward(self, input: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """Run body and head.

        Args:
            input: ``[T, B, I]`` (or ``[T, I]``) into a recurrent body, ``[…, I]`` into a perceptron.
            lengths: valid steps of each sequence, for a recurrent body.

        Returns:
            ``[B, K]`` from the last valid step, or ``[T, B, K]`` with ``readout="every"`` (without ``B`` for a single
            sequence); ``[…, K]`` from a perceptron. A sequence of length 0 shows the head zeros.

        Raises:
            ArgumentError: for wrong shapes, lengths or devices.
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
            ArgumentError: for wrong shapes, lengths or devices, or a state given to a perceptron.
            ArgumentTypeError: for wrong types or dtypes.
        """
        if isinstance(self.body, MLP):
            if lengths is not None or hx is not None:
                raise ArgumentError("Network: lengths and hx belong to a recurrent body (got an MLP); leave them out")
            return cast(Tensor, self.head(self.body(input))), ()
        if isinstance(self.body, LSTM):
            features, final = cast("tuple[Tensor, tuple[Tensor, ...]]", self.body(input, hx, lengths=lengths))
        else:
            h_0 = None if hx is None else _only(hx)
            features, h_n = cast("tuple[Tensor, Tensor]", self.body(input, h_0, lengths=lengths))
            final = (h_n,)
        if self.spec.readout == "last":
            features = _last_valid(features, lengths)
        return cast(Tensor, self.head(features)), final

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of every tensor under its name in an artifact, as NumPy arrays."""
        state = cast("Mapping[str, Tensor]", self.state_dict())
        return {name: state[name].detach().cpu().numpy().copy() for name in network_shapes(self.spec)}

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take every tensor from NumPy arrays, the inverse of :meth:`to_arrays`.

        Args:
            arrays: by name; all and only those of :func:`peephole.weights.network_shapes`.

        Raises:
            ArgumentError: for a missing, extra or misshapen array; nothing is changed then.
        """
        shapes = network_shapes(self.spec)
        if arrays.keys() != shapes.keys():
            missing, extra = sorted(shapes.keys() - arrays.keys()), sorted(arrays.keys() - shapes.keys())
            raise ArgumentError(f"Network: arrays must be those of the spec (missing {missing}, not in it {extra})")
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ArgumentError(f"Network: {name} must have the shape {shape} (got {arrays[name].shape})")
        with torch.no_grad():
            for name in shapes:
                self.get_parameter(name).copy_(
                    torch.as_tensor(np.array(arrays[name]))
                )  # torch wants what can be written


def _body(
    spec: RecurrentSpec | MLPSpec, *, dropout: float, device: torch.device | str | None, dtype: torch.dtype | None
) -> LSTM | RNN | MLP:
    if isinstance(spec, MLPSpec):
        return MLP(spec.input_size, spec.hidden_sizes, spec.activation, bias=spec.bias, device=device, dtype=dtype)
    sizes = (spec.input_size, spec.hidden_size, spec.num_layers)
    if spec.cell.cell == "rnn":
        return RNN(
            *sizes,
            bias=spec.bias,
            dropout=dropout,
            bidirectional=spec.bidirectional,
            device=device,
            dtype=dtype,
            variant=spec.cell,
            learned_state=spec.learned_state,
        )
    return LSTM(
        *sizes,
        bias=spec.bias,
        dropout=dropout,
        bidirectional=spec.bidirectional,
        device=device,
        dtype=dtype,
        variant=spec.cell,
        learned_state=spec.learned_state,
    )


def _only(hx: tuple[Tensor, ...]) -> Tensor:
    if len(hx) != 1:
        raise ArgumentTypeError(f"Network: hx of an RNN must be the tuple (h_0,) (got {len(hx)} tensors)")
    return hx[0]


def _last_valid(features: Tensor, lengths: Lengths | None) -> Tensor:
    """The features at each sequence's last valid step; zeros for a sequence of length 0."""
    if lengths is None or features.dim() == 2:
        ends = None if lengths is None else check_lengths("Network", lengths, steps=features.shape[0], batch=1)
        return features[-1] if ends is None else features[max(int(ends[0]) - 1, 0)]
    ends = check_lengths("Network", lengths, steps=features.shape[0], batch=features.shape[1])
    if ends is None:
        return features[-1]
    last = (ends - 1).clamp(min=0).to(features.device)  # step 0 of an empty sequence is 0 already
    return features[last, torch.arange(features.shape[1], device=features.device)]
