"""Every flaw of a table has one message that says what, where, what came and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars as pl
import pytest

from peephole.data import read_panel
from peephole.errors import ArgumentError, ArgumentTypeError, DataError

pd: Any = pandas  # its types are partly unknown

Rows = dict[str, list[Any]]


def _days(*days: str) -> Any:
    return pd.to_datetime(list(days))


FLAWED_FRAMES: dict[str, tuple[Rows, tuple[str, ...]]] = {
    "missing_column": ({"date": [1, 2], "y": [1.0, 2.0]}, ("time_col", "'ds'", "'date', 'y'")),
    "close_column": ({"ds": [1, 2], "Y": [1.0, 2.0]}, ("did you mean 'Y'?",)),
    "text_among_numbers": ({"ds": [1, 2, 3], "y": ["1", "two", "3"]}, ("'two'", "row 1", "target_col")),
    "decimal_comma": ({"ds": [1, 2], "y": ["1,5", "2,5"]}, ("'1,5'", "write the decimal point as '.'")),
    "switches": ({"ds": [1, 2], "y": [True, False]}, ("must hold numbers", "Boolean")),
    "missing_value": ({"ds": [1, 2, 3], "y": [1.0, None, 3.0]}, ("NaN", "row 1", "time 2", "fill='forward'")),
    "infinite_value": ({"ds": [1, 2, 3], "y": [1.0, 2.0, np.inf]}, ("infinite", "row 2", "fill='linear'")),
    "missing_time": ({"ds": ["2020-01-01", ""], "y": [1.0, 2.0]}, ("a time in every row", "row 1")),
    "no_time": ({"ds": ["2020-01-01", "soon"], "y": [1.0, 2.0]}, ("'soon'", "row 1", "2010-01-31")),
    "fraction_as_time": ({"ds": [1749.042, 1749.123], "y": [1.0, 2.0]}, ("whole numbers", "1749.04", "row 0")),
    "day_or_month": ({"ds": ["01/02/2020", "02/02/2020"], "y": [1.0, 2.0]}, ("both fit", "2010-01-31")),
    "unsorted": ({"ds": [1, 3, 2], "y": [1.0, 2.0, 3.0]}, ("must rise", "got 2 in row 2 after 3", "sort")),
    "double": ({"ds": [1, 2, 2], "y": [1.0, 2.0, 3.0]}, ("must differ", "row 1 and again in row 2", "id_col")),
    "gap_in_years": ({"ds": [1900, 1901, 1903, 1904], "y": [1.0, 2.0, 3.0, 4.0]}, ("1902 is missing before row 2",)),
    "gap_in_months": (
        {"ds": _days("2020-01-01", "2020-02-01", "2020-03-01", "2020-05-01"), "y": [1.0, 2.0, 3.0, 4.0]},
        ("'MS'", "2020-04-01 is missing before row 3", "fill="),
    ),
    "two_gaps": ({"ds": [1, 2, 4, 5, 6, 9], "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, ("the first of 2 gaps",)),
    "holiday": (
        {"ds": list(pd.bdate_range("2024-01-01", periods=12).delete(3)), "y": list(range(11))},
        ("'B'", "2024-01-04 is missing"),
    ),
    "off_the_grid": (
        {"ds": [*pd.date_range("2020", periods=5, freq="h"), pd.Timestamp("2020-01-01 05:30")], "y": [1.0] * 6},
        ("must be even", "2020-01-01 05:30 in row 5", "'h'"),
    ),
    "constant": ({"ds": [1, 2, 3], "y": [7.0, 7.0, 7.0]}, ("must vary", "3 times 7")),
    "one_row": ({"ds": [1], "y": [7.0]}, ("at least two times", "freq")),
    "no_rows": ({"ds": [], "y": []}, ("must have rows",)),
    "missing_id": ({"unique_id": ["a", None], "ds": [1, 2], "y": [1.0, 2.0]}, ("name the series", "row 1")),
    "flaw_of_one_series": (
        {"unique_id": ["a", "b", "a", "b"], "ds": [1, 1, 2, 2], "y": [1.0, 2.0, 3.0, np.nan]},
        ("series 'b'", "row 3"),
    ),
    "different_steps": (
        {"unique_id": ["a", "a", "b", "b"], "ds": [1, 2, 1, 3], "y": [1.0, 2.0, 3.0, 4.0]},
        ("one step", "'a' has 1", "'b' has 2"),
    ),
}


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
@pytest.mark.parametrize("flaw", FLAWED_FRAMES)
def test_flawed_frame_is_named(flaw: str, library: Any) -> None:
    rows, expected = FLAWED_FRAMES[flaw]
    if library is pl:
        rows = {name: list(cells) for name, cells in rows.items()}
    with pytest.raises(DataError) as raised:
        read_panel(library.DataFrame(rows))
    message = str(raised.value)
    assert all(part in message for part in expected), message
    assert "\n" not in message


FLAWED_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("the file is empty",)),
    "header_alone": ("ds,y\n", ("rows below the header",)),
    "blank_header": ("\n1,2\n", ("line 1 must be the header",)),
    "double_column": ("ds,y,y\n1,2,3\n", ("'y' twice",)),
    "ragged": ("ds,y\n1,2\n2\n", ("line 3", "2 fields", "got 1")),
    "text": ("ds,y\n1,2\n\n2,hello\n", ("'hello' in line 4",)),
    "gap": ("ds;y\n2020-01-01;1\n2020-01-02;2\n2020-01-04;3\n2020-01-05;3\n", ("2020-01-03 is missing before line 4",)),
}


@pytest.mark.parametrize("flaw", FLAWED_FILES)
def test_flawed_file_is_named_with_its_line(flaw: str, tmp_path: Path) -> None:
    content, expected = FLAWED_FILES[flaw]
    file = tmp_path / "table.csv"
    file.write_text(content)
    with pytest.raises(DataError) as raised:
        read_panel(file)
    assert all(part in str(raised.value) for part in (str(file), *expected)), str(raised.value)


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("ds,y\n")
    with pytest.raises(DataError, match=r"no such file; did you mean '.*sales\.csv'"):
        read_panel(tmp_path / "sale.csv")
    with pytest.raises(DataError, match="does not exist either"):
        read_panel(tmp_path / "nowhere" / "sales.csv")
    with pytest.raises(DataError, match="got a folder"):
        read_panel(tmp_path)


def test_files_that_are_no_tables_are_named(tmp_path: Path) -> None:
    for name, content in {"a.xlsx": b"x", "b.csv": b"ds,y\n1,\xff\n", "c.parquet": b"no", "d.csv.gz": b"no"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as raised:
            read_panel(tmp_path / name)
        assert name in str(raised.value)


def test_an_object_that_is_no_table_is_named() -> None:
    with pytest.raises(ArgumentTypeError, match="got list"):
        read_panel([1, 2, 3])


def test_the_hour_that_daylight_saving_skips_is_named() -> None:
    hours = pd.date_range("2010-03-13", "2010-03-16", freq="h")
    frame = pd.DataFrame({"ds": hours, "y": np.arange(len(hours))})
    with pytest.raises(DataError, match=r"2010-03-14 02:00 is missing .* daylight saving, so times in UTC"):
        read_panel(frame[frame["ds"] != "2010-03-14 02:00"])
    with pytest.raises(DataError) as raised:
        read_panel(frame[frame["ds"] != "2010-03-14 14:00"])
    assert "daylight" not in str(raised.value)


def test_the_hour_that_daylight_saving_repeats_is_named() -> None:
    hours = pd.date_range("2010-11-06", periods=48, freq="h").to_list()
    hours.insert(26, hours[25])
    with pytest.raises(DataError, match=r"2010-11-07 01:00 .* twice in autumn is daylight saving"):
        read_panel(pd.DataFrame({"ds": hours, "y": np.arange(49)}))


@pytest.mark.parametrize("freq", ["fortnight", "0h", -1, True, "", "²", 10**20, "9999999999999D"])
def test_unknown_frequency_is_named(freq: Any) -> None:
    with pytest.raises(ArgumentError, match="freq"):
        read_panel(pd.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2.0, 4.0]}), freq=freq)


def test_frequency_that_does_not_suit_the_times_is_named() -> None:
    with pytest.raises(DataError, match="'D' for whole numbers"):
        read_panel(pd.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2.0, 4.0]}), freq="D")


def test_a_leading_gap_cannot_be_filled() -> None:
    from peephole.data import fill_gaps

    panel = read_panel(pd.DataFrame({"ds": [1, 2, 3], "y": [None, 2.0, 4.0]}), fill="forward")
    with pytest.raises(DataError, match="the first value must be known"):
        fill_gaps(panel.series[0].values, "forward")
