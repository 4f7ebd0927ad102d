"""What LSTM and RNN have in common: parameters, argument checks, layouts, and the choice of what runs the cells."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import Parameter, init
from torch.nn.utils.rnn import PackedSequence

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import autograd, cudnn, reference
from peephole.nn.cell import CellRun, CellState
from peephole.nn.checks import Lengths, check_dropout, check_input, check_lengths, check_state, check_switch
from peephole.nn.engine import kernels_serve
from peephole.nn.loading import Loadable
from peephole.nn.mixed import autocast_dtype, like_parameters, without_autocast
from peephole.nn.packed import pack_like, unpack
from peephole.nn.stack import run_stack
from peephole.spec import RecurrentSpec
from peephole.weights import module_shapes

_STATE_NAMES = ("h_0", "c_0", "r_0")


class Outcome(NamedTuple):
    """What a pass gives, in the user's layout.

    Attributes:
        output: ``h`` of the last layer at every step, directions side by side; packed if the input was.
        final: the final states ``h_n``, ``c_n``, ``r_n`` as far as the cell has them, each
            ``[layers x directions, B, size]``.
        runs: every layer's and direction's run, time-major; empty if its states were not asked for.
        lengths: ``[B]`` int64 on the CPU, or ``None`` where every sequence has all steps.
        steps_to_user: brings ``[layers x directions, T, B, size]`` into the user's layout.
    """

    output: Tensor | PackedSequence
    final: tuple[Tensor, ...]
    runs: list[CellRun]
    lengths: Tensor | None
    steps_to_user: Callable[[Tensor], Tensor]


class Recurrent(Loadable):
    """A stack of recurrent layers with torch's parameter names; abstract.

    Attributes:
        spec: sizes and cell, frozen.
        batch_first: whether the batch axis of input and output is the first one.
        dropout: probability of dropout between the layers, in training.
    """

    spec: RecurrentSpec
    batch_first: bool
    dropout: float

    def __init__(
        self,
        spec: RecurrentSpec,
        *,
        batch_first: bool,
        dropout: float,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        check_switch(owner, "batch_first", batch_first)
        self.spec = spec
        self.batch_first = batch_first
        self.dropout = check_dropout(owner, dropout)
        if self.dropout and spec.num_layers == 1:
            warnings.warn(
                f"{owner}: dropout acts between layers and does nothing with num_layers=1 (got dropout={dropout}); "
                "use more layers, or recurrent_dropout=",
                stacklevel=3,
            )
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentTypeError(f"{owner}: dtype must be a floating dtype (got {dtype})")
        self._parameter_names = tuple(module_shapes(spec))
        for name, shape in module_shapes(spec).items():
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()
        self.flatten_parameters()

    @property
    def input_size(self) -> int:
        """``I``, features of one step."""
        return self.spec.input_size

    @property
    def hidden_size(self) -> int:
        """``H``, units of one layer and direction."""
        return self.spec.hidden_size

    @property
    def num_layers(self) -> int:
        """Layers, the ``h`` of one being the ``x`` of the next."""
        return self.spec.num_layers

    @property
    def bias(self) -> bool:
        """Whether the cells have bias terms."""
        return self.spec.bias

    @property
    def bidirectional(self) -> bool:
        """Whether a second network runs from the last valid step to the first."""
        return self.spec.bidirectional

    @property
    def proj_size(self) -> int:
        """``P``, the size ``h`` is projected to; 0 without projection."""
        return self.spec.cell.proj_size

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction, as in torch."""
        per_cell = len(self._parameter_names) // (self.num_layers * self.spec.num_directions)
        flat = [getattr(self, name) for name in self._parameter_names]  # whatever has taken a parameter's place
        return [flat[at : at + per_cell] for at in range(0, len(flat), per_cell)]

    def reset_parameters(self) -> None:
        """Draw every weight from ``U(−1/√H, 1/√H)`` in torch's order; layer norm starts as the identity."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name in self._parameter_names:
            parameter = self.get_parameter(name)
            if name.startswith("norm_"):
                init.constant_(parameter, float(name.startswith("norm_gain")))
            else:
                init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Lay the weights into one piece for cuDNN, as torch does; on a CPU there is nothing to do."""
        own = cast("dict[str, Tensor | None]", self._parameters)
        weights = [q for name in self._parameter_names if (q := own.get(name)) is not None]
        if len(weights) == len(self._parameter_names):  # all are there, none is computed from others
            cudnn.flatten(self.spec, weights)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Recurrent:
        moved = cast(Recurrent, super()._apply(fn, recurse))  # pyright: ignore[reportUnknownMemberType]
        self.flatten_parameters()
        return moved

    def _own_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return module_shapes(self.spec)

    def _run(
        self,
        input: Tensor | PackedSequence,
        states: tuple[Tensor, ...] | None,
        *,
        lengths: Lengths | None,
        want_states: bool,
    ) -> Outcome:
        """Check the arguments, run the stack, and bring the results into the user's layout."""
        owner = type(self).__name__
        own = cast(
            "dict[str, Tensor]", self._parameters
        )  # quicker than getattr, which serves what took a parameter's place
        parameters = {name: own[name] if name in own else getattr(self, name) for name in self._parameter_names}
        first = parameters[self._parameter_names[0]]
        lower = autocast_dtype(first)
        if lower is not None:
            input, states = like_parameters(input, first), like_parameters(states, first)
        packed = input if isinstance(input, PackedSequence) else None
        if packed is not None and lengths is not None:
            raise ArgumentError(f"{owner}: a PackedSequence has its own lengths; leave lengths= out")
        unpacked = None if packed is None else unpack(packed)
        if unpacked is not None:
            input, lengths = unpacked
        batch_first = self.batch_first and packed is None
        x = check_input(owner, input, input_size=self.input_size, batch_first=batch_first, parameter=first)
        single = x.dim() == 2

        def between(q: Tensor) -> Tensor:
            """From the inner layout ``[…, T, B, size]`` to the user's."""
            return q.squeeze(-2) if single else q.transpose(-3, -2) if batch_first else q

        x = x.unsqueeze(1) if single else between(x)
        valid = None if lengths is None else check_lengths(owner, lengths, steps=x.shape[0], batch=x.shape[1])
        hidden = self._initial(states, x, single=single)
        output, final, runs = self._compute(parameters, x, hidden, lengths=valid, want_states=want_states)
        if lower is not None:
            output, final = output.to(lower), tuple(q.to(lower) for q in final)
        if packed is not None and unpacked is not None:
            return Outcome(pack_like(output, packed, unpacked.lengths), final, runs, valid, between)
        return Outcome(between(output), tuple(q.squeeze(1) for q in final) if single else final, runs, valid, between)

    def _compute(
        self,
        parameters: dict[str, Tensor],
        x: Tensor,
        hidden: tuple[Tensor, ...] | None,
        *,
        lengths: Tensor | None,
        want_states: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], list[CellRun]]:
        """Outputs ``[T, B, D·P]``, final states, and every layer's and direction's run where the stack is our own."""
        whole = lengths is None and not want_states and x.numel() > 0
        if x.is_cuda and whole and cudnn.mode(self.spec) is not None:
            weights = list(parameters.values())
            hidden = self._zeros(x) if hidden is None else hidden
            output, final = cudnn.run(self.spec, weights, x, hidden, training=self.training, dropout=self.dropout)
            return output, final, []
        run = without_autocast(run_stack, x)(
            self.spec,
            parameters,
            x,
            None if hidden is None else [CellState(*parts) for parts in zip(*hidden, strict=True)],
            engine=autograd.run_layer if kernels_serve(x) else reference.run_layer,
            lengths=lengths,
            training=self.training,
            dropout=self.dropout,
            want_states=want_states,
        )
        return run.output, tuple(_stacked(parts) for parts in _transposed(run.final)), run.runs

    def _state_sizes(self) -> list[int]:
        """The sizes of ``h``, ``c``, ``r`` as far as the cell has them."""
        cell, hidden_size = self.spec.cell, self.hidden_size
        sizes = [cell.proj_size or hidden_size]
        if cell.cell == "lstm":
            sizes.append(hidden_size)
        if cell.full_gate_recurrence:
            sizes.append(len(cell.gates) * hidden_size // cell.cells_per_block)
        return sizes

    def _zeros(self, x: Tensor) -> tuple[Tensor, ...]:
        count = self.num_layers * self.spec.num_directions
        return tuple(x.new_zeros((count, x.shape[1], size)) for size in self._state_sizes())

    def _initial(self, states: tuple[Tensor, ...] | None, x: Tensor, *, single: bool) -> tuple[Tensor, ...] | None:
        """The initial states, each ``[layers x directions, B, size]``, checked; ``None`` for zeros."""
        if states is None:
            return None
        owner, batch, sizes = type(self).__name__, x.shape[1], self._state_sizes()
        count = self.num_layers * self.spec.num_directions
        if len(states) != len(sizes):
            names = ", ".join(_STATE_NAMES[: len(sizes)])
            raise ArgumentError(f"{owner}: hx must be the tuple ({names}) (got {len(states)} tensors)")
        checked: list[Tensor] = []
        for name, state, size in zip(_STATE_NAMES, states, sizes, strict=False):
            shape = (count, size) if single else (count, batch, size)
            good = check_state(owner, name, state, shape=shape, steps=x.shape[0], parameter=x)
            checked.append(good.unsqueeze(1) if single else good)
        return tuple(checked)


def _stacked(parts: list[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(parts)


def _transposed(states: list[CellState]) -> list[list[Tensor]]:
    """One list of tensors for each of ``h, c, r`` that the cell has."""
    return [[q for q in parts if q is not None] for parts in zip(*states, strict=True) if parts[0] is not None]
