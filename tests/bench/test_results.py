"""What is made of the rows: marks, means, the file, the tables and the pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from peephole import inspection
from peephole.bench import grid_means, grid_picture, markdown, read, regime_picture, write
from peephole.bench.picture import pictures_of
from peephole.bench.report import COLUMNS, cells_of, summary
from peephole.errors import ArgumentError, DataError
from tests.bench.rows import EVERY_KIND, MISSING, results, row
from tests.tolerances import TOLERANCES


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"ratio": 1.99}, False),
        ({"mark": None}, None),
        ({"mark": None, "share_mark": 0.6}, True),
        ({"share_mark": 0.61}, False),
        (MISSING, None),
    ],
)
def test_a_mark_is_met_or_missed(changes: dict[str, Any], met: bool | None) -> None:
    assert row(**changes).met is met


def test_means_are_geometric_and_of_the_grid_against_torch_alone() -> None:
    rows = [
        row(ratio=1.0, hidden=16),
        row(ratio=4.0),
        row(ratio=16.0, threads=2),
        row(ratio=9.0, peer="keras"),
        row(ratio=9.0, regime="projection"),
        row(**{**MISSING, "peer": "torch"}),
    ]
    one, two = grid_means(rows)
    assert one.geometric_mean == pytest.approx(2.0, rel=TOLERANCES["bench_by_hand"])
    assert (one.shapes, one.smallest, one.where, one.met) == (2, 1.0, "H16 B32 T50", False)
    assert (two.threads, two.shapes, two.met) == (2, 1, True)


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    made = results(*EVERY_KIND, complete=False)
    assert read(write(made, tmp_path / "new" / "speed.json")) == made
    document = json.loads((tmp_path / "new" / "speed.json").read_text())
    assert [entry["met"] for entry in document["rows"]] == [row.met for row in EVERY_KIND]
    assert document["grids"][0]["work"] == "training"
    assert (tmp_path / "new" / "speed.json").read_text().count('"ours_ms"') == len(EVERY_KIND)
    empty = results()
    assert read(write(empty, tmp_path / "empty.json")) == empty
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["speed.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "peephole run", "format_version": 1}', '{"format": 1'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(DataError, match="bench: "):
        read(tmp_path / "other.json")


TILE_ROWS = 2


def test_every_row_is_in_the_tables() -> None:
    assert all(len(cells_of(row)) == len(COLUMNS) for row in EVERY_KIND)
    text = markdown(results(*EVERY_KIND))
    assert text.count("\n| ") - 2 * text.count("\n**") == len(EVERY_KIND) + TILE_ROWS
    for part in (
        "an abacus",
        "| missed |",
        "| met |",
        "| 123 |",
        "layer norm",
        "4 cells a block",
        "P 32",
        "missing",
        "| 2 | 30 (30%) | 88 (88%) |",
    ):
        assert part in text, part


def test_losses_gaps_and_disturbances_are_said() -> None:
    told = "\n".join(summary(results(*EVERY_KIND, complete=False)))
    assert "smallest 0.40 at H64 B32 T50" in told
    assert "Missing: Keras on torch: keras is not installed" in told
    assert "interrupted" in told
    assert "1 of 13 rows were measured while other programs" in told
    assert "100 GFLOP/s in float32" in told
    assert "The fastest tile, 2x2, does 88 GFLOP/s" in told


def test_the_pictures_are_drawn_from_the_rows(tmp_path: Path) -> None:
    figures = pictures_of(results(*EVERY_KIND))
    assert list(figures) == ["grids.png", "regimes.png"]
    for name, figure in figures.items():
        assert inspection.save(figure, tmp_path / name).read_bytes().startswith(b"\x89PNG")
    written = [text.get_text() for axes in figures["grids.png"].axes for text in axes.texts]
    assert {"2.50×", "0.40×", "1.00×", "under 1.6", "mark 2", "under 2", "123×"} <= set(written)
    titles = [axes.get_title(loc="left") for axes in figures["regimes.png"].axes if axes.get_visible()]
    assert titles == [
        "step: torch.nn.LSTM", "ragged: torch.nn.LSTM, packed", "ragged: our own, unpadded",
        "variants: a loop of torch ops", "variants: our own plain cell", "projection: torch.nn.LSTM",
    ]  # fmt: skip


def test_where_there_is_nothing_to_draw_nothing_is_drawn() -> None:
    assert pictures_of(results(row(**MISSING))) == {}
    for draw in (grid_picture, regime_picture):
        with pytest.raises(ArgumentError, match="must have a row"):
            draw(results())
