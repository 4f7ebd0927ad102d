"""One recurrent cell as data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from peephole.errors import ArgumentError
from peephole.spec.checks import check_choice, check_integer, check_probability, check_switch

Activation = Literal["tanh", "logistic", "relu", "identity"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

_GATE_NAMES = ("i", "f", "o")
_RNN_FIELDS = frozenset({"cell", "input_activation", "layer_norm", "zoneout_hidden", "recurrent_dropout", "truncated"})

_SWITCHES = (
    "input_gate",
    "forget_gate",
    "output_gate",
    "coupled",
    "peepholes",
    "full_gate_recurrence",
    "layer_norm",
    "truncated",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """One recurrent cell: which parts it has and which functions they use.

    The mathematics is one cell with switches (000 eq. 20-30, 002 eq. 5.14-5.56; Gers et al. 2002; Greff et al. 2017;
    Sak et al. 2014; Ba et al. 2016; Krueger et al. 2017; Gal & Ghahramani 2016; Semeniuta et al. 2016).

    Attributes:
        cell: ``"lstm"``, or ``"rnn"`` for ``h = φ(W x + R h⁻ + b)`` with ``φ = input_activation``.
        input_gate: without it ``i = 1``.
        forget_gate: without it ``f = 1``, the LSTM of 1997.
        output_gate: without it ``o = 1``.
        coupled: ``f = 1 − i``; the forget gate then has no weights of its own.
        peepholes: the gates see the cell through diagonal weights: i and f the old ``c⁻``, o the new ``c``.
        cells_per_block: ``C``; the ``C`` cells of a memory block share its gates.
        input_activation: ``φ_in`` of the candidate ``g`` (of the hidden units in an RNN).
        output_activation: ``φ_out`` between cell and output gate.
        full_gate_recurrence: the gates also see the gates of the step before.
        layer_norm: each ``z_k`` is normalised over its units, and ``c`` before ``φ_out``.
        proj_size: ``P``, the size ``h`` is projected to; 0 for no projection.
        zoneout_hidden: probability ``ζ_h`` in [0, 1) that a unit of ``h`` keeps its previous value.
        zoneout_cell: probability ``ζ_c`` in [0, 1) that a cell keeps its previous value.
        recurrent_dropout: probability in [0, 1) of the dropout mask, drawn once per sequence.
        recurrent_dropout_on: the mask multiplies ``"hidden"`` (``h⁻``; Gal) or ``"candidate"`` (``g``; Semeniuta).
        truncated: the truncated error of 1997: only the carousel carries error back through time
            (in an RNN: the Elman network, whose error ends after one step).

    Raises:
        ArgumentError: for a value out of range or a combination that has no meaning.

    Example:
        >>> from peephole.spec import CellSpec
        >>> cell = CellSpec(coupled=True, peepholes=True)
        >>> cell.gates, cell.rows, cell.state_sizes(8)
        (('i', 'o'), ('i', 'g', 'o'), {'h': 8, 'c': 8})
    """

    cell: Literal["lstm", "rnn"] = "lstm"
    input_gate: bool = True
    forget_gate: bool = True
    output_gate: bool = True
    coupled: bool = False
    peepholes: bool = False
    cells_per_block: int = 1
    input_activation: Activation = "tanh"
    output_activation: Activation = "tanh"
    full_gate_recurrence: bool = False
    layer_norm: bool = False
    proj_size: int = 0
    zoneout_hidden: float = 0.0
    zoneout_cell: float = 0.0
    recurrent_dropout: float = 0.0
    recurrent_dropout_on: Literal["hidden", "candidate"] = "hidden"
    truncated: bool = False

    def __post_init__(self) -> None:
        check_choice("cell", self.cell, ("lstm", "rnn"))
        check_choice("input_activation", self.input_activation, ACTIVATIONS)
        check_choice("output_activation", self.output_activation, ACTIVATIONS)
        check_choice("recurrent_dropout_on", self.recurrent_dropout_on, ("hidden", "candidate"))
        check_integer("cells_per_block", self.cells_per_block, minimum=1)
        check_integer("proj_size", self.proj_size, minimum=0)
        for name in ("zoneout_hidden", "zoneout_cell", "recurrent_dropout"):
            check_probability(name, getattr(self, name))
        for name in _SWITCHES:
            check_switch(name, getattr(self, name))
        if self.cell == "rnn":
            self._check_rnn()
        else:
            self._check_lstm()

    def _check_rnn(self) -> None:
        for spec_field in fields(self):
            value = getattr(self, spec_field.name)
            if spec_field.name not in _RNN_FIELDS and value != spec_field.default:
                raise ArgumentError(
                    f"CellSpec: {spec_field.name} belongs to the LSTM (got {value!r} with cell='rnn'); "
                    f"leave it out or choose cell='lstm'"
                )

    def _check_lstm(self) -> None:
        if self.coupled and not (self.input_gate and self.forget_gate):
            raise ArgumentError(
                "CellSpec: coupled means f = 1 - i and needs input_gate and forget_gate "
                f"(got input_gate={self.input_gate}, forget_gate={self.forget_gate}); leave both True"
            )
        if not self.gates:
            for name in ("peepholes", "full_gate_recurrence"):
                if getattr(self, name):
                    raise ArgumentError(
                        f"CellSpec: {name} needs at least one gate (got none); "
                        "keep input_gate, forget_gate or output_gate"
                    )

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates that have weights, in the order ``i, f, o`` (a coupled ``f`` has none)."""
        if self.cell == "rnn":
            return ()
        present = (self.input_gate, self.forget_gate and not self.coupled, self.output_gate)
        return tuple(name for name, there in zip(_GATE_NAMES, present, strict=True) if there)

    @property
    def rows(self) -> tuple[str, ...]:
        """The stacked parts of ``W``, ``R`` and ``b``: the gates and the candidate in the one order ``i, f, g, o``."""
        return tuple(name for name in ("i", "f", "g", "o") if name == "g" or name in self.gates)

    def state_sizes(self, hidden_size: int) -> dict[str, int]:
        """Sizes of the parts of the state, ``h``, ``c`` and ``r``, as far as the cell has them."""
        sizes = {"h": self.proj_size or hidden_size}
        if self.cell == "lstm":
            sizes["c"] = hidden_size
        if self.full_gate_recurrence:
            sizes["r"] = len(self.gates) * (hidden_size // self.cells_per_block)
        return sizes

    @property
    def has_masks(self) -> bool:
        """Whether training draws random masks (zoneout or recurrent dropout)."""
        return max(self.zoneout_hidden, self.zoneout_cell, self.recurrent_dropout) > 0

    def replace(self, **changes: Any) -> CellSpec:
        """The same cell with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)
