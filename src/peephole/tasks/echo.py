"""Whether a forecast only echoes the last value.

Drawn over the truth, such a forecast looks right and comes too late: it lies on the series shifted by the step ahead.
So it is compared with both. With ``f`` the forecast of ``y_{t+k}`` made at ``t``,

    closeness = mean |f − y_t| / mean |f − y_{t+k}|         below 1: nearer to the shifted series than to the truth
    skill     = 1 − mean |f − y_{t+k}| / mean |y_t − y_{t+k}|   0: no better than repeating the last value

A forecast echoes when its closeness is below 1 and its skill below :data:`LEAST_SKILL`: being near to the last value
is no fault where that beats it clearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

LEAST_SKILL = 0.05
"""A forecast that beats the last value by this share does more than echo it."""


@final
class EchoWarning(UserWarning):
    """A forecast that only echoes the last value."""


@dataclass(frozen=True, slots=True)
class Echo:
    """The comparison, over all windows and steps.

    Attributes:
        closeness: distance to the last value over distance to the truth, 0 or more.
        skill: share of the naive forecast's error that is gone, at most 1; negative where it is worse.
        flagged: whether the forecast only echoes the last value.
    """

    closeness: float
    skill: float
    flagged: bool

    def message(self, model: str) -> str:
        """What to tell the user."""
        if not self.flagged:
            return f"{model} does not echo the last value (closeness {self.closeness:.2f}, skill {self.skill:.2f})"
        return (
            f"{model} only echoes the last value: its forecasts lie nearer to the series shifted by the forecast step "
            f"than to the truth (closeness {self.closeness:.2f}, below 1) and are no better than repeating it "
            f"(skill {self.skill:.2f}, below {LEAST_SKILL:g}); more lags, a longer series or other inputs may help, or "
            "the series may not be predictable from its own past"
        )


def diagnose_echo(
    forecast: NDArray[np.float64], truth: NDArray[np.float64], last: NDArray[np.float64], unit: NDArray[np.float64]
) -> Echo:
    """Compare forecasts with the truth and with the last value known.

    Args:
        forecast: ``[W, horizon]``.
        truth: ``[W, horizon]``; entries that are not finite are left out.
        last: the value at each origin, ``[W]``.
        unit: what errors are measured in at each origin, ``[W]``, so that series of any size count alike.
    """
    known = np.isfinite(truth)
    if not known.any():
        return Echo(math.inf, math.nan, flagged=False)
    shifted = np.broadcast_to(last[:, None], truth.shape)

    def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.mean((np.abs(a - b) / unit[:, None])[known]))

    to_last, to_truth, naive = distance(forecast, shifted), distance(forecast, truth), distance(shifted, truth)
    closeness = to_last / to_truth if to_truth else math.inf
    skill = 1 - to_truth / naive if naive else -math.inf if to_truth else 1.0
    return Echo(closeness, skill, flagged=closeness < 1 and skill < LEAST_SKILL)
