"""``Forecaster``: the last n values of a series to the next m (003), with the baselines always beside it."""

from __future__ import annotations

import inspect
import os
import warnings
from dataclasses import replace
from typing import Any, Literal, Self, cast, final

import numpy as np
from numpy.typing import NDArray

from peephole.data import Panel, Style, read_panel, to_frame
from peephole.data.fill import Fill
from peephole.data.frames import DEFAULT_ID
from peephole.data.scaling import Scaling
from peephole.errors import ArgumentError
from peephole.tasks import saving
from peephole.tasks.backtest import Backtest, check_windows
from peephole.tasks.echo import EchoWarning
from peephole.tasks.evaluation import Evaluation, judge, rolling
from peephole.tasks.fitting import Fitted, check_step, fit_network, tail
from peephole.tasks.parameters import check_parameters
from peephole.training import ProgressCallback

Values = NDArray[np.float64]


@final
class Forecaster:
    """Forecast a series from its own past with an LSTM, an RNN or a multilayer perceptron.

    The network is given the last ``lags`` values and gives the next ``horizon`` at once. It follows scikit-learn:
    parameters are stored as they come and checked by :meth:`fit`; what was learned has an underscore behind.
    The baselines naive, seasonal naive and drift are computed beside it in every backtest.

    Args:
        lags: past values a forecast is made of.
        horizon: values to forecast.
        network: ``"lstm"``, ``"rnn"``, ``"mlp"`` or any name in :data:`peephole.spec.VARIANTS`.
        hidden_size: units of each hidden layer.
        num_layers: hidden layers.
        lags_as: the lags are the time ``"steps"`` of a sequence, or the ``"features"`` of a single step (003).
        anchor_last: the network learns the difference from the last value, which follows a level that wanders.
        scaling: ``"standard"``, ``"minmax"`` or ``"none"``; fitted on each series' training part alone.
        season_length: steps of a season, for the seasonal naive baseline and MASE; None takes the usual one of
            ``freq``.
        freq: step between times as pandas spells it, or a whole number; None infers it.
        id_col: column with the series' names; without it the table holds one series.
        time_col: column with the times.
        target_col: column with the values.
        fill: how missing values and times are filled, ``"forward"`` or ``"linear"``; None makes them an error.
        batch_size: windows of one update.
        learning_rate: step size of Adam.
        max_epochs: passes over the windows at most.
        patience: epochs without a better validation loss before training stops; None never stops early.
        validation_fraction: share of each series, at its end, kept for early stopping; 0 for none.
        weight_decay: decay of AdamW.
        clip_norm: largest norm of the gradient; None clips nothing.
        seed: of weights, batches and masks; the same seed gives the same forecaster.

    Attributes:
        network_: the trained :class:`peephole.nn.Network`.
        history_: epochs as they went, a tuple of :class:`peephole.training.Epoch`.
        training_: the :class:`peephole.training.TrainingResult`; None for a loaded forecaster.
        season_length_: the season in use.
        echo_: the diagnosis of echoes on the validation part, None without one.
    """

    def __init__(
        self,
        *,
        lags: int,
        horizon: int,
        network: str = "lstm",
        hidden_size: int = 32,
        num_layers: int = 1,
        lags_as: Literal["steps", "features"] = "steps",
        anchor_last: bool = True,
        scaling: Scaling = "standard",
        season_length: int | None = None,
        freq: str | int | None = None,
        id_col: str = DEFAULT_ID,
        time_col: str = "ds",
        target_col: str = "y",
        fill: Fill | None = None,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        max_epochs: int = 200,
        patience: int | None = 20,
        validation_fraction: float = 0.1,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        seed: int = 0,
    ) -> None:
        self.lags = lags
        self.horizon = horizon
        self.network = network
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.lags_as: Literal["steps", "features"] = lags_as
        self.anchor_last = anchor_last
        self.scaling: Scaling = scaling
        self.season_length = season_length
        self.freq = freq
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col
        self.fill: Fill | None = fill
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, as scikit-learn asks for them (``deep`` makes no difference)."""
        del deep
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; they are checked by :meth:`fit`.

        Raises:
            ArgumentError: for a name that is no parameter.
        """
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise ArgumentError(f"Forecaster: unknown parameter {name!r}; choose one of {', '.join(_PARAMETERS)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = {name: value for name, value in self.get_params().items() if value != _PARAMETERS[name].default}
        return f"Forecaster({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def fit(
        self,
        frame: object,
        *,
        progress: ProgressCallback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on all of a table.

        Args:
            frame: a path (CSV, TSV, parquet), a pandas or polars frame, or a pandas Series.
            progress: called after every epoch with a :class:`peephole.training.Progress`.
            checkpoint: file to write checkpoints to, so that an interrupted or killed fit can be resumed.
            resume: whether to go on from ``checkpoint``, to the same weights as without the break.

        Returns:
            The forecaster itself.

        Raises:
            ArgumentError: for a parameter that breaks its rule.
            DataError: for everything about the data that stands in the way.
            Interrupted: after Ctrl-C, with the checkpoint written.
            DivergedError: where the loss is not finite.

        Warns:
            EchoWarning: where the forecasts of the validation part only echo the last value.
        """
        check_parameters(self.get_params())
        panel = self._read(frame)
        self._fit_panel(panel, progress=progress, checkpoint=checkpoint, resume=resume)
        if self.echo_ is not None and self.echo_.flagged:
            warnings.warn(self.echo_.message(self.network), EchoWarning, stacklevel=2)
        return self

    def predict(self, frame: object = None) -> Any:
        """Forecast what follows.

        Args:
            frame: the history to forecast from, as for :meth:`fit`; None goes on from the end of the training data, or
                of what :meth:`set_history` gave.

        Returns:
            A frame of the make of the one that came in: id, time and the forecast, in a column called as the network.

        Raises:
            ArgumentError: before :meth:`fit`.
            DataError: for a history that cannot be used.
        """
        fitted = self._fitted() if frame is None else self._known(frame)
        histories = fitted.tails
        forecasts = fitted.forecast([(one.id, one.values) for one in histories])
        columns = {
            self.id_col: np.repeat(np.array([one.id for one in histories]), self.horizon),
            self.time_col: np.concatenate([fitted.frequency.after(one.times[-1], self.horizon) for one in histories]),
            self.network: forecasts.ravel(),
        }
        return to_frame(columns, fitted.style, id_col=self.id_col, time_cols=[self.time_col])

    def set_history(self, frame: object) -> Self:
        """Go on from the end of another table: newer values, or other series. The weights stay as they are.

        :meth:`predict` then forecasts what follows on it, and :meth:`save` keeps its end in place of the training
        data's. What counts as seen in training does not change.

        Args:
            frame: the new history, as for :meth:`fit`, of the step of the training data and with at least ``lags``
                values of each series.

        Returns:
            The forecaster itself.

        Raises:
            ArgumentError: before :meth:`fit`.
            DataError: for a history that cannot be used; the old one is then kept.
        """
        self.fitted_ = self._known(frame)
        return self

    def cross_validate(
        self,
        frame: object,
        *,
        n_windows: int,
        step_size: int | None = None,
        refit: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Any:
        """Forecast from rolling origins with a copy of this forecaster, trained only on what came before them.

        Args:
            frame: the data, the tested part at its end included.
            n_windows: origins of each series; the last window ends with the series.
            step_size: steps between origins; None for ``horizon``, so that windows do not overlap.
            refit: whether to train anew at every origin, or once before the first.
            progress: as for :meth:`fit`.

        Returns:
            A frame of the make of the one that came in: id, time, ``cutoff`` (the last time known), the target, and the
            forecasts of the network, ``naive``, ``seasonal_naive`` and ``drift``.

        Raises:
            ArgumentError: for a parameter that breaks its rule.
            DataError: for data that cannot be used, or too short for the windows.
        """
        panel, backtest = self._backtest(frame, n_windows, step_size, refit=refit, fitted=False, progress=progress)
        return self._forecast_frame(panel, backtest)

    def evaluate(
        self,
        frame: object,
        *,
        n_windows: int,
        step_size: int | None = None,
        refit: bool = False,
        fitted: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Evaluation:
        """Score the network and the baselines on rolling origins.

        Args:
            frame: the data, the tested part at its end included.
            n_windows: origins of each series.
            step_size: steps between origins; None for ``horizon``.
            refit: as for :meth:`cross_validate`.
            fitted: test this forecaster as it was fitted, instead of a copy trained before the origins; the origins
                must then lie behind its training data.
            progress: as for :meth:`fit`.

        Returns:
            The table of metrics, the forecasts, and the diagnosis of echoes.

        Raises:
            ArgumentError: for a parameter that breaks its rule.
            DataError: for data that cannot be used, too short for the windows, or seen in training.

        Warns:
            EchoWarning: where the network only echoes the last value.
        """
        panel, backtest = self._backtest(frame, n_windows, step_size, refit=refit, fitted=fitted, progress=progress)
        season = self.season_length or panel.frequency.season
        scores, echo = judge(panel, backtest, name=self.network, season=season)
        if echo.flagged:
            warnings.warn(echo.message(self.network), EchoWarning, stacklevel=2)
        columns: dict[str, Any] = {"metric": list(scores)}
        columns |= {name: np.array([row[name] for row in scores.values()]) for name in backtest.models}
        table = to_frame(columns, Style(backend=panel.style.backend, time_kind="integer"), id_col="", time_cols=[])
        return Evaluation(table, scores, self._forecast_frame(panel, backtest), backtest, echo)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save as the folder ``path``, which :meth:`load` and :func:`peephole.runtime.load` read.

        Raises:
            ArgumentError: before :meth:`fit`, or where the folder is taken.
            ArtifactError: where it cannot be written.
        """
        saving.save(path, self.get_params(), self._fitted(), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: for a model that is missing, altered, of a newer version, or no forecaster.
        """
        parameters, fitted = saving.load(path)
        forecaster = saving.build(cls, parameters)
        check_parameters(forecaster.get_params())
        forecaster._take(fitted)
        return forecaster

    def _read(self, frame: object, *, constant_allowed: bool = False) -> Panel:
        return read_panel(
            frame,
            id_col=self.id_col,
            time_col=self.time_col,
            target_col=self.target_col,
            freq=self.freq,
            fill=self.fill,
            constant_allowed=constant_allowed,
        )

    def _fit_panel(
        self,
        panel: Panel,
        *,
        progress: ProgressCallback | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> None:
        self._take(fit_network(panel, self.get_params(), progress=progress, checkpoint=checkpoint, resume=resume))

    def _take(self, fitted: Fitted) -> None:
        self.fitted_ = fitted
        self.network_ = fitted.network
        self.training_ = fitted.training
        self.history_ = fitted.training.history if fitted.training else ()
        self.season_length_ = fitted.season
        self.echo_ = fitted.echo

    def _fitted(self) -> Fitted:
        fitted = getattr(self, "fitted_", None)
        if fitted is None:
            raise ArgumentError("Forecaster: must be fitted first; call fit(frame), or load a saved one")
        return cast("Fitted", fitted)

    def _known(self, frame: object) -> Fitted:
        """What was learned, with the end of another table as the history."""
        fitted = self._fitted()
        panel = self._read(frame, constant_allowed=True)
        check_step(panel, fitted)
        return replace(fitted, style=panel.style, tails=[tail(one, self.get_params()) for one in panel.series])

    def _backtest(
        self,
        frame: object,
        n_windows: int,
        step_size: int | None,
        *,
        refit: bool,
        fitted: bool,
        progress: ProgressCallback | None,
    ) -> tuple[Panel, Backtest]:
        parameters = self.get_params()
        check_parameters(parameters)
        step = self.horizon if step_size is None else step_size
        check_windows(n_windows, step)
        panel = self._read(frame)
        learned = self._fitted() if fitted else None
        if learned is not None:
            check_step(panel, learned)
        windows = (n_windows, step)
        return panel, rolling(panel, parameters, windows=windows, refit=refit, fitted=learned, progress=progress)

    def _forecast_frame(self, panel: Panel, backtest: Backtest) -> Any:
        columns = backtest.columns(id_col=self.id_col, time_col=self.time_col, target_col=self.target_col)
        return to_frame(columns, panel.style, id_col=self.id_col, time_cols=[self.time_col, "cutoff"])


_PARAMETERS = {
    name: parameter for name, parameter in inspect.signature(Forecaster.__init__).parameters.items() if name != "self"
}
