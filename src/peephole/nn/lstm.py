"""``LSTM``: the whole family behind the interface of ``torch.nn.LSTM``."""

from __future__ import annotations

from typing import Literal, NamedTuple, final, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from peephole.errors import ArgumentError
from peephole.nn.cell import CellRun, valid_steps
from peephole.nn.checks import Lengths, check_pair
from peephole.nn.recurrent import Outcome, Recurrent
from peephole.nn.schemes import Recipe
from peephole.nn.variants import cell_switches, choose_stack
from peephole.spec import Activation, CellSpec, RecurrentSpec
from peephole.weights import row_slices

States3 = tuple[Tensor, ...]
"""``(h, c)``; with full gate recurrence ``(h, c, r)``."""


class States(NamedTuple):
    """What happened inside, at every step of every layer and direction.

    The first axis counts layers and directions as ``h_n`` does, the other ones are those of the output:
    ``[layers x directions, T, B, size]``, ``[…, B, T, size]`` with ``batch_first``, ``[…, T, size]`` for a single
    sequence. Gates have one value per block (``N``), the candidate and the cell one per cell (``H``), ``h`` has ``P``
    (or ``H``). A gate that the variant lacks is 1, a coupled forget gate ``1 − i``. All are activations, after ``σ``
    and ``φ``; behind the end of a sequence all are 0. Differentiable.

    Attributes:
        i: input gate.
        f: forget gate.
        g: candidate, ``φ_in(z_g)``.
        o: output gate.
        c: memory cells after the step.
        h: hidden state after the step.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> output, state, states = nn.LSTM(3, 8, variant="coupled")(torch.randn(7, 2, 3), return_states=True)
        >>> tuple(states.f.shape), torch.equal(states.f, 1 - states.i)
        ((1, 7, 2, 8), True)
    """

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


@final
class LSTM(Recurrent):
    """A stack of LSTM layers of any variant; for the plain cell the same as ``torch.nn.LSTM``.

    Arguments, defaults, parameter names, initialisation (the same seed gives the same weights) and results are those of
    ``torch.nn.LSTM``; what is keyword-only is more. The mathematics is one cell with switches (000 eq. 20-30, 002
    eq. 5.14-5.56). On a CPU in float32 and float64 it runs on the compiled kernels, elsewhere on torch operations, the
    plain cell on CUDA on cuDNN.

    Args:
        input_size: ``I``, features of one step.
        hidden_size: ``H``, memory cells of one layer and direction.
        num_layers: layers, the ``h`` of one being the ``x`` of the next.
        bias: whether the cells have bias terms.
        batch_first: input and output are ``[B, T, size]`` instead of ``[T, B, size]``; for states see
            ``batch_first_states``.
        dropout: probability of dropout between the layers, in training.
        bidirectional: a second network runs from the last valid step of each sequence to the first.
        proj_size: ``P``, the size ``h`` is projected to (Sak et al. 2014); 0 for no projection.
        device: where the parameters are made.
        dtype: their dtype.
        variant: a name out of :data:`peephole.spec.VARIANTS`, or a :class:`~peephole.spec.CellSpec`. What follows
            overrides its field of the same name; ``None`` means "as in the variant".
        input_gate: without it ``i = 1``.
        forget_gate: without it ``f = 1``.
        output_gate: without it ``o = 1``.
        coupled: ``f = 1 − i``.
        peepholes: the gates see the cell (Gers et al. 2002).
        cells_per_block: ``C``, cells that share their gates.
        input_activation: ``φ_in``.
        output_activation: ``φ_out``.
        full_gate_recurrence: the gates see the gates of the step before; the state is then ``(h, c, r)``.
        layer_norm: normalisation before every activation (Ba et al. 2016).
        zoneout_hidden: probability that a unit of ``h`` keeps its previous value (Krueger et al. 2017).
        zoneout_cell: probability that a cell keeps its previous value.
        recurrent_dropout: probability of the dropout mask that is drawn once per sequence.
        recurrent_dropout_on: whether it acts on ``"hidden"`` (Gal & Ghahramani 2016) or ``"candidate"``
            (Semeniuta et al. 2016).
        truncated: the truncated error of 1997.
        init: how the first weights are drawn, a name out of :data:`peephole.nn.INITIALISATIONS`; see
            :func:`peephole.nn.initialise`.
        forget_bias: bias of the forget gate, the sum of the two terms; 1 lets a network remember from the first step on
            (Jozefowicz et al. 2015). ``None``: the scheme's.
        chrono: ``T_max``, the longest range in steps: gate biases for time scales up to it (Tallec & Ollivier 2018).
        learned_state: wherever no ``hx`` is given, the state before the first step is a parameter of each layer and
            direction (``h_0_l0``, ``c_0_l0`` …) that begins at zero.
        batch_first_states: ``hx`` and the final states are ``[B, layers x directions, size]``.
        residual: the input of a layer is added to its output where both have the same size: in all layers but the
            first, and in the first too where ``input_size`` is that of the output. ``dropout`` comes after the
            addition. The states are the cells' own, without what is added.

    Raises:
        ArgumentError: for a size, rate or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> layer = nn.LSTM(3, 8, bidirectional=True, variant="peephole")
        >>> output, (h_n, c_n) = layer(torch.randn(7, 2, 3), lengths=[7, 4])
        >>> tuple(output.shape), tuple(h_n.shape), bool(output[4:, 1].any())
        ((7, 2, 16), (2, 2, 8), False)
    """

    def __init__(  # noqa: PLR0917 - the positional arguments are torch's
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | CellSpec | None = None,
        input_gate: bool | None = None,
        forget_gate: bool | None = None,
        output_gate: bool | None = None,
        coupled: bool | None = None,
        peepholes: bool | None = None,
        cells_per_block: int | None = None,
        input_activation: Activation | None = None,
        output_activation: Activation | None = None,
        full_gate_recurrence: bool | None = None,
        layer_norm: bool | None = None,
        zoneout_hidden: float | None = None,
        zoneout_cell: float | None = None,
        recurrent_dropout: float | None = None,
        recurrent_dropout_on: Literal["hidden", "candidate"] | None = None,
        truncated: bool | None = None,
        init: str = "torch",
        forget_bias: float | None = None,
        chrono: float | None = None,
        learned_state: bool = False,
        batch_first_states: bool = False,
        residual: bool = False,
    ) -> None:
        spec = choose_stack(
            "LSTM",
            variant,
            cell_switches(locals()),
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
            recipe=Recipe(scheme=init, forget_bias=forget_bias, chrono=chrono),
            device=device,
            dtype=dtype,
        )

    @overload
    def forward(
        self,
        input: Tensor,
        hx: States3 | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: Literal[False] = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, States3]: ...
    @overload
    def forward(
        self,
        input: Tensor,
        hx: States3 | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: Literal[True],
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, States3, States]: ...
    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: States3 | None = None,
        *,
        lengths: None = None,
        return_states: Literal[False] = False,
        generator: torch.Generator | None = None,
    ) -> tuple[PackedSequence, States3]: ...
    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: States3 | None = None,
        *,
        lengths: None = None,
        return_states: Literal[True],
        generator: torch.Generator | None = None,
    ) -> tuple[PackedSequence, States3, States]: ...
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: States3 | None = None,
        *,
        lengths: Lengths | None = None,
        return_states: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor | PackedSequence, States3] | tuple[Tensor | PackedSequence, States3, States]:
        """Run the stack over a batch of sequences.

        Args:
            input: ``[T, B, I]``, ``[B, T, I]`` with ``batch_first``, ``[T, I]`` for a single sequence, or packed.
            hx: ``(h_0, c_0)``, ``[layers x directions, B, P]`` and ``[layers x directions, B, H]``; the
                learned state, or zeros, if left out. With full gate recurrence ``(h_0, c_0, r_0)``, the last
                ``[layers x directions, B, G]``. With ``batch_first_states`` all have ``B`` first.
            lengths: valid steps of each sequence, 0 to ``T``; all steps if left out. What lies behind changes
                nothing, and the output there is 0.
            return_states: whether the gates and states of every step are returned too.
            generator: what dropout, recurrent dropout and zoneout are drawn from in training, on the device of the
                parameters; torch's own if left out. Equally seeded generators give the same bits.

        Returns:
            ``output, (h_n, c_n)`` as ``torch.nn.LSTM`` (with full gate recurrence ``(h_n, c_n, r_n)``), and
            :class:`States` if asked for. The final states are those after each sequence's last valid step, laid out as
            ``hx``.

        Raises:
            ArgumentError: for wrong shapes, lengths or devices.
            ArgumentTypeError: for wrong types or dtypes.
        """
        states = check_pair("LSTM", hx)
        outcome = self._run(input, states, lengths=lengths, want_states=return_states, generator=generator)
        if not return_states:
            return outcome.output, outcome.final
        return outcome.output, outcome.final, _states(self.spec, outcome)


def _states(spec: RecurrentSpec, outcome: Outcome) -> States:
    """Stack the states of every layer and direction, in the user's layout."""
    each = [_cell_states(spec, run, outcome.lengths) for run in outcome.runs]
    return States(*(outcome.steps_to_user(torch.stack(parts)) for parts in zip(*each, strict=True)))


def _cell_states(spec: RecurrentSpec, run: CellRun, lengths: Tensor | None) -> States:
    """Name the rows of one tape; fill in the gates that have none."""
    if run.gates is None or run.c is None:
        raise ArgumentError("LSTM: the states of this run were not kept")
    named = {name: run.gates[..., rows] for name, rows in row_slices(spec.cell, spec.hidden_size).items()}
    blocks = spec.hidden_size // spec.cell.cells_per_block
    one = run.gates.new_ones((*run.gates.shape[:2], blocks))
    if lengths is not None:
        one = one * valid_steps(lengths, one.shape[0], one.device)
    i = named.get("i", one)
    f = one - i if spec.cell.coupled else named.get("f", one)
    return States(i=i, f=f, g=named["g"], o=named.get("o", one), c=run.c, h=run.y)
