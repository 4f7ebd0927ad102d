"""A forecaster as an artifact, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar, cast

import numpy as np

from peephole import artifact
from peephole.artifact import Array
from peephole.data import Scaler, Series, Style
from peephole.data.frequency import parse_frequency
from peephole.errors import ArtifactError
from peephole.nn import Network
from peephole.runtime.forecast import ForecastTask
from peephole.spec import NetworkSpec
from peephole.tasks.fitting import Fitted

_Built = TypeVar("_Built")

KIND = "forecast"
_SAID_TWICE = ("lags", "horizon", "lags_as")  # to the runtime in the task, to the estimator in its parameters


def save(
    path: str | os.PathLike[str], parameters: Mapping[str, Any], fitted: Fitted, *, overwrite: bool = False
) -> None:
    """Write the network, and as its task all that forecasting with it needs.

    Raises:
        ArgumentError: where the folder is taken.
        ArtifactError: where it cannot be written.
    """
    task = {
        "kind": KIND,
        "lags": int(parameters["lags"]),
        "horizon": int(parameters["horizon"]),
        "lags_as": parameters["lags_as"],
        "anchor_last": fitted.anchor_last,
        "scaling": {
            "kind": parameters["scaling"],
            "series": {name: asdict(scaler) for name, scaler in fitted.scalers.items()},
            "default": asdict(fitted.default),
        },
        "frame": {
            "id_col": parameters["id_col"],
            "time_col": parameters["time_col"],
            "target_col": parameters["target_col"],
            "freq": fitted.frequency.name,
            "season_length": fitted.season,
            **asdict(fitted.style),
        },
        "history": {
            tail.id: {"times": [_plain_time(time) for time in tail.times], "values": [float(v) for v in tail.values]}
            for tail in fitted.tails
        },
        "trained_until": {name: _plain_time(time) for name, time in fitted.trained_until.items()},
        "parameters": {name: _plain(value) for name, value in parameters.items()},
    }
    weights = cast("Mapping[str, Array]", fitted.network.to_arrays())
    artifact.save(path, fitted.network.spec, weights, task=task, overwrite=overwrite)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Fitted]:
    """Read parameters and what was learned.

    Raises:
        ArtifactError: for a model that is missing, altered, of a newer version, or no forecaster.
    """
    saved = artifact.load(path)
    task = saved.task
    if task is None or task.get("kind") != KIND or not isinstance(saved.network, NetworkSpec):
        raise ArtifactError(f"artifact: {os.fspath(path)} holds no forecaster; open it with peephole.runtime.load")
    network = Network(saved.network)
    network.load_arrays({name: tensor.copy() for name, tensor in saved.weights.items()})  # read-only as they were read
    network.eval()
    try:
        parameters = dict(task["parameters"])
        if any(parameters[name] != task[name] for name in _SAID_TWICE):
            raise ValueError(f"its parameters must agree with it on {', '.join(_SAID_TWICE)}")
        fitted = _fitted(task, network)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"artifact: the task in {os.fspath(path)} is no forecast this version understands ({error!r})"
        ) from error
    ForecastTask.read(task, saved.network)  # what the runtime asks of it holds here too
    return parameters, fitted


def build(make: Callable[..., _Built], parameters: Mapping[str, Any]) -> _Built:
    """Call ``make`` with parameters read from an artifact.

    Raises:
        ArtifactError: where they are not its parameters.
    """
    try:
        return make(**parameters)
    except TypeError as error:
        raise ArtifactError(f"artifact: its parameters do not fit this version of Peephole ({error})") from error


def _fitted(task: Mapping[str, Any], network: Network) -> Fitted:
    frame = cast("Mapping[str, Any]", task["frame"])
    style = Style(**{name: frame[name] for name in Style.__slots__})
    dtype = np.int64 if style.time_kind == "integer" else "datetime64[us]"
    history = cast("Mapping[str, Any]", task["history"])
    scaling = cast("Mapping[str, Any]", task["scaling"])
    ends = cast("Mapping[str, Any]", task["trained_until"])
    if not history:
        raise ValueError("history is empty")
    return Fitted(
        network=network,
        lags_as_steps=task["lags_as"] == "steps",
        anchor_last=bool(task["anchor_last"]),
        scalers={name: Scaler(**entry) for name, entry in scaling["series"].items()},
        default=Scaler(**scaling["default"]),
        frequency=parse_frequency(frame["freq"]),
        season=int(frame["season_length"]),
        style=style,
        tails=[_tail(name, entry, dtype, lags=int(task["lags"])) for name, entry in history.items()],
        trained_until={name: np.array([time], dtype=dtype)[0] for name, time in ends.items()},
    )


def _tail(name: str, entry: Mapping[str, Any], dtype: Any, *, lags: int) -> Series:
    """The history of one series, of which a forecast takes every value."""
    tail = Series(name, np.array(entry["times"], dtype=dtype), np.array(entry["values"], dtype=np.float64))
    if tail.times.shape != (lags,) or tail.values.shape != (lags,) or not np.isfinite(tail.values).all():
        raise ValueError(f"history of series {name!r} must be {lags} times and as many finite values")
    return tail


def _plain_time(time: Any) -> int | str:
    return str(time) if np.asarray(time).dtype.kind == "M" else int(time)


def _plain(value: object) -> object:
    """A parameter as JSON has it."""
    return cast("object", value.item()) if isinstance(value, np.generic) else value
