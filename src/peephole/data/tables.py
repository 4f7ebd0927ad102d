"""Tables of any make as named columns: CSV, TSV and parquet files by path, pandas and polars frames, a pandas Series.

A text file is read here line by line, so that a message can name the line it is about; a frame goes through narwhals
and its rows are counted from 0. Nothing is interpreted yet: that is the work of :mod:`peephole.data.columns`.
"""

from __future__ import annotations

import csv
import difflib
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeAlias, cast

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from peephole.errors import ArgumentTypeError, DataError

Column: TypeAlias = list[str] | nw.Series[Any]
"""The cells of a text file as they stand there, or a column of a frame."""

_DELIMITERS = (",", ";", "\t", "|")
_PARQUET = (".parquet", ".pq")
_TEXT = (".csv", ".tsv", ".tab", ".txt")


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and where they came from.

    Attributes:
        source: how messages call the table: the file in quotes, or ``frame``.
        columns: the columns by name, all of one length.
        rows: number of rows, the header not counted.
        backend: library that frames made from this table belong to, ``"pandas"`` or ``"polars"``.
        lines: line of the file on which each row stands, counted from 1; None for a frame.
    """

    source: str
    columns: Mapping[str, Column]
    rows: int
    backend: str
    lines: NDArray[np.int64] | None = None

    def where(self, row: int) -> str:
        """How a message calls a row: ``line 18`` of a file, ``row 16`` of a frame (counted from 0)."""
        return f"row {row}" if self.lines is None else f"line {int(self.lines[row])}"

    def column(self, name: str, *, parameter: str) -> Column:
        """The column called ``name``, which the caller's ``parameter`` asked for.

        Raises:
            DataError: where there is none; the message lists the columns there are and the closest match.
        """
        if name in self.columns:
            return self.columns[name]
        close = difflib.get_close_matches(name.lower(), [key.lower() for key in self.columns], n=1)
        match = next((key for key in self.columns if close and key.lower() == close[0]), None)
        hint = f"; did you mean {match!r}?" if match else f"; name the right one with {parameter}"
        listed = ", ".join(repr(key) for key in self.columns)
        raise DataError(f"{self.source}: {parameter} names no column (got {name!r}); there are {listed}{hint}")


def open_table(data: object) -> Table:
    """Open a path, a pandas or polars frame, or a pandas Series.

    Args:
        data: path of a CSV, TSV (also gzipped) or parquet file, an eager frame that narwhals knows,
            or a pandas Series whose index holds the times.

    Raises:
        DataError: for a missing, unreadable or empty file, ragged lines, or a frame without rows.
        ArgumentTypeError: for anything else.
    """
    if isinstance(data, (str, Path)):
        return _open_path(Path(data))
    if hasattr(data, "reset_index") and hasattr(data, "to_frame"):
        return _from_series(data)
    try:
        frame = nw.from_native(cast("Any", data), eager_only=True)
    except TypeError as error:
        raise ArgumentTypeError(
            f"frame: must be a path, a pandas or polars frame, or a pandas Series (got {type(data).__name__}); "
            "for arrays, build a frame with a time and a target column first"
        ) from error
    return _from_narwhals(cast("nw.DataFrame[Any]", frame), "frame")


def _from_series(series: Any) -> Table:
    index = "ds" if series.index.name is None else str(series.index.name)
    name = "y" if series.name is None else str(series.name)
    native = series.rename(name).rename_axis(index).reset_index()
    return _from_narwhals(cast("nw.DataFrame[Any]", nw.from_native(native, eager_only=True)), "series")


def _from_narwhals(frame: nw.DataFrame[Any], source: str) -> Table:
    if not len(frame):
        raise DataError(f"{source}: must have rows (got none); check the query or the file it came from")
    backend = "polars" if frame.implementation.is_polars() else "pandas"
    columns = {str(name): frame[name] for name in frame.columns}
    return Table(source, columns, len(frame), backend)


def _open_path(path: Path) -> Table:
    source = f"'{path}'"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if path.is_dir():
        raise DataError(f"{source}: must be a file (got a folder); name one of the files in it")
    if not path.exists():
        raise DataError(f"{source}: no such file{_neighbour(path)}")
    if not path.stat().st_size:
        raise DataError(f"{source}: the file is empty; it must hold a header line and one line a value")
    if kind in _PARQUET:
        return _read_parquet(path, source)
    if kind not in _TEXT:
        known = ", ".join((*_TEXT, *_PARQUET))
        raise DataError(f"{source}: the ending must be one of {known} (got {kind or 'none'!r}); rename or convert it")
    opener = gzip.open if suffixes[-1] == ".gz" else open
    try:
        with cast("TextIO", opener(path, "rt", encoding="utf-8-sig", newline="")) as stream:
            return _read_text(stream, source, tabs=kind in (".tsv", ".tab"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source}: must be UTF-8 text (got byte 0x{error.object[error.start]:02x} at {error.start}); "
            "save it as UTF-8"
        ) from error
    except (OSError, EOFError, csv.Error) as error:
        raise DataError(f"{source}: cannot be read ({error}); check the file and its permissions") from error


def _neighbour(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder '{path.parent}' does not exist either"
    close = difflib.get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    return f"; did you mean '{path.parent / close[0]}'?" if close else "; check the name and the folder"


def _read_parquet(path: Path, source: str) -> Table:
    for backend in ("pandas", "polars"):
        try:
            frame = nw.read_parquet(str(path), backend=backend)
        except ImportError:
            continue
        except Exception as error:  # the readers raise errors of many libraries
            raise DataError(f"{source}: not a readable parquet file ({error}); write it again or use CSV") from error
        return _from_narwhals(frame, source)
    raise DataError(f"{source}: reading parquet needs polars or pyarrow (neither is installed); install one or use CSV")


def _read_text(stream: TextIO, source: str, *, tabs: bool) -> Table:
    first = stream.readline()
    stream.seek(0)
    counts = {mark: first.count(mark) for mark in _DELIMITERS}
    delimiter = "\t" if tabs else max(counts, key=lambda mark: counts[mark])
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
    header = [name.strip() for name in next(reader, cast("list[str]", []))]
    if not any(header):
        raise DataError(f"{source}: line 1 must be the header (got a blank line); put the column names there")
    doubled = next((name for name in header if header.count(name) > 1), None)
    if doubled is not None:
        raise DataError(f"{source}: column names must differ (got {doubled!r} twice); rename one")
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"{source}: line {reader.line_num} must have {len(header)} fields as the header has (got {len(row)}); "
                "look for a missing or a stray delimiter, or quotes that do not close"
            )
        rows.append(row)
        lines.append(reader.line_num)
    if not rows:
        raise DataError(f"{source}: there must be rows below the header (got none); is the file complete?")
    columns = {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}
    return Table(source, columns, len(rows), "pandas", np.asarray(lines, dtype=np.int64))
