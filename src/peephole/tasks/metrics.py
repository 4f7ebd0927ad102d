"""Scores of a backtest, by utilsforecast: MAE, RMSE, sMAPE and MASE."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from peephole.data import Series
from peephole.tasks.backtest import Backtest

METRICS: tuple[str, ...] = ("mae", "rmse", "smape", "mase")
"""Names of the metrics: mean absolute error and root mean squared error in the unit of the series, symmetric mean
absolute percentage error as a share between 0 and 1, mean absolute error over that of the seasonal naive forecast
within the training part. Smaller is better."""


def score(backtest: Backtest, training: Mapping[str, Series], *, season: int) -> dict[str, dict[str, float]]:
    """Score every model of a backtest.

    A metric is computed for each series over all its windows and steps, then averaged over the series. Steps whose
    truth is missing are left out.

    Args:
        backtest: forecasts and truth.
        training: what each series was before the first origin; the season of MASE is measured on it alone.
        season: steps of a season.

    Returns:
        By metric, then by model. MASE is NaN for a series whose training part is shorter than a season or repeats it
        exactly.
    """
    losses: Any = importlib.import_module("utilsforecast.losses")  # slow to import, and needed here alone

    truth = backtest.truth.ravel()
    known = np.isfinite(truth)
    models = list(backtest.models)
    columns = {"id": np.repeat(np.array(backtest.ids), backtest.truth.shape[1])[known], "y": truth[known]}
    columns |= {name: values.ravel()[known] for name, values in backtest.models.items()}
    frame = _frame(columns)
    named: Any = {"models": models, "id_col": "id", "target_col": "y"}
    found: dict[str, Any] = {
        "mae": losses.mae(frame, **named),
        "rmse": losses.rmse(frame, **named),
        "smape": losses.smape(frame, **named),
        "mase": losses.mase(frame, seasonality=season, train_df=_training_frame(training), **named),
    }
    return {metric: {model: _mean(result, model) for model in models} for metric, result in found.items()}


def _training_frame(training: Mapping[str, Series]) -> Any:
    ids = np.concatenate([np.repeat(np.array([name]), len(series)) for name, series in training.items()])
    return _frame({"id": ids, "y": np.concatenate([series.values for series in training.values()])})


def _frame(columns: Mapping[str, NDArray[Any]]) -> Any:
    return nw.from_dict(columns, backend="pandas").to_native()


def _mean(result: Any, model: str) -> float:
    """Mean over the series; infinite where a scale is zero, which is no number to average."""
    values = np.asarray(nw.from_native(result, eager_only=True)[model].to_numpy(), dtype=np.float64)
    return float(np.mean(np.where(np.isfinite(values), values, np.nan)))
