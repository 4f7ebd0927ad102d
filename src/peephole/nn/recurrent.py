"""What LSTM and RNN have in common: parameters, argument checks, layouts, and the choice of what runs the cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from peephole.errors import ArgumentError
from peephole.nn import builtin
from peephole.nn.cell import CellRun, CellState
from peephole.nn.checks import (
    Lengths,
    check_dropout,
    check_dtype,
    check_generator,
    check_input,
    check_lengths,
    check_state,
    check_switch,
)
from peephole.nn.engine import choose_engine
from peephole.nn.loading import Loadable
from peephole.nn.mixed import autocast_dtype, like_parameters, without_autocast
from peephole.nn.operator import cell_text
from peephole.nn.packed import pack_like, unpack
from peephole.nn.schemes import Recipe, check_recipe, fill
from peephole.nn.stack import cell_names, run_stack
from peephole.nn.variants import describe
from peephole.spec import RecurrentSpec
from peephole.weights import STATE_NAMES, learned_names, module_shapes


class Outcome(NamedTuple):
    """What a pass gives, in the user's layout.

    Attributes:
        output: ``h`` of the last layer at every step, directions side by side; packed if the input was.
        final: the final states ``h_n``, ``c_n``, ``r_n`` as far as the cell has them, each
            ``[layers x directions, B, size]`` (``[B, layers x directions, size]`` with batch-first states).
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
        batch_first_states: whether that of the states is.
        dropout: probability of dropout between the layers, in training.
    """

    spec: RecurrentSpec
    batch_first: bool
    batch_first_states: bool
    dropout: float

    def __init__(
        self,
        spec: RecurrentSpec,
        *,
        batch_first: bool,
        batch_first_states: bool,
        dropout: float,
        recipe: Recipe,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        check_switch(owner, "batch_first", batch_first)
        check_switch(owner, "batch_first_states", batch_first_states)
        check_recipe(owner, spec, recipe)
        self.spec = spec
        self.batch_first = batch_first
        self.batch_first_states = batch_first_states
        self._recipe = recipe
        self.dropout = check_dropout(owner, dropout)
        if self.dropout and spec.num_layers == 1:
            warnings.warn(
                f"{owner}: dropout acts between layers and does nothing with num_layers=1 (got dropout={dropout}); "
                "use more layers, or recurrent_dropout=",
                stacklevel=3,
            )
        check_dtype(owner, dtype)
        self._name_parts()
        for name, shape in module_shapes(spec).items():
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()
        self.flatten_parameters()

    def _name_parts(self) -> None:
        """Keep what follows from the spec and every pass asks for."""
        self._parameter_names = tuple(module_shapes(self.spec))
        self._cell_names = cell_names(self.spec)
        self._cell_text = cell_text(self.spec.cell)  # what a compiler may read, and not work out
        self._learned_names = learned_names(self.spec)
        learned = {name for names in self._learned_names for name in names}
        self._weight_names = tuple(name for name in self._parameter_names if name not in learned)

    def __setstate__(self, state: dict[str, Any]) -> None:
        older = {"batch_first_states": False, "_recipe": Recipe()}  # what the first pickles have not
        super().__setstate__(older | state)
        self._name_parts()

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
    def mode(self) -> str:
        """Torch's name of the kind, ``"LSTM"``, ``"RNN_TANH"`` or ``"RNN_RELU"``; of other units accordingly."""
        cell = self.spec.cell
        return "LSTM" if cell.cell == "lstm" else f"RNN_{cell.input_activation.upper()}"

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of :attr:`all_weights`, which a common recipe for the forget bias reads."""
        per_cell = len(self._weight_names) // (self.num_layers * self.spec.num_directions)
        return [list(self._weight_names[at : at + per_cell]) for at in range(0, len(self._weight_names), per_cell)]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction, as in torch; without a learned state."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]  # whatever has taken a place

    def reset_parameters(self) -> None:
        """Draw every weight anew as the layer was told to begin (:func:`peephole.nn.initialise`).

        The default is torch's: all from ``U(−1/√H, 1/√H)``, in torch's order.
        """
        fill(self.spec, self.weights_to_draw(), self._recipe)

    def weights_to_draw(self) -> dict[str, Parameter]:
        """Every parameter under the name that :func:`peephole.weights.module_shapes` gives it.

        Raises:
            AttributeError: for one that is computed from others.
        """
        return {name: self.get_parameter(name) for name in self._parameter_names}

    def extra_repr(self) -> str:
        """The arguments that are not the default."""
        return describe(
            self.spec,
            batch_first=self.batch_first,
            batch_first_states=self.batch_first_states,
            dropout=self.dropout,
            recipe=self._recipe,
        )

    def flatten_parameters(self) -> None:
        """Lay the weights into one piece for cuDNN, as torch does; on a CPU there is nothing to do."""
        own = cast("dict[str, Tensor | None]", self._parameters)
        weights = [q for name in self._weight_names if (q := own.get(name)) is not None]
        if len(weights) == len(self._weight_names):  # all are there, none is computed from others
            builtin.flatten(self.spec, weights)

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
        generator: torch.Generator | None,
    ) -> Outcome:
        """Check the arguments, run the stack, and bring the results into the user's layout."""
        owner = type(self).__name__
        # Quicker than getattr, which serves what took a parameter's place.
        own = cast("dict[str, Tensor]", self._parameters)
        parameters = {name: own[name] if name in own else getattr(self, name) for name in self._parameter_names}
        first = parameters[self._parameter_names[0]]
        check_generator(owner, generator, first.device)
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
        hidden = self._learned(parameters, x) if states is None else self._initial(states, x, single=single)
        output, final, runs = self._compute(
            parameters, x, hidden, lengths=valid, want_states=want_states, generator=generator
        )
        if lower is not None:
            output, final = output.to(lower), tuple(q.to(lower) for q in final)
        if single:
            final = tuple(q.squeeze(1) for q in final)
        elif self.batch_first_states:
            final = tuple(q.transpose(0, 1) for q in final)
        if packed is not None and unpacked is not None:
            return Outcome(pack_like(output, packed, unpacked.lengths), final, runs, valid, between)
        return Outcome(between(output), final, runs, valid, between)

    def _compute(
        self,
        parameters: dict[str, Tensor],
        x: Tensor,
        hidden: tuple[Tensor, ...] | None,
        *,
        lengths: Tensor | None,
        want_states: bool,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, tuple[Tensor, ...], list[CellRun]]:
        """Outputs ``[T, B, D·P]``, final states, and every layer's and direction's run where the stack is our own."""
        whole = lengths is None and not want_states and x.numel() > 0
        if generator is not None and self.training and self.dropout:
            whole = False  # cuDNN draws its dropout itself
        if x.is_cuda and whole and builtin.mode(self.spec) is not None:
            weights = [parameters[name] for name in self._weight_names]
            hidden = self._zeros(x) if hidden is None else tuple(q.contiguous() for q in hidden)
            output, final = builtin.run(self.spec, weights, x, hidden, training=self.training, dropout=self.dropout)
            return output, final, []
        run = without_autocast(run_stack, x)(
            self.spec,
            [{letter: parameters[name] for letter, name in own} for own in self._cell_names],
            x,
            None if hidden is None else [CellState(*parts) for parts in zip(*hidden, strict=True)],
            engine=choose_engine(x, self._cell_text),
            lengths=lengths,
            training=self.training,
            dropout=self.dropout,
            want_states=want_states,
            generator=generator,
        )
        return run.output, tuple(_stacked(parts) for parts in _transposed(run.final)), run.runs

    def _state_sizes(self) -> list[int]:
        """The sizes of ``h``, ``c``, ``r`` as far as the cell has them."""
        return list(self.spec.cell.state_sizes(self.hidden_size).values())

    def _zeros(self, x: Tensor) -> tuple[Tensor, ...]:
        count = self.num_layers * self.spec.num_directions
        return tuple(x.new_zeros((count, x.shape[1], size)) for size in self._state_sizes())

    def _learned(self, parameters: dict[str, Tensor], x: Tensor) -> tuple[Tensor, ...] | None:
        """The learned state for every row of the batch, each ``[layers x directions, B, size]``; ``None`` for zeros."""
        if not self.spec.learned_state:
            return None
        stacked = (torch.stack([parameters[name] for name in names]) for names in self._learned_names)
        return tuple(q.unsqueeze(1).expand(-1, x.shape[1], -1) for q in stacked)

    def _initial(self, states: tuple[Tensor, ...], x: Tensor, *, single: bool) -> tuple[Tensor, ...]:
        """The given states, checked, each ``[layers x directions, B, size]``."""
        owner, batch, sizes = type(self).__name__, x.shape[1], self._state_sizes()
        count = self.num_layers * self.spec.num_directions
        names = list(STATE_NAMES.values())[: len(sizes)]
        if len(states) != len(sizes):
            raise ArgumentError(f"{owner}: hx must be the tuple ({', '.join(names)}) (got {len(states)} tensors)")
        batched = self.batch_first_states and not single
        axes = (count,) if single else (batch, count) if batched else (count, batch)
        checked: list[Tensor] = []
        for name, state, size in zip(names, states, sizes, strict=True):
            good = check_state(
                owner, name, state, shape=(*axes, size), steps=x.shape[0], parameter=x, batch_first=batched
            )
            checked.append(good.unsqueeze(1) if single else good.transpose(0, 1) if batched else good)
        return tuple(checked)


def _stacked(parts: list[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(parts)


def _transposed(states: list[CellState]) -> list[list[Tensor]]:
    """One list of tensors for each of ``h, c, r`` that the cell has."""
    return [[q for q in parts if q is not None] for parts in zip(*states, strict=True) if parts[0] is not None]
