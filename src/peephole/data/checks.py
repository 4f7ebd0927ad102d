"""What must hold for a series before anything is learned from it, and what is said where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from peephole.data.fill import FILLS, Fill
from peephole.data.frequency import Frequency, infer_frequency
from peephole.data.tables import Table
from peephole.errors import DataError

_HOUR = np.timedelta64(1, "h")
_DAY = np.timedelta64(1, "D")
_SPRING = frozenset({3, 4, 9, 10, 11})
_CLOCK_CHANGES_BEFORE = 4


@dataclass(frozen=True, slots=True)
class Checker:
    """The checks of one table, with all they need to say where something is.

    Attributes:
        table: where the rows came from.
        time_col: the column of times.
        target_col: the column of values.
        fill: how gaps will be filled, None where they are an error.
        frequency: the step the caller told, None to infer it.
        one_series: whether the table has no id column.
    """

    table: Table
    time_col: str
    target_col: str
    fill: Fill | None
    frequency: Frequency | None
    one_series: bool

    def regular(
        self, name: str, times: NDArray[Any], values: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> tuple[Frequency, NDArray[Any], NDArray[np.float64]]:
        """The step, the even grid of times and the values on it (NaN for what will be filled).

        Raises:
            DataError: for times that are double, unsorted or uneven, and for values that are missing or infinite.
        """
        self._check_order(name, times, rows)
        self._check_kind(name, times)
        frequency = self.frequency or infer_frequency(times)
        positions, on_grid = frequency.positions(times)
        if not on_grid.all():
            self._raise_off_grid(name, times, rows, frequency, int(np.argmin(on_grid)))
        if self.fill is None:
            self._check_gaps(name, times, rows, frequency, positions)
            self._check_finite(name, times, values, rows)
            return frequency, times, values
        length = int(positions[-1]) + 1
        filled = np.full(length, np.nan)
        filled[positions] = np.where(np.isfinite(values), values, np.nan)
        grid = times if length == len(times) else np.concatenate([times[:1], frequency.after(times[0], length - 1)])
        return frequency, grid, filled

    def _check_kind(self, name: str, times: NDArray[Any]) -> None:
        if self.frequency is None and len(times) < 2:
            raise DataError(
                f"{self.table.source}: series {name!r} must have at least two times to infer their step "
                f"(got {len(times)}); add rows or tell freq"
            )
        if self.frequency is not None and (self.frequency.unit == "step") != (times.dtype.kind != "M"):
            kind = "dates" if times.dtype.kind == "M" else "whole numbers"
            raise DataError(
                f"{self.table.source}: freq must suit the times (got {self.frequency.name!r} for {kind} in column "
                f"{self.time_col!r}); leave freq out to infer it"
            )

    def _check_order(self, name: str, times: NDArray[Any], rows: NDArray[np.int64]) -> None:
        steps = np.diff(times)
        if (steps > np.zeros(1, dtype=steps.dtype)).all():
            return
        order = np.argsort(times, kind="stable")
        double = np.flatnonzero(np.diff(times[order]) == np.zeros(1, dtype=steps.dtype))
        where = self.table.where
        if len(double):
            first, second = sorted((int(order[double[0]]), int(order[double[0] + 1])))
            hint = "keep one of them"
            if self.one_series:
                hint += ", or name the column that tells several series apart with id_col"
            if times.dtype.kind == "M" and (np.abs(steps) <= _HOUR).any() and (steps < _DAY).all():
                hint += "; an hour that comes twice in autumn is daylight saving: give the times in UTC"
            raise DataError(
                f"{self.table.source}: times of series {name!r} must differ (got {show(times[first])} in "
                f"{where(int(rows[first]))} and again in {where(int(rows[second]))}); {hint}"
            )
        late = int(np.argmax(steps < np.zeros(1, dtype=steps.dtype))) + 1
        raise DataError(
            f"{self.table.source}: times of series {name!r} must rise (got {show(times[late])} in "
            f"{where(int(rows[late]))} after {show(times[late - 1])}); sort the table by {self.time_col!r} first"
        )

    def _check_gaps(
        self,
        name: str,
        times: NDArray[Any],
        rows: NDArray[np.int64],
        frequency: Frequency,
        positions: NDArray[np.int64],
    ) -> None:
        steps = np.diff(positions)
        if (steps == 1).all():
            return
        late = int(np.argmax(steps != 1)) + 1
        missing = int(steps[late - 1]) - 1
        absent = frequency.after(times[late - 1], 1)[0]
        what = f"{show(absent)} is missing" if missing == 1 else f"{missing} steps from {show(absent)} on are missing"
        others = int(np.count_nonzero(steps != 1)) - 1
        more = f", the first of {others + 1} gaps" if others else ""
        daylight = ""
        if _is_clock_change(times[late - 1], times[late], absent):
            daylight = "; an hour missing in spring is daylight saving, so times in UTC would have no gap"
        raise DataError(
            f"{self.table.source}: times of series {name!r} must be even, one each {frequency.name!r} "
            f"({what} before {self.table.where(int(rows[late]))}{more}){daylight}; "
            "add the rows, or fill the gaps with fill='forward' or fill='linear'"
        )

    def _raise_off_grid(
        self, name: str, times: NDArray[Any], rows: NDArray[np.int64], frequency: Frequency, at: int
    ) -> None:
        told = "told" if self.frequency is not None else "most common"
        raise DataError(
            f"{self.table.source}: times of series {name!r} must be even (got {show(times[at])} in "
            f"{self.table.where(int(rows[at]))} after {show(times[at - 1])}, where the {told} step is "
            f"{frequency.name!r}); correct the time, bring the series to an even grid, or number its steps 0, 1, 2 ..."
        )

    def _check_finite(
        self, name: str, times: NDArray[Any], values: NDArray[np.float64], rows: NDArray[np.int64]
    ) -> None:
        wrong = ~np.isfinite(values)
        if not wrong.any():
            return
        at = int(np.argmax(wrong))
        count = int(np.count_nonzero(wrong))
        what = "a missing value (NaN)" if np.isnan(values[at]) else f"an infinite value ({values[at]})"
        more = f", {count} such values in all" if count > 1 else ""
        choices = " or ".join(f"fill={choice!r}" for choice in FILLS)
        raise DataError(
            f"{self.table.source}: column {self.target_col!r} of series {name!r} must be finite (got {what} in "
            f"{self.table.where(int(rows[at]))}, time {show(times[at])}{more}); "
            f"correct it, or allow filling with {choices}"
        )


def check_varies(name: str, values: NDArray[np.float64]) -> None:
    """Check that a series holds more than one value.

    Raises:
        DataError: for a constant series.
    """
    known = values[np.isfinite(values)]
    if not len(known) or (known == known[0]).all():
        got = f"{len(known)} times {known[0]:g}" if len(known) else "no value at all"
        raise DataError(
            f"series {name!r}: must vary to be forecast (got {got}); a constant needs no network, leave the series out"
        )


def same_wall_clock(times: NDArray[Any]) -> bool:
    """Whether every stamp shows the same time of day, as daily and longer steps do."""
    clocks = times - times.astype("datetime64[D]")
    return bool((clocks == clocks[0]).all())


def show(time: Any) -> str:
    """A time as a message writes it: ``1950``, ``2010-03-14`` or ``2010-03-14 02:00``."""
    if not isinstance(time, np.datetime64):
        return str(int(time))
    if time == time.astype("datetime64[D]"):
        return str(time.astype("datetime64[D]"))
    seconds = time.astype("datetime64[s]")
    unit: Literal["us", "s", "m"] = "us" if time != seconds else "m" if seconds == time.astype("datetime64[m]") else "s"
    return str(cast("object", np.datetime_as_string(cast("Any", time), unit=unit))).replace("T", " ")


def _is_clock_change(before: Any, after: Any, absent: Any) -> bool:
    if not isinstance(before, np.datetime64):
        return False
    moment = absent.astype("datetime64[us]").item()
    step = absent - before
    missing = after - before - step
    return bool(missing == _HOUR and moment.month in _SPRING and moment.hour < _CLOCK_CHANGES_BEFORE)
