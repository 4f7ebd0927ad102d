"""Every cell, in one list: a new variant enters VARIANTS and every law runs over it."""

from __future__ import annotations

from peephole.spec import VARIANTS, CellSpec


def _cells_of(name: str, spec: CellSpec) -> dict[str, CellSpec]:
    cells = {name: spec}
    if spec.cell == "lstm":
        cells[f"{name}-3_cells"] = spec.replace(cells_per_block=3)
    return cells


CELLS: dict[str, CellSpec] = {
    key: cell for name, variant in VARIANTS.items() for key, cell in _cells_of(name, variant.spec).items()
}
"""Every variant, and every LSTM with blocks of three cells."""

PROJECTED: dict[str, CellSpec] = {
    f"{name}-projected": cell.replace(proj_size=1) for name, cell in CELLS.items() if cell.cell == "lstm"
}
"""The same with a projection."""

EVERYTHING_AT_ONCE = CellSpec(
    peepholes=True,
    cells_per_block=2,
    full_gate_recurrence=True,
    layer_norm=True,
    proj_size=3,
    zoneout_hidden=0.2,
    zoneout_cell=0.3,
    recurrent_dropout=0.4,
    output_activation="logistic",
)
"""Switches that might get in each other's way, together."""

ALL_CELLS: dict[str, CellSpec] = {**CELLS, **PROJECTED, "everything_at_once": EVERYTHING_AT_ONCE}
"""All of the above."""

SOME_CELLS: dict[str, CellSpec] = {
    **{name: CELLS[name] for name in ("lstm", "zoneout", "layer_norm", "full_gate_recurrence-3_cells", "rnn")},
    "everything_at_once": EVERYTHING_AT_ONCE,
}
"""One of each kind, for laws about memory, which take long over all of them."""
