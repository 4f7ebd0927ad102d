"""A bar shows the loss and the remaining time in a terminal, and nothing is printed anywhere else."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from peephole.cli import progress
from peephole.training import Progress

EPOCH = Progress(epoch=3, max_epochs=10, train_loss=0.5, validation_loss=0.25, best=0.2, seconds_left=75.0)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error as a terminal."""
    screen = io.StringIO()
    monkeypatch.setattr("peephole.cli.console.in_terminal", lambda: True)
    monkeypatch.setattr(
        "peephole.cli.console.err", lambda: Console(file=screen, force_terminal=True, width=120, highlight=False)
    )
    return screen


def test_training_shows_losses_and_remaining_time(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    with progress.training("Fitting the LSTM") as follow:
        follow(EPOCH)
    shown = terminal.getvalue()
    for part in ("Fitting the LSTM", "3/10", "loss 0.5", "validation 0.25", "at most 1:15 left"):
        assert part in shown


def test_what_is_quick_has_no_bar(terminal: io.StringIO) -> None:
    with progress.training("Fitting the LSTM") as follow:
        follow(EPOCH)
    assert terminal.getvalue() == ""


def test_steps_are_counted(terminal: io.StringIO) -> None:
    with progress.steps("Checking", 2) as advance:
        advance("lstm")
        advance("rnn")
    assert "Checking" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_without_a_terminal_or_with_json_there_is_no_bar(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    with progress.training("Fitting", enabled=False) as follow, progress.steps("Checking", 1, enabled=False) as advance:
        follow(EPOCH)
        advance("lstm")
    monkeypatch.setattr("peephole.cli.console.in_terminal", lambda: False)
    with progress.training("Fitting") as follow, progress.steps("Checking", 1) as advance:
        follow(EPOCH)
        advance("lstm")
    assert terminal.getvalue() == ""
