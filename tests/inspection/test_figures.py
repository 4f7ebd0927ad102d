"""The pictures are drawn, small, deterministic, and refuse arrays that do not fit together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from peephole import inspection
from peephole.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

LARGEST_PICTURE = 200_000
PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


def rolling(origins: int = 10, horizon: int = 12, *, dates: bool = True) -> inspection.RollingForecasts:
    rng = np.random.default_rng(0)
    count = origins * horizon
    hours = np.arange(count)
    time: Array = np.datetime64("2010-12-01T00") + hours * np.timedelta64(1, "h") if dates else hours
    truth = (50 + 8 * np.sin(hours / 4) + rng.normal(0, 1, count)).reshape(origins, horizon)

    def near(spread: float) -> Array:
        return truth + rng.normal(0, spread, truth.shape)

    return inspection.RollingForecasts(
        time=time.reshape(origins, horizon),
        truth=truth,
        networks={"lstm": near(1), "rnn": near(2)},
        baselines={"naive": near(3), "seasonal_naive": near(2.5), "drift": near(4)},
    )


def traces(steps: int = 60, units: int = 8) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    gates = {letter: rng.uniform(size=(steps, units)) for letter in "ifo"}
    return {**gates, **{letter: rng.uniform(-1, 1, size=(steps, units)) for letter in "gch"}}


def draw_forecasts() -> Figure:
    return inspection.forecasts(rolling(), value_label="temperature", unit="°F")


def draw_gates() -> Figure:
    return inspection.gates(traces(), np.sin(np.arange(60) / 4), value_label="temperature", unit="°F")


def draw_training() -> Figure:
    loss = np.exp(-np.arange(30) / 5)
    return inspection.training_curves({"lstm": {"train": loss, "validation": loss + 0.1}, "mlp": {"train": loss}})


def draw_scores() -> Figure:
    row = {"lstm": 1.0, "naive": 2.0, "drift": float("nan")}
    return inspection.scores({"mae": row, "rmse": row}, ["lstm"], units={"mae": "°F"})


def draw_attention() -> Figure:
    weights = np.random.default_rng(2).dirichlet(np.full(6, 0.3), 5)
    return inspection.attention(weights, source=list("abcdef"), target=[*"fedc", "end"], source_label="letters")


def draw_long_attention() -> Figure:
    return inspection.attention(np.random.default_rng(2).dirichlet(np.full(90, 0.1), 50))


FIGURES: dict[str, Callable[[], Figure]] = {
    "attention": draw_attention,
    "long attention": draw_long_attention,
    "forecasts": draw_forecasts,
    "gates": draw_gates,
    "training": draw_training,
    "scores": draw_scores,
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_is_small_and_the_same_every_time(name: str, tmp_path: Path) -> None:
    first = inspection.save(FIGURES[name](), tmp_path / "a" / f"{name}.png").read_bytes()
    second = inspection.save(FIGURES[name](), tmp_path / "b" / f"{name}.png").read_bytes()
    assert first.startswith(PNG_BEGINS)
    assert first == second
    assert len(first) < LARGEST_PICTURE
    assert [file.name for file in (tmp_path / "a").iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("name", FIGURES)
def test_no_heading_is_cut_off_or_overlaps_another(name: str) -> None:
    figure = FIGURES[name]()
    canvas: Any = figure.canvas
    canvas.draw()
    renderer = canvas.get_renderer()
    titles = [axes.title if axes.get_title() else axes._left_title for axes in cast("list[Any]", figure.axes)]
    labels = [label for axes in figure.axes for label in (axes.xaxis.label, axes.yaxis.label)]
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in (*figure.texts, *titles, *labels)
        if text.get_text() and text.get_visible()
    ]
    width, height = canvas.get_width_height()
    for place, (text, box) in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        assert not box.count_overlaps([other for _, other in boxes[place + 1 :]]), text


def test_a_failed_picture_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def broken(_figure: Figure) -> bytes:
        raise RuntimeError

    monkeypatch.setattr("peephole.inspection.style._png", broken)
    with pytest.raises(RuntimeError):
        inspection.save(draw_scores(), path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def test_picture_ignores_the_users_settings(tmp_path: Path) -> None:
    import matplotlib

    plain = inspection.save(draw_scores(), tmp_path / "plain.png").read_bytes()
    with cast("Any", matplotlib).rc_context({"font.size": 30, "axes.facecolor": "red"}):
        inspection.save(draw_scores(), tmp_path / "set.png")
    assert (tmp_path / "set.png").read_bytes() == plain


def test_numbers_as_time_and_a_history_before() -> None:
    forecast = rolling(dates=False)
    figure = inspection.forecasts(forecast, np.arange(-50, 0), history=np.zeros(50), origins=3)
    low, high = figure.axes[0].get_xlim()
    first_drawn, last = forecast.time[-3, 0], forecast.time[-1, -1]
    assert low < first_drawn
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())
    assert high == last


def test_best_baseline_has_the_smallest_error() -> None:
    forecast = rolling()
    errors = {name: forecast.mean_absolute_error(name) for name in forecast.baselines}
    best = forecast.best_baseline()
    assert best is not None
    assert errors[best] == min(errors.values())


def test_networks_beside_one_another_have_colours_of_their_own() -> None:
    from peephole.inspection import style

    names = ["lstm", "rnn", "mlp", "coupled", "zoneout"]
    assert len({style.colour(name, names) for name in names}) == len(names)


def test_importing_inspection_imports_neither_matplotlib_nor_torch() -> None:
    code = "import sys, peephole.inspection; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def bad_shape() -> object:
    good = rolling()
    return inspection.RollingForecasts(
        time=good.time, truth=good.truth, networks={"lstm": good.truth[:, :3]}, baselines={}
    )


def no_network() -> object:
    good = rolling()
    return inspection.RollingForecasts(time=good.time, truth=good.truth, networks={}, baselines={})


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "shape": (bad_shape, "lstm must have the shape of truth"),
    "no network": (no_network, "at least one forecast"),
    "no origins": (lambda: inspection.forecasts(rolling(), origins=0), "origins must be at least 1"),
    "history": (
        lambda: inspection.forecasts(rolling(dates=False), np.arange(3), history=np.zeros(2)),
        "of one length",
    ),
    "no traces": (lambda: inspection.gates({}, np.zeros(4)), "at least one of"),
    "trace length": (lambda: inspection.gates(traces(), np.zeros(4)), "must have shape"),
    "one step": (lambda: inspection.gates(traces(1), np.zeros(1)), "at least 2 steps"),
    "time length": (lambda: inspection.gates(traces(), np.zeros(60), time=np.arange(3)), "as many steps"),
    "a batch of attention": (lambda: inspection.attention(np.ones((2, 3, 4)) / 4), r"must have shape \[T, S\]"),
    "no attention": (lambda: inspection.attention(np.ones((0, 4))), r"must have shape \[T, S\]"),
    "attention above 1": (lambda: inspection.attention(np.full((2, 2), 1.5)), "between 0 and 1"),
    "attention that is none": (lambda: inspection.attention(np.full((2, 2), np.nan)), "between 0 and 1"),
    "names of the source": (lambda: inspection.attention(np.eye(2), source=["a"]), "source must name each of the 2"),
    "names of the target": (lambda: inspection.attention(np.eye(2), target="abc"), "target must name each of the 2"),
    "no epochs": (lambda: inspection.training_curves({"lstm": {"train": np.zeros(0)}}), "at least one epoch"),
    "no scores": (lambda: inspection.scores({}, []), "at least one metric"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    draw, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        draw()
