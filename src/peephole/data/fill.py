"""Missing values filled, from the past alone or between neighbours."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from peephole.errors import DataError

Fill = Literal["forward", "linear"]
FILLS: tuple[Fill, ...] = ("forward", "linear")


def fill_gaps(values: NDArray[np.float64], fill: Fill | None, *, series: str = "series") -> NDArray[np.float64]:
    """Fill the values that are not finite.

    Only ``values`` is looked at: to keep a backtest honest, cut a history before it is filled, for ``"linear"``
    uses the value after a gap. A gap at the end has none and holds the last value.

    Args:
        values: the values, ``[T]``; NaN and infinite ones count as missing.
        fill: ``"forward"`` repeats the last value, ``"linear"`` draws a line across the gap; None leaves all as it is.
        series: name for messages.

    Raises:
        DataError: where the first value is missing, so that there is nothing to fill from.
    """
    known = np.isfinite(values)
    if fill is None or known.all():
        return values
    if not known[0]:
        raise DataError(
            f"series {series!r}: the first value must be known to fill what follows (got {values[0]}); "
            "drop the rows before the first value"
        )
    index = np.arange(len(values))
    if fill == "forward":
        return values[np.maximum.accumulate(np.where(known, index, 0))]
    return np.interp(index, index[known], values[known])
