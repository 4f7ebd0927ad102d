"""The table of errors, networks beside baselines, and one plain sentence on who wins."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from rich.table import Table

from peephole.cli import console

Scores = Mapping[str, Mapping[str, float]]
"""By metric, the value of every model."""

_SPOKEN = {"lstm": "LSTM", "rnn": "RNN", "mlp": "MLP"}
_METRICS = {"mae": "MAE", "rmse": "RMSE", "smape": "sMAPE", "mase": "MASE"}
_PERCENT = frozenset({"smape"})


def spoken(model: str) -> str:
    """A model's name as a reader would write it."""
    return _SPOKEN.get(model, model.replace("_", " "))


def scores_table(scores: Scores, networks: Collection[str], *, unit: str = "") -> Table:
    """One row a model, best first by the first metric; in every column the best value is marked."""
    first = next(iter(scores))
    best = {metric: min(_finite(row), default=math.nan) for metric, row in scores.items()}
    models = sorted(scores[first], key=lambda model: _key(scores[first][model]))
    rows = [
        [
            f"[bold]{spoken(model)}[/]" if model in networks else f"{spoken(model)} [dim](baseline)[/]",
            *(_cell(metric, scores[metric].get(model, math.nan), best[metric]) for metric in scores),
        ]
        for model in models
    ]
    columns = ["model", *(_heading(metric, unit) for metric in scores)]
    return console.table(columns, rows)


def verdict(scores: Scores, networks: Sequence[str], *, unit: str = "") -> list[str]:
    """Who wins by mean absolute error, one sentence a network, with the sentence to act on where none does."""
    errors = scores["mae"]
    baselines = {name: value for name, value in errors.items() if name not in networks and math.isfinite(value)}
    behind = f" {unit}" if unit else ""
    if not baselines:
        return ["There is no baseline to compare with."]
    best = min(baselines, key=lambda name: baselines[name])
    floor = baselines[best]
    lines: list[str] = []
    for name in sorted(networks, key=lambda name: _key(errors[name])):
        if errors[name] < floor:
            share = f"{(1 - errors[name] / floor) * 100:.0f} % below the best of them"
            lines.append(
                f"{spoken(name)} beats every baseline: MAE {errors[name]:.3g}{behind}, {share}, "
                f"{spoken(best)} ({floor:.3g}{behind})."
            )
        else:
            lines.append(
                f"{spoken(name)} does not beat {spoken(best)}: MAE {errors[name]:.3g}{behind} "
                f"against {floor:.3g}{behind}."
            )
    if all(errors[name] >= floor for name in networks):
        lines.append(
            f"{spoken(best)[:1].upper()}{spoken(best)[1:]} wins. Use it, or give the network more data, "
            "more lags or a season length."
        )
    return lines


def _heading(metric: str, unit: str) -> str:
    name = _METRICS.get(metric, metric)
    if metric in _PERCENT:
        return f"{name} (%)"
    return f"{name} ({unit})" if unit and metric in ("mae", "rmse") else name


def _cell(metric: str, value: float, best: float) -> str:
    if not math.isfinite(value):
        return "-"
    text = f"{value * (100 if metric in _PERCENT else 1):.4g}"
    return f"[bold green]{text}[/]" if value == best else text


def _finite(row: Mapping[str, float]) -> list[float]:
    return [value for value in row.values() if math.isfinite(value)]


def _key(value: float) -> float:
    return value if math.isfinite(value) else math.inf
