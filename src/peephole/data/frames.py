"""Series out of tables, checked; and frames out of results, of the same make as what came in.

A long frame has one row for each series and time (``unique_id, ds, y``; other names allowed). A wide one has no id
column and holds a single series. Either way each series must have rising, distinct, evenly spaced times and finite
values that are not all equal; :func:`read_panel` says where it is otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from peephole.data import checks
from peephole.data.columns import TimeKind, Times, numbers, times
from peephole.data.fill import Fill
from peephole.data.frequency import Frequency, parse_frequency
from peephole.data.tables import Table, open_table
from peephole.errors import DataError

DEFAULT_ID = "unique_id"


@dataclass(frozen=True, slots=True)
class Series:
    """One series on an even grid of times.

    Attributes:
        id: its name.
        times: int64 or datetime64[us], ``[T]``, evenly spaced.
        values: float64, ``[T]``; NaN where a value is missing and filling is allowed.
    """

    id: str
    times: NDArray[Any]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def until(self, stop: int) -> Series:
        """The first ``stop`` steps alone."""
        return Series(self.id, self.times[:stop], self.values[:stop])


@dataclass(frozen=True, slots=True)
class Style:
    """What frames made for the user look like, taken from the frame that came in.

    Attributes:
        backend: ``"pandas"`` or ``"polars"``.
        time_kind: whether times are integers, dates or date-times.
        zone: time zone of the stamps, None for none.
        clock: whether a series' times are in ``"utc"`` or on the zone's ``"local"`` clock.
        integer_ids: whether the ids were whole numbers.
    """

    backend: str = "pandas"
    time_kind: TimeKind = "datetime"
    zone: str | None = None
    clock: Literal["utc", "local"] = "utc"
    integer_ids: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """The series of one table.

    Attributes:
        series: at least one, in the order in which they first appear.
        frequency: the step they share.
        style: what they looked like.
        source: how messages call the table.
    """

    series: tuple[Series, ...]
    frequency: Frequency
    style: Style
    source: str


def read_panel(
    data: object,
    *,
    id_col: str = DEFAULT_ID,
    time_col: str = "ds",
    target_col: str = "y",
    freq: str | int | None = None,
    fill: Fill | None = None,
    constant_allowed: bool = False,
) -> Panel:
    """Read series from a path, a pandas or polars frame, or a pandas Series, and check them.

    Args:
        data: what :func:`peephole.data.tables.open_table` takes.
        id_col: column with the series' names; where the default is absent the table holds one series, named as
            its target.
        time_col: column with the times; for a pandas Series its index.
        target_col: column with the values; for a pandas Series its own name.
        freq: step between times in pandas' spelling or a whole number; None infers it.
        fill: how missing values and steps will be filled; None makes them an error.
        constant_allowed: whether a series may hold one value throughout (a history to predict from may).

    Raises:
        DataError: for everything about the data that stands in the way, each with the place and what to do.
    """
    table = open_table(data)
    if table.source == "series":
        time_col, target_col = tuple(table.columns)
    elif id_col != DEFAULT_ID:
        table.column(id_col, parameter="id_col")
    stamps = times(table, time_col, parameter="time_col")
    values = numbers(table, target_col, parameter="target_col")
    groups, integer_ids = _groups(table, id_col, target_col)
    told = None if freq is None else parse_frequency(freq)
    checker = checks.Checker(table, time_col, target_col, fill, told, one_series=id_col not in table.columns)
    clock: Literal["utc", "local"] = "utc"
    if stamps.zone is not None and checks.same_wall_clock(_local(stamps)):
        stamps, clock = Times(_local(stamps), stamps.kind, stamps.zone), "local"
    series: list[Series] = []
    frequency = told
    for name, rows in groups.items():
        found, grid, filled = checker.regular(name, stamps.values[rows], values[rows], rows)
        if frequency is not None and found != frequency:
            raise DataError(
                f"{table.source}: all series must keep one step (series {series[0].id!r} has {frequency.name}, "
                f"series {name!r} has {found.name}); read them apart"
            )
        frequency = found
        if not constant_allowed:
            checks.check_varies(name, filled)
        series.append(Series(name, grid, filled))
    style = Style(table.backend, stamps.kind, stamps.zone, clock, integer_ids)
    return Panel(tuple(series), cast("Frequency", frequency), style, table.source)


def _local(stamps: Times) -> NDArray[Any]:
    """UTC stamps as the zone's wall clock shows them."""
    zone = ZoneInfo(cast("str", stamps.zone))
    aware = [moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone) for moment in stamps.values.tolist()]
    return np.array([moment.replace(tzinfo=None) for moment in aware], dtype="datetime64[us]")


def _groups(table: Table, id_col: str, target_col: str) -> tuple[dict[str, NDArray[np.int64]], bool]:
    if id_col not in table.columns:
        return {target_col: np.arange(table.rows, dtype=np.int64)}, False
    column = table.columns[id_col]
    integers = not isinstance(column, list) and column.dtype.is_integer()
    cells = cast("Sequence[Any]", column if isinstance(column, list) else column.to_list())
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        if cell is None or cell != cell or cell == "":  # noqa: PLR0124 (NaN alone differs from itself)
            raise DataError(
                f"{table.source}: column {id_col!r} must name the series in every row "
                f"(got none in {table.where(row)}); fill in the id or drop the row"
            )
        rows.setdefault(str(cell), []).append(row)
    return {name: np.asarray(found, dtype=np.int64) for name, found in rows.items()}, integers


def to_frame(columns: Mapping[str, Any], style: Style, *, id_col: str, time_cols: Sequence[str]) -> Any:
    """A frame of the user's make out of columns of equal length.

    Args:
        columns: name to values; ids as str, times as int64 or datetime64[us], the rest as they are.
        style: from the panel the results belong to.
        id_col: the column that holds ids.
        time_cols: the columns that hold times.
    """
    ready: dict[str, Any] = {}
    for name, values in columns.items():
        if name == id_col and style.integer_ids:
            ready[name] = np.array([int(value) for value in values], dtype=np.int64)
        else:
            ready[name] = np.asarray(values) if not isinstance(values, list) else values
    frame = nw.from_dict(ready, backend=cast("Any", style.backend))
    if style.time_kind != "integer":
        frame = frame.with_columns(*(_time_column(frame[name], style) for name in time_cols))
    return frame.to_native()


def _time_column(column: nw.Series[Any], style: Style) -> nw.Series[Any]:
    if style.zone is not None:
        if style.clock == "local":
            return column.dt.replace_time_zone(style.zone)
        return column.dt.replace_time_zone("UTC").dt.convert_time_zone(style.zone)
    if style.time_kind == "date" and style.backend == "polars":
        return column.cast(nw.Date)
    return column
