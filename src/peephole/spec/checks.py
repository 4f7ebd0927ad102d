"""What the fields of a spec must be; each rule told in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from peephole.errors import ArgumentError

_OTHER_NAMES = {"sigmoid": "logistic", "linear": "identity", "xavier": "glorot"}
"""What others call ours."""


def near_miss(given: object, choices: Iterable[str]) -> str:
    """The end of a sentence about a name that is none of ``choices``: what was meant, if that can be told."""
    lower = str(given).lower()
    close = difflib.get_close_matches(_OTHER_NAMES.get(lower, lower), list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(name: str, value: object, choices: tuple[str, ...], *, owner: str = "CellSpec") -> None:
    """Refuse what is not one of ``choices``."""
    if value not in choices:
        meant = near_miss(value, choices)
        raise ArgumentError(f"{owner}: {name} must be one of {', '.join(choices)} (got {value!r}){meant}")


def check_integer(name: str, value: object, *, minimum: int, owner: str = "CellSpec") -> None:
    """Refuse what is no whole number of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(f"{owner}: {name} must be a whole number of at least {minimum} (got {value!r})")


def check_kind(name: str, value: object, kinds: tuple[type, ...], *, owner: str) -> None:
    """Refuse what is none of ``kinds``."""
    if not isinstance(value, kinds):
        names = [kind.__name__ for kind in kinds if kind is not type(None)]
        told = " or ".join([*names, "None"] if type(None) in kinds else names)
        raise ArgumentError(f"{owner}: {name} must be {told} (got {type(value).__name__})")


def check_probability(name: str, value: object) -> None:
    """Refuse what is no probability below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ArgumentError(f"CellSpec: {name} must be a probability in [0, 1) (got {value!r})")


def check_switch(name: str, value: object, *, owner: str = "CellSpec") -> None:
    """Refuse what is not True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{owner}: {name} must be True or False (got {value!r})")
