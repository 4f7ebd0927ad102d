"""Ctrl-C, held back until the state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
class Interrupted(KeyboardInterrupt):
    """Training was interrupted, and stopped in a whole state.

    It is a KeyboardInterrupt, so that a search over settings stops too instead of counting a failed fit.

    Attributes:
        epoch: epochs that were done.
        checkpoint: the file to resume from, None where none was asked for.
    """

    def __init__(self, epoch: int, checkpoint: Path | None) -> None:
        self.epoch = epoch
        self.checkpoint = checkpoint
        where = f"resume from {checkpoint}" if checkpoint else "nothing was saved, for no checkpoint was asked for"
        super().__init__(f"training: interrupted after {epoch} whole epochs; {where}")


@dataclass(slots=True)
class Request:
    """Whether somebody has asked to stop."""

    made: bool = False


@contextmanager
def held_back() -> Generator[Request]:
    """Turn the first SIGINT in the block into a request to stop at the next whole state; the second interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing is changed.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else already handles it, or it is ignored
        yield request
        return

    def handle(_signal: int, _frame: object) -> None:
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)
