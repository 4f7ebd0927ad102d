"""A cell together with its parameters, cut into the pieces that the equations name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from peephole.equations.activations import Array
from peephole.equations.part import Norm
from peephole.equations.state import Masks
from peephole.spec import CellSpec
from peephole.weights import row_slices


@dataclass(frozen=True)
class BoundCell:
    """Views into the parameters of one cell.

    Attributes:
        spec: the cell.
        weights: parameters by letter.
        H: memory cells.
        P: size of ``h``.
        rows: where ``i, f, g, o`` stand among the stacked rows.
        gate_columns: the rows that are gates, ``[G]``.
        peepholes: ``p`` by gate, ``[H]`` each.
        norms: gain and shift by part (``c`` for the cell); empty without layer norm.
    """

    spec: CellSpec
    weights: Mapping[str, Array]
    H: int
    P: int
    rows: dict[str, slice]
    gate_columns: np.ndarray[tuple[int], np.dtype[np.intp]]
    peepholes: dict[str, Array]
    norms: dict[str, Norm]

    @property
    def norm_columns(self) -> dict[str, slice]:
        """Where each normalised part stands among ``gain`` and ``shift``: the rows, then the cell."""
        K = sum(part.stop - part.start for part in self.rows.values())
        return self.rows if self.spec.cell == "rnn" else {**self.rows, "c": slice(K, K + self.H)}

    def zoneout(self, masks: Masks, t: int) -> tuple[Array | float, Array | float]:
        """``ζ_h`` and ``ζ_c`` of step ``t``: the draws where there are some, else the expectations."""
        zeta_h = self.spec.zoneout_hidden if masks.zoneout_h is None else masks.zoneout_h[t]
        zeta_c = self.spec.zoneout_cell if masks.zoneout_c is None else masks.zoneout_c[t]
        return zeta_h, zeta_c


def bind(spec: CellSpec, weights: Mapping[str, Array]) -> BoundCell:
    """The cell with its parameters; sizes are read off their shapes."""
    K, P = weights["R"].shape
    H = weights["W_p"].shape[1] if spec.proj_size else P
    rows = row_slices(spec, H)
    gate_columns = np.array([column for gate in spec.gates for column in range(K)[rows[gate]]], dtype=np.intp)
    peepholes = dict(zip(spec.gates, weights["p"], strict=True)) if spec.peepholes else {}
    cell = BoundCell(spec, weights, H, P, rows, gate_columns, peepholes, {})
    if spec.layer_norm:
        cell.norms.update(
            {name: Norm(weights["gain"][part], weights["shift"][part]) for name, part in cell.norm_columns.items()}
        )
    return cell
