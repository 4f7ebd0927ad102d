"""The table and the sentences on who wins say what the numbers say."""

from __future__ import annotations

import io
import json
import math

from rich.console import Console

from peephole.cli import console, report

SCORES = {
    "mae": {"lstm": 1.0, "rnn": 3.0, "naive": 2.0, "seasonal_naive": 2.5, "drift": math.nan},
    "smape": {"lstm": 0.1, "rnn": 0.3, "naive": 0.2, "seasonal_naive": 0.25, "drift": math.nan},
}


def text_of(scores: report.Scores) -> str:
    recorder = Console(record=True, width=120, file=io.StringIO())
    recorder.print(report.scores_table(scores, ["lstm", "rnn"], unit="°C"))
    return recorder.export_text()


def test_the_best_model_stands_first_and_a_missing_value_last() -> None:
    lines = [line.strip() for line in text_of(SCORES).splitlines() if line.strip()]
    models = [line.split("  ")[0] for line in lines[2:]]
    assert models == ["LSTM", "naive (baseline)", "seasonal naive (baseline)", "RNN", "drift (baseline)"]
    assert lines[-1].split() == ["drift", "(baseline)", "-", "-"]


def test_units_stand_in_the_heading() -> None:
    heading = text_of(SCORES).splitlines()[1]
    assert "MAE (°C)" in heading
    assert "sMAPE (%)" in heading


def test_the_verdict_names_winner_and_loser() -> None:
    lines = report.verdict(SCORES, ["lstm", "rnn"], unit="°C")
    assert lines == [
        "LSTM beats every baseline: MAE 1 °C, 50 % below the best of them, naive (2 °C).",
        "RNN does not beat naive: MAE 3 °C against 2 °C.",
    ]


def test_a_baseline_that_wins_is_said_to_win() -> None:
    lines = report.verdict({"mae": {"rnn": 3.0, "seasonal_naive": 2.0}}, ["rnn"])
    assert lines[0] == "RNN does not beat seasonal naive: MAE 3 against 2."
    assert lines[1].startswith("Seasonal naive wins. Use it")


def test_json_is_strict() -> None:
    text = console.dump_json({"a": math.nan, "b": [math.inf, 1.0], "c": {"d": "é"}})
    assert json.loads(text) == {"a": None, "b": [None, 1.0], "c": {"d": "é"}}
