"""The demonstration keeps its promise: the LSTM beats every baseline on data it never saw."""

from __future__ import annotations

import pytest

from peephole.data import sample_path
from peephole.tasks import BASELINES, DEMO, Forecaster


def _scores(seed: int, network: str = "lstm") -> dict[str, dict[str, float]]:
    forecaster = Forecaster(
        lags=DEMO.lags,
        horizon=DEMO.horizon,
        network=network,
        hidden_size=DEMO.hidden_size,
        learning_rate=DEMO.learning_rate,
        validation_fraction=DEMO.validation_fraction,
        season_length=DEMO.series.season_length,
        time_col=DEMO.series.time_col,
        target_col=DEMO.series.target_col,
        seed=seed,
    )
    path = sample_path(DEMO.sample)
    evaluation = forecaster.evaluate(path, n_windows=DEMO.n_windows, step_size=DEMO.step_size)
    assert not evaluation.echo.flagged
    return {metric: dict(row) for metric, row in evaluation.scores.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("network", DEMO.networks)
def test_every_network_beats_every_baseline_with_every_seed(network: str, seed: int) -> None:
    for metric, row in _scores(seed, network).items():
        assert row[network] < min(row[name] for name in BASELINES), metric


def test_the_lstm_of_the_demonstration_beats_every_baseline() -> None:
    for metric, row in _scores(DEMO.seeds[0]).items():
        assert row["lstm"] < min(row[name] for name in BASELINES), metric
