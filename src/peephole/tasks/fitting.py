"""From checked series to a trained network: cuts, scaling, windows, training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from peephole.data import (
    Frequency,
    Panel,
    Scaler,
    Series,
    Style,
    Windows,
    cut_windows,
    fill_gaps,
    fit_scaler,
    join_windows,
    training_cut,
)
from peephole.errors import DataError
from peephole.nn import Network
from peephole.spec import MLPSpec, NetworkSpec, to_dict
from peephole.tasks.echo import Echo, diagnose_echo
from peephole.tasks.networks import network_spec
from peephole.training import ArrayBatches, ProgressCallback, TrainingResult, TrainingSettings, train

Values = NDArray[np.float64]

_MOST_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Fitted:
    """All that a forecaster has learned.

    Attributes:
        network: the trained network.
        lags_as_steps: how it takes the lags.
        anchor_last: whether it gives differences from the last value.
        scalers: scaling of each series by id.
        default: scaling of any other series.
        frequency: step of the training data.
        season: steps of a season.
        style: make of the training frame.
        tails: the history to go on from: the last ``lags`` values of each series, without gaps.
        trained_until: the last time of each series' training data by id.
        training: how training went; None for a loaded forecaster.
        echo: whether the forecasts of the validation part only echo the last value; None without one.
    """

    network: Network
    lags_as_steps: bool
    anchor_last: bool
    scalers: Mapping[str, Scaler]
    default: Scaler
    frequency: Frequency
    season: int
    style: Style
    tails: Sequence[Series]
    trained_until: Mapping[str, Any]
    training: TrainingResult | None = None
    echo: Echo | None = None

    def forecast_scaled(self, windows: Values) -> Values:
        """Windows ``[W, lags]`` to forecasts ``[W, horizon]``, both scaled."""
        parts: list[Values] = []
        with torch.no_grad():
            for start in range(0, len(windows), _MOST_AT_ONCE):
                inputs = as_inputs(windows[start : start + _MOST_AT_ONCE], self.network.spec, self.lags_as_steps)
                parts.append(self.network(inputs).numpy().astype(np.float64))
        scaled = np.concatenate(parts)
        return scaled + windows[:, -1:] if self.anchor_last else scaled

    def forecast(self, known: Sequence[tuple[str, Values]]) -> Values:
        """Forecasts in the unit of each series, ``[series, horizon]``, from its id and the values known."""
        lags = len(self.tails[0])
        scalers = [self.scalers.get(name, self.default) for name, _ in known]
        windows = [scaler.scale(values[-lags:]) for scaler, (_, values) in zip(scalers, known, strict=True)]
        scaled = self.forecast_scaled(np.stack(windows))
        return np.stack([scaler.unscale(row) for scaler, row in zip(scalers, scaled, strict=True)])


def as_inputs(windows: Values, spec: NetworkSpec, lags_as_steps: bool) -> torch.Tensor:
    """Scaled windows ``[W, lags]`` as a network takes them: ``[lags, W, 1]``, ``[1, W, lags]`` or ``[W, lags]``."""
    flat = _tensor(windows)
    if isinstance(spec.body, MLPSpec):
        return flat
    return flat.T.unsqueeze(-1).contiguous() if lags_as_steps else flat.unsqueeze(0)


def fit_network(
    panel: Panel,
    parameters: Mapping[str, Any],
    *,
    progress: ProgressCallback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Fitted:
    """Train a network on all series of a panel.

    Args:
        panel: the checked series.
        parameters: the forecaster's, checked.
        progress: told of every epoch.
        checkpoint: as for :func:`peephole.training.train`.
        resume: as there.

    Raises:
        DataError: for a series too short, or a training part that is constant.
    """
    steps = parameters["lags_as"] == "steps"
    sizes = {name: int(parameters[name]) for name in ("lags", "horizon", "hidden_size", "num_layers")}
    spec = network_spec(parameters["network"], **sizes, lags_as_steps=steps)
    scalers, default, windows = _prepare(panel, parameters)
    batches = [_batches(part, spec, parameters) if len(part) else None for part in windows]
    settings = _settings(parameters)
    with cast("Any", torch.random).fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        network = Network(spec)
    training = train(
        network,
        cast("ArrayBatches", batches[0]),
        validation=batches[1],
        settings=settings,
        progress=progress,
        checkpoint=checkpoint,
        resume=resume,
        identity=_identity(windows, spec, parameters),
    )
    fitted = Fitted(
        network=network,
        lags_as_steps=steps,
        anchor_last=parameters["anchor_last"],
        scalers=scalers,
        default=default,
        frequency=panel.frequency,
        season=parameters["season_length"] or panel.frequency.season,
        style=panel.style,
        tails=[tail(one, parameters) for one in panel.series],
        trained_until={one.id: one.times[-1] for one in panel.series},
        training=training,
    )
    return _with_echo(fitted, windows[1])


def tail(series: Series, parameters: Mapping[str, Any]) -> Series:
    """The last ``lags`` values of a series, its gaps filled.

    Raises:
        DataError: where there are fewer.
    """
    lags = int(parameters["lags"])
    if len(series) < lags:
        raise DataError(
            f"series {series.id!r}: a history must hold at least lags = {lags} values (got {len(series)}); "
            "bring a longer one"
        )
    values = fill_gaps(series.values, parameters["fill"], series=series.id)
    return Series(series.id, series.times[-lags:], values[-lags:])


def check_step(panel: Panel, fitted: Fitted) -> None:
    """Check that the times of a panel are as far apart as those of the training data.

    Raises:
        DataError: where they are not.
    """
    if panel.frequency != fitted.frequency:
        raise DataError(
            f"{panel.source}: the step must be that of the training data (got {panel.frequency.name!r}, trained on "
            f"{fitted.frequency.name!r}); bring the series to that step"
        )


def _prepare(panel: Panel, parameters: Mapping[str, Any]) -> tuple[dict[str, Scaler], Scaler, tuple[Windows, Windows]]:
    """Scalers, and the windows for training and for validation, scaled."""
    sizes = {"lags": int(parameters["lags"]), "horizon": int(parameters["horizon"])}
    scalers: dict[str, Scaler] = {}
    pieces: list[Values] = []
    training: list[Windows] = []
    validation: list[Windows] = []
    for number, one in enumerate(panel.series):
        cut = training_cut(len(one), **sizes, fraction=float(parameters["validation_fraction"]), series=one.id)
        # filled before the cut from what came before it alone, so that no gap lets the validation part through
        past = fill_gaps(one.values[:cut], parameters["fill"], series=one.id)
        scaler = scalers[one.id] = fit_scaler(past, parameters["scaling"], series=one.id)
        pieces.append(past)
        training.append(cut_windows(scaler.scale(past), **sizes, series=number))
        whole = scaler.scale(fill_gaps(one.values, parameters["fill"], series=one.id))
        validation.append(cut_windows(whole, **sizes, start=cut, series=number))
    default = fit_scaler(np.concatenate(pieces), parameters["scaling"])
    return scalers, default, (join_windows(training), join_windows(validation))


def _batches(windows: Windows, spec: NetworkSpec, parameters: Mapping[str, Any]) -> ArrayBatches:
    steps = parameters["lags_as"] == "steps"
    targets = windows.targets - windows.inputs[:, -1:] if parameters["anchor_last"] else windows.targets
    return ArrayBatches(
        as_inputs(windows.inputs, spec, steps),
        _tensor(targets),
        batch_size=int(parameters["batch_size"]),
        axis=0 if isinstance(spec.body, MLPSpec) else 1,
    )


def _settings(parameters: Mapping[str, Any]) -> TrainingSettings:
    clip, patience = parameters["clip_norm"], parameters["patience"]
    return TrainingSettings(
        max_epochs=int(parameters["max_epochs"]),
        learning_rate=float(parameters["learning_rate"]),
        weight_decay=float(parameters["weight_decay"]),
        clip_norm=None if clip is None else float(clip),
        patience=None if patience is None else int(patience),
        seed=int(parameters["seed"]),
    )


def _identity(windows: tuple[Windows, Windows], spec: NetworkSpec, parameters: Mapping[str, Any]) -> str:
    """Fingerprint of all that decides the weights and is not in the training settings."""
    digest = hashlib.sha256(json.dumps(to_dict(spec), sort_keys=True).encode())
    digest.update(json.dumps([parameters["batch_size"], parameters["anchor_last"]], default=int).encode())
    for part in windows:
        digest.update(part.inputs.tobytes())
        digest.update(part.targets.tobytes())
    return digest.hexdigest()


def _with_echo(fitted: Fitted, validation: Windows) -> Fitted:
    if not len(validation):
        return fitted
    echo = diagnose_echo(
        fitted.forecast_scaled(validation.inputs),
        validation.targets,
        validation.inputs[:, -1],
        np.ones(len(validation)),
    )
    return replace(fitted, echo=echo)


def _tensor(values: Values) -> torch.Tensor:
    return cast("Any", torch).from_numpy(values.astype(np.float32))
