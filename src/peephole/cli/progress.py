"""Progress bars on standard error: only in a terminal, and only for what takes longer than a glance."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from peephole.cli import console

if TYPE_CHECKING:
    from peephole.training import Progress as Epoch

PATIENCE = 2.0
"""Seconds that a piece of work may take without a bar."""


@contextmanager
def steps(what: str, total: int, *, enabled: bool = True) -> Generator[Callable[[str], None]]:
    """A bar over ``total`` steps; the function it gives is called with a word as each step begins.

    Args:
        what: what is being done.
        total: how many steps.
        enabled: False with ``--json``. Without a terminal there is never a bar.

    Yields:
        The function to call at the beginning of each step.
    """
    if not (enabled and console.in_terminal()):
        yield lambda _word: None
        return
    bar = _bar(TimeRemainingColumn())
    task = bar.add_task(what, total=total)
    begun = 0

    def advance(word: str) -> None:
        nonlocal begun
        bar.update(task, completed=begun, description=f"{what}: {word}")
        begun += 1

    with bar:
        yield advance
        bar.update(task, completed=total)


@contextmanager
def training(what: str, *, enabled: bool = True) -> Generator[Callable[[Epoch], None]]:
    """A bar over the epochs of a fit, with the losses and the remaining time, once it has run two seconds.

    Args:
        what: the network that learns.
        enabled: False with ``--json``. Without a terminal there is never a bar.

    Yields:
        The callback for ``Forecaster.fit(progress=...)``.
    """
    if not (enabled and console.in_terminal()):
        yield lambda _epoch: None
        return
    bar = _bar(TextColumn("{task.fields[loss]}"), TextColumn("{task.fields[left]}"))
    task = bar.add_task(what, total=None, loss="", left="")
    begun = time.monotonic()
    shown = False

    def follow(epoch: Epoch) -> None:
        nonlocal shown
        if not shown and time.monotonic() - begun > PATIENCE:
            bar.start()
            shown = True
        bar.update(
            task, completed=epoch.epoch, total=epoch.max_epochs, loss=_losses(epoch), left=_left(epoch.seconds_left)
        )

    try:
        yield follow
    finally:
        if shown:
            bar.stop()


def _losses(epoch: Epoch) -> str:
    if epoch.validation_loss is None:
        return f"loss {epoch.train_loss:.4g}"
    return f"loss {epoch.train_loss:.4g}, validation {epoch.validation_loss:.4g}"


def _left(seconds: float) -> str:
    """The remaining time if it goes on to the last epoch; early stopping shortens it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"at most {minutes}:{rest:02d} left"


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        *columns,
        console=console.err(),
        transient=True,
    )
