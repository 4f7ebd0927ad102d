"""Looking inside: what a network's gates and states did, and pictures from plain arrays.

Traces need NumPy alone; pictures need matplotlib (``pip install peephole[train]``), which is imported when the first
one is drawn. Every picture function takes arrays and returns a matplotlib ``Figure``; :func:`save` writes it.
"""

from __future__ import annotations

from peephole.inspection.attention import attention
from peephole.inspection.forecasts import RollingForecasts, forecasts
from peephole.inspection.gates import gates
from peephole.inspection.learning import scores, training_curves
from peephole.inspection.style import save
from peephole.inspection.traces import Traceable, trace

__all__ = [
    "RollingForecasts",
    "Traceable",
    "attention",
    "forecasts",
    "gates",
    "save",
    "scores",
    "trace",
    "training_curves",
]
