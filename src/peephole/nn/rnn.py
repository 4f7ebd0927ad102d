"""``RNN``: the simple recurrent network behind the interface of ``torch.nn.RNN``."""

from __future__ import annotations

from typing import Literal, NamedTuple, final, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from peephole.nn.checks import Lengths, check_single
from peephole.nn.recurrent import Recurrent
from peephole.nn.schemes import Recipe
from peephole.nn.variants import cell_switches, choose_stack
from peephole.spec import ACTIVATIONS, Activation, CellSpec
from peephole.spec.checks import check_choice


class HiddenStates(NamedTuple):
    """What happened inside, at every step of every layer and direction.

    Attributes:
        h: hidden state after the step, ``[layers x directions, T, B, H]``, the axes behind the first as in the output.
            Differentiable.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> output, h_n, states = nn.RNN(3, 8, num_layers=2)(torch.randn(7, 2, 3), return_states=True)
        >>> tuple(states.h.shape), torch.equal(states.h[1], output)
        ((2, 7, 2, 8), True)
    """

    h: Tensor


@final
class RNN(Recurrent):
    """A stack of simple recurrent layers, ``h = φ(W x + R h⁻ + b)`` (000 eq. 15-16), the same as ``torch.nn.RNN``.

    Args:
        input_size: ``I``, features of one step.
        hidden_size: ``H``, units of one layer and direction.
        num_layers: layers, the ``h`` of one being the ``x`` of the next.
        nonlinearity: ``φ``: ``"tanh"``, ``"relu"``, ``"logistic"`` or ``"identity"``; ``None`` means "as in the
            variant", whose default is tanh.
        bias: whether the cells have bias terms.
        batch_first: input and output are ``[B, T, size]`` instead of ``[T, B, size]``; for states see
            ``batch_first_states``.
        dropout: probability of dropout between the layers, in training.
        bidirectional: a second network runs from the last valid step of each sequence to the first.
        device: where the parameters are made.
        dtype: their dtype.
        variant: a name out of :data:`peephole.spec.VARIANTS`, or a :class:`~peephole.spec.CellSpec`. What follows
            overrides its field of the same name; ``None`` means "as in the variant".
        layer_norm: ``z`` is normalised over the units (Ba et al. 2016).
        zoneout_hidden: probability that a unit keeps its previous value (Krueger et al. 2017).
        recurrent_dropout: probability of the mask on ``h⁻`` that is drawn once per sequence.
        truncated: the Elman network: the error ends after one step (002 §5.3.1).
        init: how the first weights are drawn, a name out of :data:`peephole.nn.INITIALISATIONS`; see
            :func:`peephole.nn.initialise`.
        learned_state: wherever no ``hx`` is given, the state before the first step is a parameter of each layer and
            direction (``h_0_l0`` …) that begins at zero.
        batch_first_states: ``hx`` and the final states are ``[B, layers x directions, size]``.
        residual: the input of a layer is added to its output where both have the same size; as in
            :class:`~peephole.nn.LSTM`.

    Raises:
        ArgumentError: for a size, rate or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> layer = nn.RNN(3, 8, nonlinearity="relu", init="irnn", batch_first=True)
        >>> output, h_n = layer(torch.randn(2, 7, 3))
        >>> tuple(output.shape), tuple(h_n.shape)
        ((2, 7, 8), (1, 2, 8))
    """

    def __init__(  # noqa: PLR0917 - the positional arguments are torch's
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Activation | None = None,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | CellSpec | None = None,
        layer_norm: bool | None = None,
        zoneout_hidden: float | None = None,
        recurrent_dropout: float | None = None,
        truncated: bool | None = None,
        init: str = "torch",
        learned_state: bool = False,
        batch_first_states: bool = False,
        residual: bool = False,
    ) -> None:
        if nonlinearity is not None:
            check_choice("nonlinearity", nonlinearity, ACTIVATIONS, owner="RNN")
        spec = choose_stack(
            "RNN",
            variant,
            cell_switches({"input_activation": nonlinearity, **locals()}),
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            bidirectional=bidirectional,
            learned_state=learned_state,
            residual=residual,
        )
        super().__init__(
            spec,
            batch_first=batch_first,
            batch_first_states=batch_first_states,
            dropout=dropout,
            recipe=Recipe(scheme=init),
            device=device,
            dtype=dtype,
        )

    @property
    def nonlinearity(self) -> Activation:
        """``φ`` of the hidden units."""
        return self.spec.cell.input_activation

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: Literal[False] = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: Literal[True],
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, HiddenStates]: ...
    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: None = None,
        return_states: Literal[False] = False,
        generator: torch.Generator | None = None,
    ) -> tuple[PackedSequence, Tensor]: ...
    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: None = None,
        return_states: Literal[True],
        generator: torch.Generator | None = None,
    ) -> tuple[PackedSequence, Tensor, HiddenStates]: ...
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor] | tuple[Tensor | PackedSequence, Tensor, HiddenStates]:
        """Run the stack over a batch of sequences.

        Args:
            input: ``[T, B, I]``, ``[B, T, I]`` with ``batch_first``, ``[T, I]`` for a single sequence, or packed.
            hx: ``h_0``, ``[layers x directions, B, H]`` (``[B, layers x directions, H]`` with
                ``batch_first_states``); the learned state, or zeros, if left out.
            lengths: valid steps of each sequence, 0 to ``T``; all steps if left out. What lies behind changes
                nothing, and the output there is 0.
            return_states: whether the hidden states of every layer and step are returned too.
            generator: what dropout, recurrent dropout and zoneout are drawn from in training, on the device of the
                parameters; torch's own if left out. Equally seeded generators give the same bits.

        Returns:
            ``output, h_n`` as ``torch.nn.RNN``, and :class:`HiddenStates` if asked for.

        Raises:
            ArgumentError: for wrong shapes, lengths or devices.
            ArgumentTypeError: for wrong types or dtypes.
        """
        states = check_single("RNN", hx)
        outcome = self._run(input, states, lengths=lengths, want_states=return_states, generator=generator)
        if not return_states:
            return outcome.output, outcome.final[0]
        h = outcome.steps_to_user(torch.stack([run.y for run in outcome.runs]))
        return outcome.output, outcome.final[0], HiddenStates(h)
