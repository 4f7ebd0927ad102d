"""Tables of every make give the same series, and results go back in the make that came."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars as pl
import pytest

from peephole.data import SAMPLES, Panel, read_panel, sample_path, to_frame
from peephole.errors import ArgumentError

pd: Any = pandas  # its types are partly unknown

LIBRARIES: list[Any] = [pd, pl]


def _long() -> dict[str, list[Any]]:
    return {
        "unique_id": ["b", "a", "b", "a"],
        "ds": [date(2020, 1, 1), date(2020, 1, 1), date(2020, 2, 1), date(2020, 2, 1)],
        "y": [1.0, 10.0, 2.0, 20.0],
    }


def _same(first: Panel, second: Panel) -> None:
    assert first.frequency == second.frequency
    assert [one.id for one in first.series] == [one.id for one in second.series]
    for one, other in zip(first.series, second.series, strict=True):
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.values, other.values)


def test_pandas_polars_csv_and_tsv_give_the_same_series(tmp_path: Path) -> None:
    panels = [read_panel(library.DataFrame(_long())) for library in LIBRARIES]
    text = pl.DataFrame(_long()).write_csv()
    (tmp_path / "long.csv").write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "long.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "long.csv.gz").write_bytes(gzip.compress(text.replace(",", ";").encode()))
    pl.DataFrame(_long()).write_parquet(tmp_path / "long.parquet")
    panels += [read_panel(tmp_path / name) for name in ("long.csv", "long.tsv", "long.csv.gz", "long.parquet")]
    for panel in panels[1:]:
        _same(panels[0], panel)
    assert [one.id for one in panels[0].series] == ["b", "a"]
    assert panels[0].frequency.name == "MS"


def test_a_pandas_series_is_a_wide_frame() -> None:
    index = pd.date_range("2020-01-06", periods=4, freq="W-MON", name="week")
    values = np.array([3.0, 1.0, 4.0, 1.0])
    panel = read_panel(pd.Series(values, index=index, name="sales"))
    _same(panel, read_panel(pd.DataFrame({"week": index, "sales": values}), time_col="week", target_col="sales"))
    assert panel.series[0].id == "sales"
    assert panel.frequency.name == "W"


TIMES: dict[str, tuple[list[Any], str]] = {
    "integers": ([3, 4, 5], "1"),
    "years_as_text": (["1700", "1701", "1702"], "1"),
    "years_as_floats": ([1700.0, 1701.0, 1702.0], "1"),
    "months": (["1949-01", "1949-02", "1949-03"], "MS"),
    "slashes": (["2010/01/01 00:00", "2010/01/01 00:15", "2010/01/01 00:30"], "15min"),
    "day_first": (["13/02/2020", "14/02/2020", "15/02/2020"], "D"),
    "dots": (["01.02.2020", "02.02.2020", "03.02.2020"], "D"),
    "names": (["Jan 1 2000", "Feb 1 2000", "Mar 1 2000"], "MS"),
    "compact": (["19580329", "19580405", "19580412"], "W"),
    "offsets": (["2020-01-01T00:00+01:00", "2020-01-01T01:00+01:00", "2020-01-01T03:00+02:00"], "h"),
    "zulu": (["2020-01-01T00:00Z", "2020-01-01T06:00Z", "2020-01-01T12:00Z"], "6h"),
    "month_ends": (["2020-01-31", "2020-02-29", "2020-03-31"], "ME"),
    "thirtieths": (["2020-01-30", "2020-02-29", "2020-03-30"], "MS"),
    "quarters": (["2020-01-01", "2020-04-01", "2020-07-01"], "QS"),
    "year_ends": (["2020-12-31", "2021-12-31", "2022-12-31"], "YE"),
}


@pytest.mark.parametrize("form", TIMES)
@pytest.mark.parametrize("library", LIBRARIES, ids=["pandas", "polars"])
def test_times_of_every_form_are_read(form: str, library: Any) -> None:
    cells, name = TIMES[form]
    panel = read_panel(library.DataFrame({"ds": cells, "y": [1.0, 2.0, 4.0]}))
    assert panel.frequency.name == name
    steps = panel.frequency.after(panel.series[0].times[0], 2)
    np.testing.assert_array_equal(steps, panel.series[0].times[1:])


@pytest.mark.parametrize("library", LIBRARIES, ids=["pandas", "polars"])
def test_results_have_the_make_and_dtypes_of_the_input(library: Any) -> None:
    frame = library.DataFrame({"unique_id": [7, 7, 7], "ds": [*_long()["ds"][1:3], date(2020, 3, 1)], "y": [1, 2, 4]})
    if library is pd:
        frame["ds"] = pd.to_datetime(frame["ds"])
    panel = read_panel(frame)
    one = panel.series[0]
    columns = {"unique_id": [one.id] * len(one), "ds": one.times, "y": one.values}
    result = to_frame(columns, panel.style, id_col="unique_id", time_cols=["ds"])
    assert type(result) is type(frame)
    assert result["unique_id"].dtype == frame["unique_id"].dtype
    assert list(result["ds"]) == list(frame["ds"])


@pytest.mark.parametrize("library", LIBRARIES, ids=["pandas", "polars"])
@pytest.mark.parametrize("freq", ["h", "D"])
def test_time_zones_are_kept_over_daylight_saving(library: Any, freq: str) -> None:
    stamps = pd.date_range("2020-03-27", periods=60, freq=freq, tz="Europe/Berlin")
    frame = library.DataFrame(
        {"ds": stamps if library is pd else stamps.to_pydatetime().tolist(), "y": np.arange(60.0)}
    )
    panel = read_panel(frame)
    assert panel.frequency.name == freq
    columns = {"id": ["y"] * 60, "ds": panel.series[0].times}
    result = to_frame(columns, panel.style, id_col="id", time_cols=["ds"])
    assert [str(stamp) for stamp in result["ds"]] == [str(stamp) for stamp in frame["ds"]]


def test_filling_is_left_to_whoever_knows_the_cutoff() -> None:
    panel = read_panel(pd.DataFrame({"ds": [1, 2, 4, 5], "y": [1.0, np.inf, 4.0, 5.0]}), fill="linear")
    np.testing.assert_array_equal(panel.series[0].times, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(panel.series[0].values, [1.0, np.nan, np.nan, 4.0, 5.0])


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_whole(name: str) -> None:
    sample = SAMPLES[name]
    panel = read_panel(sample_path(name), time_col=sample.time_col, target_col=sample.target_col)
    assert len(panel.series[0]) == {"elnino": 732, "sunspots": 309}[name]
    assert sample.licence == "public domain"
    provenance = sample_path(name).with_name("PROVENANCE.md").read_text(encoding="utf-8")
    import hashlib

    assert hashlib.sha256(sample_path(name).read_bytes()).hexdigest() in provenance


def test_an_unknown_sample_is_named() -> None:
    with pytest.raises(ArgumentError, match="choose one of elnino, sunspots"):
        sample_path("nile")
