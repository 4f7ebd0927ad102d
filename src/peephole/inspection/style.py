"""The one look of every picture: colours, type, sizes, how a figure is begun and how it is saved.

The colours are those of Okabe and Ito (2008), which people with the common colour blindnesses can tell apart; a
baseline has a dash pattern as well, so that the pictures survive a black-and-white printer. matplotlib is imported
inside the functions, never with this module, and no figure enters pyplot's global state.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from peephole import files
from peephole.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH_COLOUR = "#222222"
MUTED = "#6b6b6b"
FAINT = "#d9d9d9"
_NETWORK_COLOURS: Mapping[str, str] = MappingProxyType(
    {"lstm": "#0072B2", "rnn": "#D55E00", "mlp": "#009E73", "peephole": "#CC79A7"}
)
_SPARE_COLOURS = ("#E69F00", "#CC79A7", "#56B4E9", "#009E73", "#D55E00", "#0072B2")
_BASELINE_DASHES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"naive": (1, 1.5), "seasonal_naive": (4, 1.5), "drift": (6, 1.5, 1, 1.5)}
)
_SPOKEN: Mapping[str, str] = MappingProxyType({"lstm": "LSTM", "rnn": "RNN", "mlp": "MLP"})

_RC: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 6.0,
        "axes.labelsize": 9.0,
        "axes.labelcolor": "#333333",
        "axes.edgecolor": "#888888",
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.7,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "xtick.color": "#555555",
        "ytick.color": "#555555",
        "lines.linewidth": 1.5,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "figure.dpi": 120.0,
        "savefig.dpi": 120.0,
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "path.simplify": True,
    }
)


def colour(name: str, others: Iterable[str] = ()) -> str:
    """The colour of a network; ``others`` are the names beside it, so that unknown ones do not share one."""
    if name in _NETWORK_COLOURS:
        return _NETWORK_COLOURS[name]
    names = list(others) or [name]
    taken = {_NETWORK_COLOURS[other] for other in names if other in _NETWORK_COLOURS}
    free = [spare for spare in _SPARE_COLOURS if spare not in taken] or list(_SPARE_COLOURS)
    unknown = [other for other in names if other not in _NETWORK_COLOURS]
    return free[unknown.index(name) % len(free)] if name in unknown else free[0]


def dashes(baseline: str) -> tuple[float, ...]:
    """The dash pattern of a baseline, in line widths."""
    return _BASELINE_DASHES.get(baseline, (2, 2))


def spoken(name: str) -> str:
    """A model's name as a reader would write it: ``seasonal_naive`` is "seasonal naive", ``lstm`` is "LSTM"."""
    return _SPOKEN.get(name, name.replace("_", " "))


@contextmanager
def styled() -> Generator[None]:
    """Matplotlib's defaults with this look on top, whatever the user's own settings are.

    Raises:
        MissingDependencyError: where matplotlib is not installed.
    """
    try:
        from matplotlib import style  # noqa: PLC0415 - a picture is the only thing that needs matplotlib
    except ImportError as error:
        raise MissingDependencyError(
            "inspection: pictures need matplotlib, which is not installed; pip install peephole[train]"
        ) from error
    with style.context(["default", dict(_RC)]):
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty ``Figure`` of ``width`` by ``height`` inches, on the Agg canvas, laid out so that nothing overlaps.

    Typed as Any, as axes are in these files: half of matplotlib's own annotations are incomplete.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Any, title: str, subtitle: str = "") -> None:
    """A title at the top left and, smaller below it, what the reader should know; room for both is kept free."""
    height = figure.get_figheight()
    left = 0.1 / figure.get_figwidth()
    figure.text(left, 1 - 0.1 / height, title, fontsize=12, fontweight="bold", color="#111111", va="top")
    if subtitle:
        figure.text(left, 1 - 0.36 / height, subtitle, fontsize=8.8, color=MUTED, va="top")
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - (0.62 if subtitle else 0.38) / height), w_pad=0.1, h_pad=0.06)


def dress_time_axis(axes: Any, time: Any, label: str) -> None:
    """Short dates below an axis of dates, whole numbers below one of whole numbers."""
    import numpy as np  # noqa: PLC0415

    if np.issubdtype(np.asarray(time).dtype, np.datetime64):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

        locator = AutoDateLocator(minticks=4, maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    elif np.issubdtype(np.asarray(time).dtype, np.integer):
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9, min_n_ticks=2))
    axes.set_xlabel(label)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG, beside its place first and then renamed, so that a half-written one is never seen.

    The same figure gives the same bytes: the file holds no date and no version of the software.

    Args:
        figure: what one of the functions of :mod:`peephole.inspection` gave.
        path: where it goes; its folder is made where it is missing.

    Returns:
        The path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(target) as beside:
        beside.write_bytes(_png(figure))
    return target


_LARGEST = 180_000
"""Bytes that a picture may have in full colour."""


def _png(figure: Figure) -> bytes:
    """The figure as PNG: in full colour, or with a palette of 256 colours where that would be too large."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415 - comes with matplotlib

    canvas: Any = figure.canvas
    with styled():
        canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    picture = Image.fromarray(pixels)
    content = _encoded(picture, figure.dpi)
    if len(content) > _LARGEST:
        content = _encoded(picture.quantize(256, dither=Image.Dither.NONE), figure.dpi)
    return content


def _encoded(picture: Any, dpi: float) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True, dpi=(dpi, dpi))
    return file.getvalue()
