"""Estimators: from a table to a forecast, with the baselines always beside it."""

from peephole.tasks.backtest import Backtest
from peephole.tasks.baselines import BASELINES, drift, naive, seasonal_naive
from peephole.tasks.demo import DEMO, Demo
from peephole.tasks.echo import Echo, EchoWarning, diagnose_echo
from peephole.tasks.evaluation import Evaluation
from peephole.tasks.forecaster import Forecaster
from peephole.tasks.metrics import METRICS, score
from peephole.tasks.networks import NETWORKS

__all__ = [
    "BASELINES",
    "DEMO",
    "METRICS",
    "NETWORKS",
    "Backtest",
    "Demo",
    "Echo",
    "EchoWarning",
    "Evaluation",
    "Forecaster",
    "diagnose_echo",
    "drift",
    "naive",
    "score",
    "seasonal_naive",
]
