"""Scaling fitted on the training part alone: ``z = (x - mean) / std``.

Every kind is this one affine map, so that the runtime needs to know a single rule: ``standard`` has the training
part's mean and standard deviation, ``minmax`` its minimum and range, ``none`` 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from peephole.errors import ArgumentError, DataError

Scaling = Literal["standard", "minmax", "none"]
SCALINGS: tuple[Scaling, ...] = ("standard", "minmax", "none")


@dataclass(frozen=True, slots=True)
class Scaler:
    """An affine map and its inverse.

    Attributes:
        mean: what is subtracted, in the unit of the series.
        std: what is divided by, positive, in the unit of the series.
    """

    mean: float
    std: float

    def scale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(x - mean) / std``."""
        return (values - self.mean) / self.std

    def unscale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``x std + mean``."""
        return values * self.std + self.mean


def fit_scaler(values: NDArray[np.float64], kind: Scaling, *, series: str = "series") -> Scaler:
    """Fit a scaler.

    Args:
        values: the training part and nothing else, finite, ``[T]``.
        kind: ``"standard"``, ``"minmax"`` or ``"none"``.
        series: name for messages.

    Raises:
        ArgumentError: for an unknown kind.
        DataError: for a training part that is constant, which has no scale.
    """
    if kind == "none":
        return Scaler(0.0, 1.0)
    if kind == "standard":
        center, spread = float(np.mean(values)), float(np.std(values))
    elif kind == "minmax":
        center, spread = float(np.min(values)), float(np.ptp(values))
    else:
        raise ArgumentError(f"scaling: must be one of {', '.join(SCALINGS)} (got {kind!r})")
    if not spread > np.finfo(np.float64).eps * max(abs(center), np.finfo(np.float64).tiny):
        raise DataError(
            f"series {series!r}: the training part must vary to be scaled (got {values[0]:g} throughout its "
            f"{len(values)} values); use a longer training part, scaling='none', or leave the series out"
        )
    return Scaler(center, spread)
