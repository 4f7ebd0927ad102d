"""The library's messages in the words of the command line: ``time_col`` is ``--time`` there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "time_col": "--time",
        "target_col": "--target",
        "id_col": "--id",
        "n_windows": "--test-windows",
        "step_size": "--test-step",
        "num_layers": "--layers",
        "hidden_size": "--hidden-size",
        "lags_as": "--lags-as",
        "anchor_last": "--anchor-last",
        "season_length": "--season-length",
        "batch_size": "--batch-size",
        "learning_rate": "--learning-rate",
        "max_epochs": "--max-epochs",
        "validation_fraction": "--validation-fraction",
        "weight_decay": "--weight-decay",
        "clip_norm": "--clip-norm",
        "fill": "--fill",
        "freq": "--freq",
    }
)
"""Parameters of the library by name, and the options that set them."""

_ONLY_IN_PYTHON = (", or leave out fitted=True to train a copy on what came before",)
# `fill='forward'` in any message; a bare `fill` or `freq` is also an English word and stays
_ASSIGNED = re.compile(rf"\b({'|'.join(OPTIONS)})=(['\"]?)([\w.]+)\2")
_NAMED = re.compile(rf"(?<![-\w'\"/])({'|'.join(name for name in OPTIONS if '_' in name)})(?![\w'\"])")
_TOLD = re.compile(r"\b(tell|leave) freq\b")


def as_on_the_command_line(message: str) -> str:
    """A message of the library with options in place of parameters."""
    for part in _ONLY_IN_PYTHON:
        message = message.replace(part, "")
    message = _ASSIGNED.sub(lambda found: f"{OPTIONS[found[1]]} {found[3]}", message)
    message = _TOLD.sub(lambda found: f"{found[1]} --freq", message)
    return _NAMED.sub(lambda found: OPTIONS[found[1]], message)
