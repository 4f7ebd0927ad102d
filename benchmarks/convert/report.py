"""The page and the picture, made from the file of results alone: ``python -m benchmarks.convert.report``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.convert.results import Line, Results, read
from peephole import files, inspection
from peephole.bench.machine import machine_line
from peephole.bench.results import DISTURBED
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTRODUCTION = """\
# `convert()` on models as people publish them

`peephole.nn.convert(model)` puts our layer in the place of every `torch.nn.LSTM`. Both models begin with the same
weights, see the same batches, and are trained by turns in one process, a step of each, the order changing with every
turn. A step is forward, loss, backward, clipping and the update. The ratio is torch's time over ours, the median of the
paired steps: above 1 ours is the faster. The tagger's sentences are packed by `pack_padded_sequence`, as is usual.

Every line is measured in a new process. There torch's layer gets its large pieces of memory from the system anew in
every step, and ours keeps its own. Where the C library keeps torch's too ("memory kept": told so by
`MALLOC_MMAP_THRESHOLD_`; the same was seen after larger models in the same process) torch is the quicker for it, and
the ratio smaller.
"""
CURVES = """\
How far the losses are from torch's, at most: within the first 50 steps / within all. Beside ours stands what torch
differs from itself when it sums in another order: with the rows of every batch reversed, and without oneDNN. The tagger
stays within a few units of the last digit. The char-rnn, with RMSprop at its rate, is so touchy that the last digit
grows to the second within some hundred steps, of torch beside itself as of ours beside torch; in double precision both
stay at the last digit of the loss.
"""
UNSEEN = """\
Neither is trained to its end: after these {steps} steps both models are to be as good as each other. (The most frequent
tag of each word gives 88.1 % on the same sentences.)
"""
_COLOURS = {"peephole": "#0072B2", "torch, rows in reverse order": "#E69F00", "torch, without oneDNN": "#009E73"}


def markdown(results: Results) -> str:
    """One page."""
    lines = results.lines
    plain = [line for line in lines if not line.title.endswith("kept")]
    settings = dict.fromkeys(f"- {line.title}: {line.weights:,} weights; {line.settings}." for line in plain)
    disturbed = [line for line in lines if line.others is not None and line.others > DISTURBED]
    parts = [
        INTRODUCTION,
        f"Measured on: {machine_line(results.machine)}.\n",
        "\n".join(settings) + "\n",
        _table(_TIMES, lines, _times),
    ]
    if disturbed:
        parts.append(
            f"In {len(disturbed)} of {len(lines)} lines other programs had more than {DISTURBED:.0%} of the processors "
            "(column others): the times are too long on both sides, and on all cores the ratio means little.\n"
        )
    names = list(dict.fromkeys(name for line in lines for name in line.differences))
    parts += [
        "## The same curve\n",
        CURVES,
        _table(names, lines, lambda line: _distances(line, names)),
        "![Training losses of both, and their difference](curves.png)\n",
        "## On unseen text\n",
        UNSEEN.format(steps=" and ".join({f"{line.steps}": 0 for line in lines if line.validation_loss})),
        _table(_UNSEEN, [line for line in lines if line.validation_loss], _validation),
    ]
    return "\n".join(parts)


_BEGINNING = 50
_TIMES = ("torch ms", "ours ms", "ratio", "quartiles", "of processor time", "others")
_UNSEEN = ("torch, nats", "ours, nats", "torch, % right", "ours, % right", "torch reversed, % right")


def picture(results: Results) -> Figure:
    """The losses of the runs that were validated, torch's and ours, and below them the differences."""
    import numpy as np  # noqa: PLC0415 - as matplotlib: only a picture needs it

    shown = [line for line in results.lines if line.validation_loss]
    with style.styled():
        figure = style.new_figure(4.6 * len(shown), 5.2)
        axes: Any = figure.subplots(2, len(shown), squeeze=False, sharex="col")
        for (above, below), line in zip(axes.T, shown, strict=True):
            theirs = np.array(line.losses)
            steps = np.arange(1, line.steps + 1)
            above.plot(steps, theirs, color=style.TRUTH_COLOUR, linewidth=2.4, label="torch")
            above.plot(
                steps,
                theirs + np.array(line.differences["peephole"]),
                color=_COLOURS["peephole"],
                linewidth=1.0,
                label="converted",
            )
            above.set_title(line.title)
            above.set_ylabel("training loss, nats")
            above.legend(loc="upper right")
            for name, values in line.differences.items():
                far = np.maximum.accumulate(np.abs(values))
                below.plot(steps, np.maximum(far, 1e-8), color=_COLOURS[name], label=name)
            below.set_yscale("log")
            below.yaxis.set_major_formatter("{x:.0e}")
            below.set_ylabel("largest difference so far")
            below.set_xlabel("step")
            below.grid(visible=True, axis="y")
            below.legend(loc="lower right")
        style.heading(
            figure,
            "A converted model trains to the same curve",
            "Below: how far the losses are from torch's, ours and torch's own when it sums in another order; float32.",
        )
    return figure


def _table(columns: Sequence[str], lines: Sequence[Line], cells: Callable[[Line], Sequence[str]]) -> str:
    """A line's name and settings in front of what ``cells`` makes of it."""
    head = ["model", "dtype", "threads", "steps", *columns]
    aligned = ["---" if place < 2 else "--:" for place in range(len(head))]
    named = [[line.title, line.dtype, str(line.threads), str(line.steps), *cells(line)] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, aligned, *named]) + "\n"


def _times(line: Line) -> list[str]:
    others = "-" if line.others is None else f"{line.others:.0%}"
    quartiles = f"{line.ratio.low:.2f}-{line.ratio.high:.2f}"
    busy = f"{line.processor_ratio.median:.2f}" if line.threads == 1 else "-"
    ratio = f"**{line.ratio.median:.2f}**"
    return [f"{line.theirs_ms:.1f}", f"{line.ours_ms:.1f}", ratio, quartiles, busy, others]


def _distances(line: Line, names: Sequence[str]) -> list[str]:
    def told(name: str) -> str:
        if name not in line.differences:
            return "-"
        whole = f"{line.largest(name):.1e}"
        return f"{line.largest(name, _BEGINNING):.1e} / {whole}" if line.steps > _BEGINNING else whole

    return [told(name) for name in names]


def _validation(line: Line) -> list[str]:
    loss, right = line.validation_loss, line.validation_accuracy
    other = next(name for name in right if name not in ("torch", "peephole"))
    return [
        f"{loss['torch']:.5f}",
        f"{loss['peephole']:.5f}",
        f"{right['torch']:.2f}",
        f"{right['peephole']:.2f}",
        f"{right[other]:.2f}",
    ]


def write_page(results: Results, folder: Path) -> None:
    """Write ``convert.md`` and ``curves.png``."""
    with files.replacing(folder / "convert.md") as beside:
        beside.write_text(markdown(results), encoding="utf-8")
    inspection.save(picture(results), folder / "curves.png")


if __name__ == "__main__":
    write_page(read(Path(__file__).parent / "convert.json"), Path(__file__).parent)
