"""``LSTMCell`` and ``RNNCell``: one step of the whole family behind the interface of torch's cells."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from peephole.nn.checks import check_pair, check_single
from peephole.nn.lstm import States3
from peephole.nn.mixed import autocast_dtype
from peephole.nn.recurrent_cell import RecurrentCell
from peephole.nn.schemes import Recipe
from peephole.nn.variants import cell_switches, choose_one
from peephole.spec import ACTIVATIONS, Activation, CellSpec
from peephole.spec.checks import check_choice


@final
class LSTMCell(RecurrentCell):
    """One step of an LSTM of any variant; for the plain cell the same as ``torch.nn.LSTMCell``.

    Arguments, defaults, parameter names, initialisation and results are those of ``torch.nn.LSTMCell``; what is
    keyword-only is more, and the same as in :class:`~peephole.nn.LSTM`, and so is the mathematics (000 eq. 20-30, 002
    eq. 5.14-5.56). A cell called step by step gives what the layer gives on the sequence, more slowly: use it where
    the next input depends on the output.

    Args:
        input_size: ``I``, features of one step.
        hidden_size: ``H``, memory cells.
        bias: whether the cell has bias terms.
        device: where the parameters are made.
        dtype: their dtype.
        variant: a name out of :data:`peephole.spec.VARIANTS`, or a :class:`~peephole.spec.CellSpec`. What follows
            overrides its field of the same name; ``None`` means "as in the variant".
        proj_size: ``P``, the size ``h`` is projected to (Sak et al. 2014); 0 or ``None`` for no projection.
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
        recurrent_dropout: probability of the dropout mask that is drawn once per sequence, by :meth:`draw_mask`.
        recurrent_dropout_on: whether it acts on ``"hidden"`` (Gal & Ghahramani 2016) or ``"candidate"``
            (Semeniuta et al. 2016).
        truncated: the truncated error of 1997.
        init: how the first weights are drawn, a name out of :data:`peephole.nn.INITIALISATIONS`.
        forget_bias: bias of the forget gate, the sum of the two terms; ``None``: the scheme's.
        chrono: ``T_max``, the longest range in steps: gate biases for time scales up to it (Tallec & Ollivier 2018).

    Raises:
        ArgumentError: for a size, rate or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> cell, state = nn.LSTMCell(3, 8, forget_bias=1.0), None
        >>> for x in torch.randn(7, 2, 3):
        ...     state = cell(x, state)
        >>> [tuple(part.shape) for part in state]
        [(2, 8), (2, 8)]
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | CellSpec | None = None,
        proj_size: int | None = None,
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
    ) -> None:
        switches = cell_switches(locals())
        recipe = Recipe(scheme=init, forget_bias=forget_bias, chrono=chrono)
        super().__init__(
            choose_one("LSTMCell", variant, switches, input_size=input_size, hidden_size=hidden_size, bias=bias),
            recipe=recipe,
            device=device,
            dtype=dtype,
        )

    @property
    def proj_size(self) -> int:
        """``P``, the size ``h`` is projected to; 0 without projection."""
        return self.spec.cell.proj_size

    def forward(
        self,
        input: Tensor,
        hx: States3 | None = None,
        *,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> States3:
        """Take one step.

        Args:
            input: ``[B, I]``, or ``[I]`` for a single row.
            hx: ``(h_0, c_0)``, ``[B, P]`` and ``[B, H]`` (without ``B`` for a single row); zeros if left out. With
                full gate recurrence ``(h_0, c_0, r_0)``, the last ``[B, G]``.
            mask: recurrent dropout's, of the sequence that this is a step of (:meth:`draw_mask`).
            generator: what zoneout is drawn from in training, on the device of the parameters; torch's own if left out.

        Returns:
            The state after the step, in the form of ``hx``.

        Raises:
            ArgumentError: for wrong shapes or devices, and a mask that is missing or has no meaning.
            ArgumentTypeError: for wrong types or dtypes.
        """
        after = self._step(input, check_pair("LSTMCell", hx), mask, generator)
        lower = autocast_dtype(after[0])
        if lower is None:
            return after
        kept = input if hx is None else hx[1]  # as torch's cell, which adds to c in the dtype that it came in
        return tuple(q.to(torch.promote_types(lower, kept.dtype)) for q in after)


@final
class RNNCell(RecurrentCell):
    """One step of a simple recurrent network, ``h = φ(W x + R h⁻ + b)`` (000 eq. 15-16), as ``torch.nn.RNNCell``.

    Args:
        input_size: ``I``, features of one step.
        hidden_size: ``H``, units.
        bias: whether the cell has bias terms.
        nonlinearity: ``φ``: ``"tanh"``, ``"relu"``, ``"logistic"`` or ``"identity"``; ``None`` means "as in the
            variant", whose default is tanh.
        device: where the parameters are made.
        dtype: their dtype.
        variant: a name out of :data:`peephole.spec.VARIANTS`, or a :class:`~peephole.spec.CellSpec`. What follows
            overrides its field of the same name; ``None`` means "as in the variant".
        layer_norm: ``z`` is normalised over the units (Ba et al. 2016).
        zoneout_hidden: probability that a unit keeps its previous value (Krueger et al. 2017).
        recurrent_dropout: probability of the mask on ``h⁻`` that is drawn once per sequence, by :meth:`draw_mask`.
        truncated: the Elman network: the error ends after one step (002 §5.3.1).
        init: how the first weights are drawn, a name out of :data:`peephole.nn.INITIALISATIONS`.

    Raises:
        ArgumentError: for a size, rate or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.

    Example:
        >>> import torch
        >>> from peephole import nn
        >>> cell, h = nn.RNNCell(3, 8, nonlinearity="relu"), None
        >>> for x in torch.randn(7, 2, 3):
        ...     h = cell(x, h)
        >>> tuple(h.shape), bool((h >= 0).all())
        ((2, 8), True)
    """

    def __init__(  # noqa: PLR0917 - the positional arguments are torch's
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Activation | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | CellSpec | None = None,
        layer_norm: bool | None = None,
        zoneout_hidden: float | None = None,
        recurrent_dropout: float | None = None,
        truncated: bool | None = None,
        init: str = "torch",
    ) -> None:
        if nonlinearity is not None:
            check_choice("nonlinearity", nonlinearity, ACTIVATIONS, owner="RNNCell")
        switches = cell_switches({"input_activation": nonlinearity, **locals()})
        super().__init__(
            choose_one("RNNCell", variant, switches, input_size=input_size, hidden_size=hidden_size, bias=bias),
            recipe=Recipe(scheme=init),
            device=device,
            dtype=dtype,
        )

    @property
    def nonlinearity(self) -> Activation:
        """``φ`` of the hidden units."""
        return self.spec.cell.input_activation

    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Take one step.

        Args:
            input: ``[B, I]``, or ``[I]`` for a single row.
            hx: ``h_0``, ``[B, H]`` (``[H]`` for a single row); zeros if left out.
            mask: recurrent dropout's, of the sequence that this is a step of (:meth:`draw_mask`).
            generator: what zoneout is drawn from in training, on the device of the parameters; torch's own if left out.

        Returns:
            ``h``, in the form of ``hx``.

        Raises:
            ArgumentError: for wrong shapes or devices, and a mask that is missing or has no meaning.
            ArgumentTypeError: for wrong types or dtypes.
        """
        h = self._step(input, check_single("RNNCell", hx), mask, generator)[0]
        lower = autocast_dtype(h)
        return h if lower is None else h.to(lower)
