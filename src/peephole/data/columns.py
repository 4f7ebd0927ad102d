"""Columns as numbers and as times, with the first cell that does not fit named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from peephole.data.tables import Table
from peephole.errors import DataError

MISSING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "<na>"})
"""Texts that stand for a missing value, in lower case."""

TimeKind = Literal["integer", "date", "datetime"]

_DAY_FIRST = ("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_NAMED = ("%Y%m%d", "%b %d %Y", "%b %d, %Y", "%d %b %Y", "%B %d %Y", "%B %d, %Y", "%d %B %Y", "%b %Y", "%B %Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S")
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?$")
_LARGEST_YEAR_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Times:
    """A time column understood.

    Attributes:
        values: int64 (integers and years) or datetime64[us] (in UTC where ``zone`` is given).
        kind: what the column held.
        zone: name of the time zone the stamps carried, None where they carried none.
    """

    values: NDArray[Any]
    kind: TimeKind
    zone: str | None = None


def numbers(table: Table, name: str, *, parameter: str) -> NDArray[np.float64]:
    """The column as float64; missing cells are NaN, infinite ones stay infinite.

    Raises:
        DataError: for text, dates or switches among the numbers, with the row and what stands there.
    """
    column = table.column(name, parameter=parameter)
    if isinstance(column, list):
        return _parse_numbers(table, name, column, parameter)
    dtype = column.dtype
    if dtype.is_numeric() or dtype.is_decimal():
        missing = column.is_null().to_numpy()
        values = np.full(len(column), np.nan)
        values[~missing] = column.drop_nulls().cast(nw.Float64).to_numpy().astype(np.float64)
        return values
    if dtype == nw.Boolean or dtype.is_temporal():
        raise DataError(
            f"{table.source}: column {name!r} must hold numbers (got {dtype}); "
            f"convert it, or name another column with {parameter}"
        )
    return _parse_numbers(table, name, column.to_list(), parameter)


def _parse_numbers(table: Table, name: str, cells: Sequence[Any], parameter: str) -> NDArray[np.float64]:
    try:
        return np.array(cells, dtype=np.float64)
    except (ValueError, TypeError):
        pass
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        text = "" if cell is None else str(cell).strip()
        try:
            values[row] = math.nan if text.lower() in MISSING else float(text)
        except ValueError:
            comma = "; write the decimal point as '.'" if re.fullmatch(r"[+-]?\d+,\d+", text) else ""
            raise DataError(
                f"{table.source}: column {name!r} must hold numbers (got the text {text!r} in {table.where(row)})"
                f"{comma or f'; correct the cell, leave it empty, or name another column with {parameter}'}"
            ) from None
    return values


def times(table: Table, name: str, *, parameter: str) -> Times:
    """The column as times: integers, years, dates or date-times, of any resolution down to microseconds.

    Raises:
        DataError: for a missing or an unreadable stamp, with its row.
    """
    column = table.column(name, parameter=parameter)
    if isinstance(column, list):
        return _parse_times(table, name, [cell.strip() for cell in column])
    missing = column.is_null().to_numpy()
    if missing.any():
        raise _missing_time(table, name, int(np.argmax(missing)))
    dtype = column.dtype
    if dtype.is_integer():
        return Times(column.to_numpy().astype(np.int64), "integer")
    if dtype.is_float() or dtype.is_decimal():
        return _whole_times(table, name, column.cast(nw.Float64).to_numpy().astype(np.float64))
    if dtype == nw.Date:
        return Times(column.cast(nw.Datetime("us")).to_numpy().astype("datetime64[us]"), "date")
    if isinstance(dtype, nw.Datetime):
        zone = dtype.time_zone
        if zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return Times(column.to_numpy().astype("datetime64[us]"), "datetime", zone)
    return _parse_times(table, name, [str(cell).strip() for cell in column.to_list()])


def _missing_time(table: Table, name: str, row: int) -> DataError:
    return DataError(
        f"{table.source}: column {name!r} must hold a time in every row (got none in {table.where(row)}); "
        "give the time or drop the row"
    )


def _whole_times(table: Table, name: str, values: NDArray[np.float64]) -> Times:
    wrong = ~np.isfinite(values) | (values != np.round(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.source}: times in column {name!r} must be whole numbers, dates or date-times "
            f"(got {values[row]:g} in {table.where(row)}); number the steps 0, 1, 2 ... or write dates as 2010-01-31"
        )
    return Times(values.astype(np.int64), "integer")


def _parse_times(table: Table, name: str, cells: list[str]) -> Times:
    missing = next((row for row, cell in enumerate(cells) if cell.lower() in MISSING), None)
    if missing is not None:
        raise _missing_time(table, name, missing)
    if all(_WHOLE.fullmatch(cell) and len(cell.partition(".")[0]) <= _LARGEST_YEAR_DIGITS for cell in cells):
        return Times(np.array([int(float(cell)) for cell in cells], dtype=np.int64), "integer")
    for parse in (_parse_iso, _parse_with_offsets, _parse_by_form):
        found = parse(cells)
        if found is not None:
            return found
    row = next((row for row, cell in enumerate(cells) if not _readable(cell)), 0)
    raise DataError(
        f"{table.source}: column {name!r} must hold times (got {cells[row]!r} in {table.where(row)}); "
        "write whole numbers, or dates as 2010-01-31 or 2010-01-31 14:00, all in one form"
    )


def _stamps(values: NDArray[Any], zone: str | None = None) -> Times:
    midnight = bool((values == values.astype("datetime64[D]")).all())
    return Times(values, "date" if midnight and zone is None else "datetime", zone)


def _parse_iso(cells: Sequence[str]) -> Times | None:
    if not re.match(r"\d{4}[-/]\d{1,2}", cells[0]) or any(re.search(r"\d[+-]\d{2}:?\d{2}$|[zZ]$", c) for c in cells):
        return None
    try:
        return _stamps(np.array([cell.replace("/", "-") for cell in cells], dtype="datetime64[us]"))
    except ValueError:
        return None


def _parse_with_offsets(cells: Sequence[str]) -> Times | None:
    try:
        parsed = [datetime.fromisoformat(cell) for cell in cells]
    except ValueError:
        return None
    if any(moment.tzinfo is None for moment in parsed):
        return None
    naive = [moment.astimezone(UTC).replace(tzinfo=None) for moment in parsed]
    return Times(np.array(naive, dtype="datetime64[us]"), "datetime", "UTC")


def _parse_by_form(cells: Sequence[str]) -> Times | None:
    readings = [_try_forms(cells, forms) for forms in (_NAMED + _DAY_FIRST, _NAMED + _MONTH_FIRST)]
    fitting = [reading for reading in readings if reading is not None]
    if len(fitting) > 1 and not np.array_equal(fitting[0], fitting[1]):
        raise DataError(
            f"times: 'day/month' and 'month/day' both fit every row (for instance {cells[0]!r}); "
            "write the dates as 2010-01-31"
        )
    return _stamps(fitting[0]) if fitting else None


def _try_forms(cells: Sequence[str], forms: Sequence[str]) -> NDArray[Any] | None:
    for form in forms:
        try:
            return np.array([datetime.strptime(cell, form) for cell in cells], dtype="datetime64[us]")
        except ValueError:
            continue
    return None


def _readable(cell: str) -> bool:
    parsers: tuple[Callable[[Sequence[str]], Times | None], ...] = (_parse_iso, _parse_with_offsets)
    if _WHOLE.fullmatch(cell) or any(parse([cell]) is not None for parse in parsers):
        return True
    return _try_forms([cell], _NAMED + _DAY_FIRST + _MONTH_FIRST) is not None
