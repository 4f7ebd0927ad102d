"""The parameters of the forecaster and their rules, declared once: checks, messages and tests read this table."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from peephole.data import FILLS, SCALINGS
from peephole.errors import ArgumentError
from peephole.tasks.networks import check_network


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of at least ``minimum`` and at most ``maximum``, where there is one."""

    minimum: int
    maximum: int | None = None
    optional: bool = False

    def accepts(self, value: object) -> bool:
        """Whether the rule holds."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            return False
        return self.minimum <= int(value) and (self.maximum is None or int(value) <= self.maximum)

    @property
    def rule(self) -> str:
        """The rule in words."""
        most = "" if self.maximum is None else f" and at most {self.maximum}"
        return f"must be a whole number of at least {self.minimum}{most}{', or None' if self.optional else ''}"


@dataclass(frozen=True, slots=True)
class Number:
    """A number in ``(low, high)``, or in ``[low, high)`` where ``closed``."""

    low: float
    high: float = math.inf
    closed: bool = False
    optional: bool = False

    def accepts(self, value: object) -> bool:
        """Whether the rule holds."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        number = float(value)
        return (self.low <= number if self.closed else self.low < number) and number < self.high

    @property
    def rule(self) -> str:
        """The rule in words."""
        below = f" and below {self.high:g}" if math.isfinite(self.high) else ""
        at_least = f"of at least {self.low:g}" if self.closed else f"above {self.low:g}"
        return f"must be a finite number {at_least}{below}{', or None' if self.optional else ''}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    values: tuple[object, ...]

    def accepts(self, value: object) -> bool:
        """Whether the rule holds."""
        return any(value is choice or (isinstance(value, str) and value == choice) for choice in self.values)

    @property
    def rule(self) -> str:
        """The rule in words."""
        return f"must be one of {', '.join(repr(value) for value in self.values)}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is not empty."""

    def accepts(self, value: object) -> bool:
        """Whether the rule holds."""
        return isinstance(value, str) and bool(value)

    @property
    def rule(self) -> str:
        """The rule in words."""
        return "must be a text that is not empty"


_MOST_UNITS, _MOST_LAYERS = 1_000_000, 1000  # the weights of fewer may already fill any memory
_LARGEST_SEED = 2**63 - 1  # of torch's generators

RULES: Mapping[str, Whole | Number | Choice | Text] = MappingProxyType(
    {
        "lags": Whole(1),
        "horizon": Whole(1),
        "hidden_size": Whole(1, _MOST_UNITS),
        "num_layers": Whole(1, _MOST_LAYERS),
        "lags_as": Choice(("steps", "features")),
        "anchor_last": Choice((True, False)),
        "scaling": Choice(SCALINGS),
        "season_length": Whole(1, optional=True),
        "id_col": Text(),
        "time_col": Text(),
        "target_col": Text(),
        "fill": Choice((None, *FILLS)),
        "batch_size": Whole(1),
        "learning_rate": Number(0),
        "max_epochs": Whole(1),
        "patience": Whole(1, optional=True),
        "validation_fraction": Number(0, 1, closed=True),
        "weight_decay": Number(0, closed=True),
        "clip_norm": Number(0, optional=True),
        "seed": Whole(0, _LARGEST_SEED),
    }
)
"""Every parameter whose rule stands by itself; ``network`` and ``freq`` are checked where they are read."""

_RESERVED = ("cutoff", "naive", "seasonal_naive", "drift", "metric")


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check all parameters of a forecaster.

    Raises:
        ArgumentError: for the first that breaks its rule.
    """
    for name, rule in RULES.items():
        if not rule.accepts(parameters[name]):
            raise ArgumentError(f"Forecaster: {name} {rule.rule} (got {parameters[name]!r})")
    check_network(parameters["network"])
    names = [parameters[name] for name in ("id_col", "time_col", "target_col")]
    taken = {*_RESERVED, parameters["network"]}
    for parameter, name in zip(("id_col", "time_col", "target_col"), names, strict=True):
        if names.count(name) > 1 or name in taken:
            raise ArgumentError(
                f"Forecaster: {parameter} must differ from the other columns of a result (got {name!r}; taken are "
                f"{', '.join(sorted(taken))}); rename the column"
            )
