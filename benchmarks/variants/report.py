"""The page and the picture, made from the file of results alone: ``python -m benchmarks.variants.report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.variants.results import Comparison, Score, read, scores
from benchmarks.variants.tasks import TASKS, Task
from peephole import files, inspection
from peephole.bench.machine import machine_line
from peephole.inspection import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTRODUCTION = """\
# The variants on real tasks

Every network is a layer of as many units and a linear head, trained by Adam until the validation loss gets no better;
its best weights are tested. The learning rate is chosen for each network by the validation loss of the first seed;
nothing else is tuned. What stands after ± is the standard deviation over the seeds (of the weights and of the order of
the sequences). Three seeds: differences of the size of the spread are none.
"""
_COLUMNS = ("network", "test", "of the seeds", "weights", "rate", "best epoch", "s an epoch")
_FAMILY = "#0072B2"
_OTHER = "#D55E00"
_FAR = 0.25
"""What is so much worse than the best mean stands at the edge of its panel as a number."""


def told(score: Score) -> str:
    """Mean and spread, with the digits that mean something."""
    return f"{score.mean:.2f} ± {score.spread:.2f}"


def best(task: Task, found: Sequence[Score]) -> Score:
    """The one of the best mean."""
    return (min if task.less_is_better else max)(found, key=lambda score: score.mean)


def markdown(comparison: Comparison) -> str:
    """One page: a table for each task, with what simple methods reach and what others published."""
    parts = [INTRODUCTION, f"Measured on: {machine_line(comparison.machine)}; one thread.\n"]
    for name, task in TASKS.items():
        found = scores(comparison, name)
        if not found:
            continue
        sense = "less is better" if task.less_is_better else "more is better"
        marks = comparison.floors[name] | dict(task.published)
        parts += [
            f"## {task.title}\n",
            f"Test: {task.metric}, {sense}; {task.hidden} units, batches of {task.batch}, learning rates "
            f"{', '.join(f'{rate:g}' for rate in task.rates)}, at most {task.epochs} epochs.\n",
            _table(_COLUMNS, [_row(score, score is best(task, found)) for score in found]),
            _table(("beside them", "test"), [[mark, f"{value:.2f}"] for mark, value in marks.items()]),
        ]
    return "\n".join(parts)


def _row(score: Score, bold: bool) -> list[str]:
    seeds = " ".join(f"{test:.2f}" for test in score.tests)
    mean = f"**{told(score)}**" if bold else told(score)
    effort = [f"{score.rate:g}", f"{score.epochs:.0f}", f"{score.epoch_seconds:.2g}"]
    return [score.network, mean, seeds, f"{score.weights:,}", *effort]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, aligned, *rows]) + "\n"


def picture(comparison: Comparison) -> Figure:
    """A panel for each task: every seed, the mean and its spread, beside what simple methods and others reach."""
    shown = [(name, found) for name in TASKS if (found := scores(comparison, name))]
    networks = list(dict.fromkeys(score.network for _, found in shown for score in found))
    with style.styled():
        figure = style.new_figure(2.2 + 3.0 * len(shown), 1.6 + 0.24 * len(networks))
        axes: Any = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for panel, (name, found) in zip(axes, shown, strict=True):
            _panel(panel, TASKS[name], found, networks)
            lines = comparison.floors[name] | dict(TASKS[name].published)
            _lines(panel, lines, panel.get_xlim())
        axes[0].set_yticks(range(len(networks)), [network.replace("_", " ") for network in networks])
        axes[0].set_ylim(len(networks) - 0.4, -0.6)
        style.heading(
            figure,
            "What the variants learn",
            "Dots: the seeds; bars: their mean and one deviation to either side. Better is to the right.",
        )
    return figure


def _panel(panel: Any, task: Task, found: Sequence[Score], networks: Sequence[str]) -> None:
    leader = best(task, found).mean
    for score in found:
        place = networks.index(score.network)
        colour = _OTHER if score.network.startswith(("torch", "mlp", "rnn")) else _FAMILY
        if abs(score.mean - leader) > _FAR * leader:
            edge = {"transform": panel.get_yaxis_transform(), "va": "center", "fontsize": 8}
            panel.text(0.01, place, f"◄ {told(score)}", color=colour, **edge)
            continue
        panel.plot((score.mean - score.spread, score.mean + score.spread), (place, place), color=colour, linewidth=1.2)
        panel.plot(score.mean, place, "|", color=colour, markersize=10, markeredgewidth=2)
        panel.plot(score.tests, [place] * len(score.tests), "o", color=colour, markersize=3, alpha=0.6)
    panel.set_title(task.title)
    panel.set_xlabel(task.metric)
    panel.grid(visible=True, axis="both")
    if task.less_is_better:
        panel.invert_xaxis()


def _lines(panel: Any, marks: dict[str, float], limits: tuple[float, float]) -> None:
    """A line for each mark that lies within the panel; the others stand in the tables."""
    low, high = sorted(limits)
    within = [(name, value) for name, value in marks.items() if low <= value <= high]
    for dashes, (name, value) in zip(((4, 1.5), (1, 1.5), (6, 1.5, 1, 1.5), (2, 2)), within, strict=False):
        panel.axvline(value, color=style.MUTED, linewidth=1.0, dashes=dashes, label=name, zorder=0)
    if within:
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=7.5)


def main() -> None:
    """Write the page beside the results, and the picture of the documentation."""
    here = Path(__file__).parent
    comparison = read(here / "variants.json")
    with files.replacing(here / "variants.md") as beside:
        beside.write_text(markdown(comparison), encoding="utf-8")
    inspection.save(picture(comparison), here.parents[1] / "docs" / "images" / "variants.png")


if __name__ == "__main__":
    main()
