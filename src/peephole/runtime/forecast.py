"""A saved forecaster without its training: values in, forecasts out, both in the series' own unit.

::

    s = (x − mean) / std                   the scaling of the training part
    ŝ = network(s_{t−n+1} … s_t) [+ s_t]   the last value is added where the forecaster learned differences from it
    x̂ = ŝ · std + mean                     the next m values
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike

from peephole.artifact import Array
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.runtime import snapshot
from peephole.runtime.inputs import as_numbers
from peephole.runtime.model import Model
from peephole.spec import MLPSpec, NetworkSpec

_FLOAT64 = np.dtype(np.float64)


class Scale(NamedTuple):
    """``s = (x − mean) / std``, both in the unit of the series."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastTask:
    """What the runtime needs to know of a forecaster, out of an artifact's ``task``.

    Attributes:
        lags: ``n``, the past values that a forecast is made of.
        horizon: ``m``, the values that are forecast.
        as_steps: whether the lags are the time steps of a sequence, or else the features of one input.
        anchor_last: whether the network's output is a difference from the last value.
        scales: the scaling of each series by its id.
        default: the scaling of a series that is not among them, or None where there is no such.
    """

    lags: int
    horizon: int
    as_steps: bool
    anchor_last: bool
    scales: Mapping[str, Scale]
    default: Scale | None

    @classmethod
    def read(cls, task: Mapping[str, Any], network: NetworkSpec) -> ForecastTask:
        """The task of an artifact, checked against its network.

        Raises:
            ArtifactError: where an entry is missing, ill-valued or at odds with the network.
        """
        as_steps = task.get("lags_as") == "steps" and not isinstance(network.body, MLPSpec)
        scaling: Any = task.get("scaling")
        if task.get("lags_as") not in ("steps", "features"):
            raise ArtifactError(
                f"artifact: lags_as of a forecast must be 'steps' or 'features' (got {task.get('lags_as')!r})"
            )
        try:
            read = cls(
                lags=int(task["lags"]),
                horizon=int(task["horizon"]),
                as_steps=as_steps,
                anchor_last=bool(task["anchor_last"]),
                scales={str(name): _scale(entry) for name, entry in scaling["series"].items()},
                default=None if scaling.get("default") is None else _scale(scaling["default"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"artifact: the task is no forecast that this version understands ({error!r})"
            ) from error
        wanted = (1 if as_steps else read.lags, read.horizon)
        if read.lags < 1 or wanted != (network.input_size, network.output_size) or network.readout != "last":
            raise ArtifactError(
                f"artifact: a forecast of {read.horizon} values from {read.lags} needs a network of {wanted[0]} inputs "
                f"and {wanted[1]} outputs read at the last step (got {network.input_size}, {network.output_size} "
                f"and {network.readout!r})"
            )
        return read

    def scale_of(self, series: str | None) -> Scale:
        """The scaling of a series: its own, or the default for one that was not trained on.

        Where only one series was trained on, it need not be named.

        Raises:
            ArgumentError: for no id where there are several, or an id without a scaling where there is no default.
        """
        if series is None and len(self.scales) == 1:
            return next(iter(self.scales.values()))
        if series is not None and series in self.scales:
            return self.scales[series]
        if series is not None and self.default is not None:
            return self.default
        raise ArgumentError(
            f"forecast: series must name one of the {len(self.scales)} trained on (got {series!r}); "
            f"for example {', '.join(repr(name) for name in list(self.scales)[:3])}"
        )


def _scale(entry: Mapping[str, Any]) -> Scale:
    scale = Scale(float(entry["mean"]), float(entry["std"]))
    if not (math.isfinite(scale.mean) and 0 < scale.std < math.inf):
        raise ValueError(f"a scaling must have a finite mean and a positive std (got {scale})")
    return scale


@final
class ForecastModel:
    """A saved forecaster.

    Args:
        model: the network, with a task of the kind ``"forecast"``.

    Attributes:
        model: the network itself, which works on scaled values.
        forecast: lags, horizon and scaling.

    Raises:
        ArtifactError: where the task does not fit the network.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> network = spec.NetworkSpec(body=spec.body_spec("lstm", 1), output_size=2)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> scaling = {"series": {"sales": {"mean": 20.0, "std": 5.0}}, "default": None}
        >>> task = {"kind": "forecast", "lags": 3, "lags_as": "steps", "horizon": 2, "anchor_last": True}
        >>> artifact.save("forecaster", network, zeros, task={**task, "scaling": scaling})
        >>> model = runtime.load("forecaster")  # zero weights: the last value, again and again
        >>> model.predict([18.0, 21.0, 24.0]).tolist()
        [24.0, 24.0]
    """

    model: Model
    forecast: ForecastTask

    def __init__(self, model: Model) -> None:
        self.model = model
        self.forecast = ForecastTask.read(self.task, model.network)

    @property
    def network(self) -> NetworkSpec:
        """What the network is made of."""
        return self.model.network

    @property
    def weights(self) -> Mapping[str, Array]:
        """Its tensors by the names of :func:`peephole.weights.network_shapes`, read-only."""
        return self.model.weights

    @property
    def task(self) -> Mapping[str, Any]:
        """What the forecaster was trained for, as it was saved."""
        return self.model.task or {}

    def predict(self, history: ArrayLike, *, series: str | None = None) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Forecast what follows on a history.

        Args:
            history: at least ``lags`` values, oldest first, in the unit of the series; the last ``lags`` are used.
            series: the id of the series, which says how it is scaled.

        Returns:
            The next ``horizon`` values in the same unit, ``[horizon]``.

        Raises:
            ArgumentError: for a history that is too short, not one-dimensional or not finite, or an unknown series.
            ArgumentTypeError: where it holds no real numbers.
        """
        task, scale = self.forecast, self.forecast.scale_of(series)
        values = as_numbers("predict: history", history, _FLOAT64)
        if values.ndim != 1 or len(values) < task.lags:
            raise ArgumentError(
                f"predict: history must be one-dimensional and hold at least lags = {task.lags} values "
                f"(got the shape {list(values.shape)})"
            )
        window = values[-task.lags :]
        if not np.isfinite(window).all():
            raise ArgumentError(
                f"predict: the last lags = {task.lags} values of history must be finite "
                f"(got {np.count_nonzero(~np.isfinite(window))} that are NaN or infinite); fill the gaps first"
            )
        scaled = (window - scale.mean) / scale.std
        y = self.model.predict(self._as_input(scaled))
        return _unscale(task, scale, y, float(scaled[-1]))

    def stream(self, *, series: str | None = None) -> ForecastStream:
        """A stream of values in, forecasts out.

        Args:
            series: the id of the series, which says how it is scaled.

        Raises:
            ArgumentError: for an unknown series, or a network that cannot be stepped.
        """
        return ForecastStream(self, self.forecast.scale_of(series))

    def _as_input(self, scaled: Array) -> Array:
        if self.forecast.as_steps:
            return scaled[:, None]
        return scaled if isinstance(self.network.body, MLPSpec) else scaled[None, :]


@final
class ForecastStream:
    """A forecaster that is stepped, made by :meth:`ForecastModel.stream`.

    With the lags as time steps, the state goes on from value to value: after the first ``lags`` values the forecast
    is that of :meth:`ForecastModel.predict`, and later ones have the whole past behind them. With the lags as
    features (always so for a perceptron) the last ``lags`` values are kept; before there are as many, a step
    returns NaN.

    Args:
        model: the forecaster.
        scale: the scaling of the series.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> network = spec.NetworkSpec(body=spec.body_spec("lstm", 1), output_size=2)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> scaling = {"series": {"sales": {"mean": 20.0, "std": 5.0}}, "default": None}
        >>> task = {"kind": "forecast", "lags": 3, "lags_as": "steps", "horizon": 2, "anchor_last": True}
        >>> artifact.save("forecaster", network, zeros, task={**task, "scaling": scaling})
        >>> stream = runtime.load("forecaster").stream(series="sales")
        >>> [stream.step(value).tolist() for value in (18.0, 21.0)]
        [[18.0, 18.0], [21.0, 21.0]]
    """

    def __init__(self, model: ForecastModel, scale: Scale) -> None:
        self._task, self._scale = model.forecast, scale
        self._sha256 = model.model.sha256
        self._stream = model.model.stream()
        size = 1 if self._task.as_steps else self._task.lags
        # every value stands twice, `size` apart, so that the last `size` of them are always one slice
        self._ring = np.zeros(2 * size)
        self._seen = np.zeros(1, np.int64)

    def step(self, value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Take the next value and forecast those that follow on it.

        Args:
            value: in the unit of the series, finite.

        Returns:
            The next ``horizon`` values in the same unit, ``[horizon]``; NaN while fewer than ``lags`` values were
            seen and the network needs them all at once.

        Raises:
            ArgumentError: for a value that is NaN or infinite; the state is then as before.
            ArgumentTypeError: for anything but a number.
        """
        try:
            scaled = (float(value) - self._scale.mean) / self._scale.std
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(f"step: value must be a number (got {value!r})") from error
        if not math.isfinite(scaled):
            raise ArgumentError(
                f"step: value must be finite (got {value!r}); fill the gap first, for example with the last forecast"
            )
        size = len(self._ring) // 2
        place = int(self._seen[0]) % size
        self._ring[place] = self._ring[place + size] = scaled
        self._seen[0] += 1
        if self._seen[0] < size:
            return np.full(self._task.horizon, np.nan)
        if not self._task.as_steps:
            self._stream.reset()
        y = self._stream.step(self._ring[place + 1 : place + 1 + size])
        return _unscale(self._task, self._scale, y, scaled)

    def reset(self) -> None:
        """Forget every value seen."""
        self._stream.reset()
        self._ring.fill(0)
        self._seen.fill(0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to an ``.npz`` file; one that is there is replaced.

        Raises:
            ArtifactError: where it cannot be written.
        """
        snapshot.write(path, self._arrays(), sha256=self._sha256)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go back to a state that :meth:`save` wrote, bit for bit.

        Raises:
            ArtifactError: where the file holds no state of this model; the old one is then kept.
        """
        arrays = snapshot.read(path, self._arrays(), sha256=self._sha256)
        self._stream.restore(arrays)
        np.copyto(self._ring, arrays["ring"])
        np.copyto(self._seen, arrays["seen"])

    def _arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {**self._stream.arrays(), "ring": self._ring.copy(), "seen": self._seen.copy()}


def _unscale(task: ForecastTask, scale: Scale, y: Array, last: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    scaled = y.astype(np.float64)
    if task.anchor_last:
        scaled += last
    return scaled * scale.std + scale.mean
