"""The step between time stamps: told or inferred, a grid to check stamps against, and the stamps that come after.

A step is a count of one of five units: whole numbers (years among them), a fixed span of time, months (the same day
and time of day each), month ends, or business days (Monday to Friday).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from peephole.errors import ArgumentError

Unit = Literal["step", "microsecond", "month", "month_end", "business_day"]

_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "D": 86400 * 10**6}
_MICROSECONDS["W"] = 7 * _MICROSECONDS["D"]
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_SPELLINGS = {"H": "h", "T": "min", "S": "s", "d": "D", "w": "W", "A": "Y"}
_SEASONS = {"min": 1440, "h": 24, "D": 7, "W": 52, "M": 12, "Q": 4, "Y": 1, "B": 5}
_FORM = re.compile(r"(\d*)\s*(us|ms|s|min|h|D|W|B|[MQYA][SE]?|H|T|S|d|w)(-\w{3})?$")
_LONGEST_MONTH_TEST = 27
_LONGEST = 2**53  # in microseconds 285 years, of which a thousand steps still fit into 64 bits


@dataclass(frozen=True, slots=True)
class Frequency:
    """A step of ``count`` units.

    Attributes:
        unit: what is counted.
        count: how many of them make one step, at least 1.
    """

    unit: Unit
    count: int = 1

    @property
    def name(self) -> str:
        """The frequency in the spelling of pandas: ``h``, ``15min``, ``D``, ``MS``, ``YE``; ``1`` for whole numbers."""
        if self.unit == "step":
            return str(self.count)
        letter, count = self._letter()
        ending = {"month": "S", "month_end": "E"}.get(self.unit, "")
        return f"{count if count > 1 else ''}{letter}{ending}"

    @property
    def season(self) -> int:
        """Steps of the usual season: a day of hours, a week of days, a year of months or quarters; 1 for none."""
        if self.unit == "step":
            return 1
        letter, count = self._letter()
        return max(_SEASONS.get(letter, 1) // count, 1)

    def _letter(self) -> tuple[str, int]:
        if self.unit == "business_day":
            return "B", self.count
        sizes = _MICROSECONDS if self.unit == "microsecond" else _MONTHS
        letter = max((key for key in sizes if not self.count % sizes[key]), key=lambda key: sizes[key])
        return letter, self.count // sizes[letter]

    def after(self, last: Any, steps: int) -> NDArray[Any]:
        """The ``steps`` stamps that follow ``last``, of the kind of ``last`` (int64 or datetime64[us])."""
        ahead = np.arange(1, steps + 1, dtype=np.int64) * self.count
        if self.unit == "step":
            return np.int64(last) + ahead
        stamp = np.datetime64(last, "us")
        if self.unit == "microsecond":
            return stamp + ahead.astype("timedelta64[us]")
        day = stamp.astype("datetime64[D]")
        clock = stamp - day
        if self.unit == "business_day":
            return np.busday_offset(day, ahead, roll="forward").astype("datetime64[us]") + clock
        months = day.astype("datetime64[M]") + ahead.astype("timedelta64[M]")
        length = ((months + np.timedelta64(1, "M")).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(
            int
        )
        number = length if self.unit == "month_end" else np.minimum(_day_of_month(day), length)
        return months.astype("datetime64[us]") + (number - 1).astype("timedelta64[D]") + clock

    def positions(self, times: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where stamps lie on the grid that starts at the first: whole positions, and whether each is on the grid."""
        if self.unit == "step":
            whole, rest = np.divmod(times - times[0], self.count)
            return whole.astype(np.int64), rest == 0
        if self.unit == "microsecond":
            whole, rest = np.divmod((times - times[0]).astype(np.int64), self.count)
            return whole, rest == 0
        days = times.astype("datetime64[D]")
        same_clock = (times - days) == (times - days)[0]
        if self.unit == "business_day":
            whole, rest = np.divmod(np.busday_count(days[0], days), self.count)
            return whole.astype(np.int64), (rest == 0) & np.is_busday(days) & same_clock
        months = days.astype("datetime64[M]")
        whole, rest = np.divmod((months - months[0]).astype(np.int64), self.count)
        number, length = _day_of_month(days), _month_lengths(months)
        wanted = length if self.unit == "month_end" else np.minimum(number[0], length)
        return whole, (rest == 0) & (number == wanted) & same_clock


def _day_of_month(days: Any) -> Any:
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def _month_lengths(months: NDArray[Any]) -> NDArray[np.int64]:
    return ((months + np.timedelta64(1, "M")).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)


def parse_frequency(freq: str | int) -> Frequency:
    """A frequency from a number or pandas' spelling: ``h``, ``15min``, ``D``, ``B``, ``W``, ``MS``, ``QE``, ``Y``.

    Raises:
        ArgumentError: for anything else.
    """
    found = None if isinstance(freq, bool) else _parsed(str(freq).strip())
    if found is None or not 0 < found.count <= _LONGEST:
        raise ArgumentError(
            f"freq: must be a whole number, or a unit with a count before it (got {freq!r}); "
            "for example h, 15min, D, B, W, MS, ME, QS, YS, or None to infer it"
        )
    return found


def _parsed(text: str) -> Frequency | None:
    if text.isdecimal():
        return Frequency("step", int(text))
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    count, name = int(found[1] or 1), _SPELLINGS.get(found[2], found[2])
    if name == "B":
        return Frequency("business_day", count)
    if name in _MICROSECONDS:
        return Frequency("microsecond", count * _MICROSECONDS[name])
    name = "Y" + name[1:] if name[0] == "A" else name
    return Frequency("month_end" if name.endswith("E") else "month", count * _MONTHS[name[0]])


def infer_frequency(times: NDArray[Any]) -> Frequency:
    """The step that most of the stamps keep; ``times`` must rise and hold at least two."""
    if times.dtype.kind != "M":
        return Frequency("step", _mode(np.diff(times)))
    days = times.astype("datetime64[D]")
    gaps = np.diff(times).astype(np.int64)
    one_clock = bool(((times - days) == (times - days)[0]).all())
    if one_clock and gaps.min() > _LONGEST_MONTH_TEST * _MICROSECONDS["D"]:
        months = days.astype("datetime64[M]")
        number, length = _day_of_month(days), _month_lengths(months)
        step = _mode(np.diff(months).astype(np.int64))
        if (number == number[0]).all() and number[0] < _LONGEST_MONTH_TEST + 1:
            return Frequency("month", step)
        if (number == length).all():
            return Frequency("month_end", step)
        if (number == np.minimum(number.max(), length)).all():
            return Frequency("month", step)
    step = _mode(gaps)
    weekdays = (days.astype(np.int64) + 3) % 7
    five_days = len(times) > 5 and not (weekdays > 4).any() and (gaps == 3 * _MICROSECONDS["D"]).any()
    if one_clock and step == _MICROSECONDS["D"] and five_days:
        return Frequency("business_day")
    return Frequency("microsecond", step)


def _mode(gaps: NDArray[Any]) -> int:
    values, counts = np.unique(gaps.astype(np.int64), return_counts=True)
    return int(values[np.argmax(counts)])
