"""Cells and networks as data.

A variant of the LSTM is a frozen :class:`CellSpec`; the equations, the compiled kernels, the torch modules, the
runtime and the artifact all read the same one. :data:`VARIANTS` names the well-known ones. A whole network is a
frozen :class:`NetworkSpec`. Nothing here computes anything; sizes of arrays follow in :mod:`peephole.weights`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from peephole.errors import ArgumentError

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


def _check_choice(name: str, value: object, choices: tuple[str, ...], *, owner: str = "CellSpec") -> None:
    if value not in choices:
        raise ArgumentError(f"{owner}: {name} must be one of {', '.join(choices)} (got {value!r})")


def _check_integer(name: str, value: object, *, minimum: int, owner: str = "CellSpec") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(f"{owner}: {name} must be a whole number of at least {minimum} (got {value!r})")


def _check_probability(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ArgumentError(f"CellSpec: {name} must be a probability in [0, 1) (got {value!r})")


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ArgumentError(f"CellSpec: {name} must be True or False (got {value!r})")


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
        _check_choice("cell", self.cell, ("lstm", "rnn"))
        _check_choice("input_activation", self.input_activation, ACTIVATIONS)
        _check_choice("output_activation", self.output_activation, ACTIVATIONS)
        _check_choice("recurrent_dropout_on", self.recurrent_dropout_on, ("hidden", "candidate"))
        _check_integer("cells_per_block", self.cells_per_block, minimum=1)
        _check_integer("proj_size", self.proj_size, minimum=0)
        for name in ("zoneout_hidden", "zoneout_cell", "recurrent_dropout"):
            _check_probability(name, getattr(self, name))
        for name in _SWITCHES:
            _check_switch(name, getattr(self, name))
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

    @property
    def has_masks(self) -> bool:
        """Whether training draws random masks (zoneout or recurrent dropout)."""
        return max(self.zoneout_hidden, self.zoneout_cell, self.recurrent_dropout) > 0

    def replace(self, **changes: Any) -> CellSpec:
        """The same cell with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Variant:
    """A named cell with one line on what it is and where it comes from."""

    spec: CellSpec
    summary: str
    source: str


def _variant(summary: str, source: str, **switches: Any) -> Variant:
    return Variant(CellSpec(**switches), summary, source)


_GREFF = "Greff et al. 2017"

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "lstm": _variant("input, forget and output gate", "Gers et al. 2000; 001, 002, 003, 004"),
        "lstm1997": _variant(
            "no forget gate, error truncated to the carousel",
            "Hochreiter & Schmidhuber 1997; 000 §V",
            forget_gate=False,
            truncated=True,
        ),
        "no_forget_gate": _variant("f = 1, exact gradient", _GREFF, forget_gate=False),
        "no_input_gate": _variant("i = 1", _GREFF, input_gate=False),
        "no_output_gate": _variant("o = 1", _GREFF, output_gate=False),
        "no_input_activation": _variant("φ_in is the identity", _GREFF, input_activation="identity"),
        "no_output_activation": _variant("φ_out is the identity", _GREFF, output_activation="identity"),
        "logistic": _variant(
            "φ_in and φ_out are logistic",
            "000 §V",
            input_activation="logistic",
            output_activation="logistic",
        ),
        "peephole": _variant("the gates see the cell", "Gers et al. 2002; 000 eq. 20-25", peepholes=True),
        "coupled": _variant("f = 1 - i", _GREFF, coupled=True),
        "coupled_peephole": _variant("f = 1 - i, with peepholes", _GREFF, coupled=True, peepholes=True),
        "full_gate_recurrence": _variant(
            "the gates see the gates of the step before, with peepholes",
            _GREFF,
            peepholes=True,
            full_gate_recurrence=True,
        ),
        "layer_norm": _variant("normalised before every activation", "Ba et al. 2016", layer_norm=True),
        "layer_norm_peephole": _variant(
            "normalised before every activation, with peepholes",
            "Ba et al. 2016; Gers et al. 2002",
            layer_norm=True,
            peepholes=True,
        ),
        "zoneout": _variant(
            "units keep their previous value at random",
            "Krueger et al. 2017",
            zoneout_hidden=0.05,
            zoneout_cell=0.5,
        ),
        "variational_dropout": _variant(
            "one dropout mask a sequence on h",
            "Gal & Ghahramani 2016",
            recurrent_dropout=0.25,
        ),
        "memory_dropout": _variant(
            "one dropout mask a sequence on g",
            "Semeniuta et al. 2016",
            recurrent_dropout=0.25,
            recurrent_dropout_on="candidate",
        ),
        "truncated": _variant("standard cell, error truncated to the carousel", "000 §V", truncated=True),
        "rnn": _variant("h = tanh(W x + R h⁻ + b)", "000 eq. 15-19; 002 eq. 5.1; 004 eq. 1", cell="rnn"),
        "rnn_logistic": _variant("the same, logistic", "000 eq. 16", cell="rnn", input_activation="logistic"),
        "rnn_relu": _variant("the same, rectified", "Le et al. 2015", cell="rnn", input_activation="relu"),
        "elman": _variant("tanh, error ends after one step", "Elman 1990; 002 §5.3.1", cell="rnn", truncated=True),
    }
)
"""The well-known cells by name. Several cells per block, projection and sizes are arguments, not names."""


def variant(name: str) -> CellSpec:
    """The cell called ``name`` in :data:`VARIANTS`.

    Raises:
        ArgumentError: for a name that is not there.
    """
    if name not in VARIANTS:
        raise ArgumentError(f"variant: unknown variant {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name].spec


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentSpec:
    """A stack of recurrent layers.

    Attributes:
        cell: the cell of every layer.
        input_size: ``I``, features of one step.
        hidden_size: ``H = N·C``, memory cells (units) of one layer and direction.
        num_layers: layers, the ``h`` of one being the ``x`` of the next.
        bidirectional: a second network runs from the last valid step to the first.
        bias: whether the cells have bias terms.
    """

    kind: Literal["recurrent"] = field(default="recurrent", init=False)
    cell: CellSpec = CellSpec()
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            _check_integer(name, getattr(self, name), minimum=1, owner="RecurrentSpec")
        check_hidden_size("RecurrentSpec", self.cell, self.hidden_size)

    @property
    def num_directions(self) -> int:
        """2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def feature_size(self) -> int:
        """Features that come out of the last layer: ``P`` (or ``H``) times the directions."""
        return (self.cell.proj_size or self.hidden_size) * self.num_directions

    def layer_input_size(self, layer: int) -> int:
        """Features that go into layer ``layer``, counted from 0."""
        return self.input_size if layer == 0 else self.feature_size


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPSpec:
    """A multilayer perceptron: ``y = φ(W x + b)`` layer upon layer (000 eq. 1-14).

    Attributes:
        input_size: features that go in.
        hidden_sizes: units of each hidden layer.
        activation: ``φ`` of every hidden layer.
        bias: whether the layers have bias terms.
    """

    kind: Literal["mlp"] = field(default="mlp", init=False)
    input_size: int
    hidden_sizes: tuple[int, ...] = (32,)
    activation: Activation = "tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        _check_integer("input_size", self.input_size, minimum=1, owner="MLPSpec")
        if not self.hidden_sizes:
            raise ArgumentError("MLPSpec: hidden_sizes must name at least one layer (got none); for example (32,)")
        for size in self.hidden_sizes:
            _check_integer("hidden_sizes", size, minimum=1, owner="MLPSpec")
        _check_choice("activation", self.activation, ACTIVATIONS, owner="MLPSpec")

    @property
    def feature_size(self) -> int:
        """Units of the last hidden layer."""
        return self.hidden_sizes[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A body and a linear head, ``y = V h + d``.

    Attributes:
        body: a stack of recurrent layers or a multilayer perceptron.
        output_size: ``K``, output units.
        readout: what the head sees of a recurrent body: its features at the ``"last"`` valid step
            (many-to-one; of both directions where there are two) or at ``"every"`` step (synced many-to-many).
    """

    body: RecurrentSpec | MLPSpec
    output_size: int
    readout: Literal["last", "every"] = "last"

    def __post_init__(self) -> None:
        _check_integer("output_size", self.output_size, minimum=1, owner="NetworkSpec")
        _check_choice("readout", self.readout, ("last", "every"), owner="NetworkSpec")


def check_hidden_size(owner: str, cell: CellSpec, hidden_size: int) -> None:
    """Check that ``hidden_size`` suits the cell.

    Raises:
        ArgumentError: where it is no multiple of ``cells_per_block`` or no larger than ``proj_size``.
    """
    blocks, rest = divmod(hidden_size, cell.cells_per_block)
    if rest or not blocks:
        below, above = blocks * cell.cells_per_block, (blocks + 1) * cell.cells_per_block
        advice = f"choose {below} or {above}" if below else f"choose {above}"
        raise ArgumentError(
            f"{owner}: hidden_size must be a multiple of cells_per_block "
            f"(got {hidden_size} and {cell.cells_per_block}); {advice}"
        )
    if cell.proj_size >= hidden_size:
        raise ArgumentError(
            f"{owner}: proj_size must be smaller than hidden_size (got {cell.proj_size} and {hidden_size}); "
            "choose a smaller one, or 0 for no projection"
        )


def to_dict(spec: CellSpec | RecurrentSpec | MLPSpec | NetworkSpec) -> dict[str, Any]:
    """A spec as plain JSON types, the inverse of :func:`network_from_dict` for a :class:`NetworkSpec`."""
    return dataclasses.asdict(spec)


def network_from_dict(data: Mapping[str, Any]) -> NetworkSpec:
    """A :class:`NetworkSpec` from what :func:`to_dict` gave.

    Raises:
        ArgumentError: for a missing, unknown or ill-valued field.
    """
    try:
        body_data = dict(data["body"])
        kind = body_data.pop("kind")
        if kind == "mlp":
            body_data["hidden_sizes"] = tuple(body_data["hidden_sizes"])
            body: RecurrentSpec | MLPSpec = MLPSpec(**body_data)
        elif kind == "recurrent":
            body_data["cell"] = CellSpec(**body_data["cell"])
            body = RecurrentSpec(**body_data)
        else:
            raise ArgumentError(f"NetworkSpec: body.kind must be 'recurrent' or 'mlp' (got {kind!r})")
        unknown = set(data) - {"body", "output_size", "readout"}
        if unknown:
            raise ArgumentError(f"NetworkSpec: unknown field {', '.join(sorted(unknown))}")
        return NetworkSpec(body=body, output_size=data["output_size"], readout=data["readout"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"NetworkSpec: the description does not fit this version of Peephole ({error})") from error
