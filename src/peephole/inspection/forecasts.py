"""A picture of forecasts from rolling origins, every network against the truth and against the best baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from peephole.errors import ArgumentError
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

_HISTORY_SHARE = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingForecasts:
    """Forecasts of one series from several origins.

    Attributes:
        time: ``[W, m]``, dates or numbers of the steps that were forecast, one row per origin, oldest first.
        truth: ``[W, m]``, what came.
        networks: forecasts ``[W, m]`` by the network's name.
        baselines: forecasts ``[W, m]`` by the baseline's name.

    Raises:
        ArgumentError: where the shapes differ or no network is there.
    """

    time: Array
    truth: Array
    networks: Mapping[str, Array]
    baselines: Mapping[str, Array]

    def __post_init__(self) -> None:
        if self.truth.ndim != 2 or not self.truth.size:
            raise ArgumentError(f"RollingForecasts: truth must have shape [origins, horizon] (got {self.truth.shape})")
        if not self.networks:
            raise ArgumentError("RollingForecasts: networks must hold at least one forecast (got none)")
        for name, values in {"time": self.time, **self.networks, **self.baselines}.items():
            if values.shape != self.truth.shape:
                raise ArgumentError(
                    f"RollingForecasts: {name} must have the shape of truth (got {values.shape} and {self.truth.shape})"
                )

    def mean_absolute_error(self, name: str) -> float:
        """The mean absolute error of a network or baseline over all origins, in the unit of the series."""
        forecast = self.networks[name] if name in self.networks else self.baselines[name]
        return float(np.mean(np.abs(forecast - self.truth)))

    def best_baseline(self) -> str | None:
        """The baseline with the smallest mean absolute error, or None where there are none."""
        return min(self.baselines, key=self.mean_absolute_error, default=None)


def forecasts(
    rolling: RollingForecasts,
    history_time: Array | None = None,
    *,
    history: Array | None = None,
    value_label: str = "value",
    unit: str = "",
    time_label: str = "",
    title: str = "Forecasts from rolling origins",
    origins: int = 8,
) -> Figure:
    """Every network's forecasts against what came, one panel each, with the best baseline dashed behind.

    Args:
        rolling: the forecasts; errors in the panel titles are over all its origins.
        history_time: ``[L]``, dates or numbers of the steps of the series, or of those before the first origin.
        history: ``[L]``, the series there.
        value_label: name of the vertical axis, without unit.
        unit: unit of the series, such as ``"°F"``; empty where it has none.
        time_label: name of the horizontal axis.
        title: heading of the picture.
        origins: how many of the last origins are drawn at most. Origins whose forecasts would lie over one another
            are left out.

    Returns:
        A figure, to be written with :func:`peephole.inspection.save`.
    """
    if origins < 1:
        raise ArgumentError(f"forecasts: origins must be at least 1 (got {origins})")
    shown = _apart(rolling.time, origins)
    line_time, line = _truth_line(rolling, shown, history_time, history)
    baseline = rolling.best_baseline()
    with style.styled():
        figure = style.new_figure(9.2, 1.15 + max(2.4, 1.75 * len(rolling.networks)))
        panels: Any = figure.subplots(len(rolling.networks), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, rolling.networks, strict=True):
            _panel(axes, rolling, name, baseline, shown)
            axes.plot(line_time, line, color=style.TRUTH_COLOUR, linewidth=1.1, alpha=0.9, zorder=2)
            axes.set_ylabel(f"{value_label} ({unit})" if unit else value_label)
            title_colour = style.colour(name, rolling.networks)
            axes.set_title(_panel_title(rolling, name, baseline, unit), color=title_colour)
        panels[-1].set_xlim(line_time[0], line_time[-1])
        style.dress_time_axis(panels[-1], rolling.time, time_label)
        which = "all" if len(shown) == len(rolling.truth) else f"{len(shown)} of"
        style.heading(
            figure,
            title,
            f"Forecasts start at the vertical lines, each {rolling.truth.shape[1]} steps long; "
            f"drawn: {which} {len(rolling.truth)} origins. MAE: mean absolute error over all of them.",
        )
        figure.legend(
            handles=_legend(rolling, baseline), loc="outside lower left", ncols=6, handlelength=2.2, columnspacing=1.6
        )
    return figure


def _apart(time: Array, most: int) -> Array:
    """Rows of the last origins whose forecasts do not overlap in time, at most ``most``, oldest first."""
    rows = [len(time) - 1]
    for row in range(len(time) - 2, -1, -1):
        if len(rows) < most and time[row, -1] < time[rows[-1], 0]:
            rows.append(row)
    return np.array(rows[::-1])


def _truth_line(
    rolling: RollingForecasts, shown: Array, history_time: Array | None, history: Array | None
) -> tuple[Array, Array]:
    """The series as one line: the origins that are drawn and a stretch before the first of them."""
    times: Array = rolling.time.ravel()
    values: Array = rolling.truth.ravel()
    if history_time is not None and history is not None:
        if len(history_time) != len(history):
            raise ArgumentError(
                "forecasts: history_time and history must be of one length "
                f"(got {len(history_time)} and {len(history)})"
            )
        times = np.concatenate([np.asarray(history_time, dtype=rolling.time.dtype), times])
        values = np.concatenate([history, values])
    times, first = cast("tuple[Array, Array]", np.unique(times, return_index=True))
    drawn: Any = np.searchsorted(times, [rolling.time[shown][0, 0], rolling.time[-1, -1]])
    start = max(0, int(drawn[0]) - int(_HISTORY_SHARE * rolling.time[shown].size))
    stop = int(drawn[1]) + 1
    return times[start:stop], values[first][start:stop]


def _panel(axes: Any, rolling: RollingForecasts, name: str, baseline: str | None, shown: Array) -> None:
    axes.grid(visible=True, axis="y")
    colour = style.colour(name, rolling.networks)
    for time, forecast in zip(rolling.time[shown], rolling.networks[name][shown], strict=True):
        axes.axvline(time[0], color=style.FAINT, linewidth=0.9, zorder=0.5)
        axes.plot(time, forecast, color=colour, linewidth=1.9, zorder=3)
    if baseline is not None:
        pattern: Any = (0, style.dashes(baseline))
        for time, forecast in zip(rolling.time[shown], rolling.baselines[baseline][shown], strict=True):
            axes.plot(time, forecast, color=style.MUTED, linewidth=1.0, linestyle=pattern, alpha=0.9)


def _panel_title(rolling: RollingForecasts, name: str, baseline: str | None, unit: str) -> str:
    behind = f" {unit}" if unit else ""
    own = rolling.mean_absolute_error(name)
    text = f"{style.spoken(name)}: MAE {own:.3g}{behind}"
    if baseline is None:
        return text
    other = rolling.mean_absolute_error(baseline)
    if other == 0:
        return f"{text}, {style.spoken(baseline)} 0{behind}"
    change = (1 - own / other) * 100
    verdict = f"{abs(change):.0f} % {'below' if change >= 0 else 'above'} {style.spoken(baseline)}"
    return f"{text}, {verdict} ({other:.3g}{behind})"


def _legend(rolling: RollingForecasts, baseline: str | None) -> list[Any]:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    lines = [Line2D([], [], color=style.TRUTH_COLOUR, linewidth=1.4, label="what came")]
    lines += [
        Line2D([], [], color=style.colour(name, rolling.networks), linewidth=2.2, label=style.spoken(name))
        for name in rolling.networks
    ]
    if baseline is not None:
        pattern: Any = (0, style.dashes(baseline))
        label = f"{style.spoken(baseline)} (best baseline)"
        lines.append(Line2D([], [], color=style.MUTED, linewidth=1.2, linestyle=pattern, label=label))
    return lines
