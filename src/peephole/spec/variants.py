"""The well-known cells by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from peephole.errors import ArgumentError
from peephole.spec.cell import CellSpec
from peephole.spec.checks import near_miss


@dataclass(frozen=True, slots=True)
class Variant:
    """A named cell.

    Attributes:
        spec: the cell.
        summary: what it is, in one line.
        source: where it comes from: papers, and equations of the documents.

    Example:
        >>> from peephole.spec import VARIANTS
        >>> VARIANTS["coupled"].spec.coupled, VARIANTS["coupled"].source
        (True, 'Greff et al. 2017')
    """

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

    Example:
        >>> from peephole.spec import variant
        >>> variant("peephole").replace(cells_per_block=4).peepholes
        True
    """
    if name not in VARIANTS:
        known = f"{', '.join(VARIANTS)}{near_miss(name, VARIANTS)}"
        raise ArgumentError(f"variant: unknown variant {name!r}; choose one of {known}")
    return VARIANTS[name].spec
