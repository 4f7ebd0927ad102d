"""Rows and results to test with."""

from __future__ import annotations

from typing import Any

from peephole.bench import Results, Row

PLAIN: dict[str, Any] = {
    "regime": "training",
    "work": "training",
    "hidden": 64,
    "batch": 32,
    "steps": 50,
    "threads": 1,
    "dtype": "float32",
    "variant": "lstm",
    "cells_per_block": 1,
    "proj_size": 0,
    "peer": "torch",
    "ours_ms": 2.0,
    "peer_ms": 5.0,
    "ratio": 2.5,
    "quartiles": (2.25, 2.75),
    "turns": 11,
    "gflops": 60.0,
    "share": 0.6,
    "mark": 2.0,
    "share_mark": None,
    "others": 0.0,
    "missing": "",
}
MISSING: dict[str, Any] = {
    "peer": "keras",
    "peer_ms": None,
    "ratio": None,
    "quartiles": None,
    "mark": None,
    "missing": "Keras on torch: keras is not installed; pip install keras",
}


def row(**changes: Any) -> Row:
    """A row with some fields changed."""
    return Row(**{**PLAIN, **changes})


def results(*rows: Row, complete: bool = True) -> Results:
    """A measurement of these rows."""
    return Results(
        machine={"processor": "an abacus", "cores": "2", "system": "Linux", "python": "3.12.0", "torch": "2.13.0"},
        settings={"seconds": 1.0, "quick": False, "threads": [1, 2]},
        peak={"float32": 100.0},
        tiles={"1x1": 20.0, "1x2": 40.0, "2x1": 30.0, "2x2": 88.0},
        complete=complete,
        rows=list(rows),
    )


EVERY_KIND = (
    row(),
    row(threads=2, ratio=0.4, quartiles=(0.3, 0.5), share=0.05),
    row(hidden=256, ratio=1.0, mark=1.6, share_mark=0.75),
    row(**MISSING),
    row(work="training_no_dx", mark=None),
    row(regime="inference", work="inference", mark=None, others=None),
    row(regime="inference", work="inference", peer="onnxruntime", ratio=123.4, quartiles=(120.0, 130.0), mark=None),
    row(regime="step", work="step", batch=1, steps=1, mark=30.0, ratio=31.0, others=0.5),
    row(regime="ragged", peer="packed", steps=500, mark=15.0),
    row(regime="ragged", peer="unpadded", steps=500, mark=0.87, ratio=0.9),
    row(regime="variants", peer="loop", variant="layer_norm", mark=25.0),
    row(regime="variants", peer="plain_cell", cells_per_block=4, mark=0.87),
    row(regime="projection", proj_size=32, mark=5.0, ratio=7.0),
)
"""A row of every kind that the tables and pictures have to show."""
