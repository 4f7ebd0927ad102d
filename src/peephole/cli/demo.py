"""``peephole demo``: the whole way from a real series to a model that runs without torch, told to a newcomer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peephole.cli import console, runs

if TYPE_CHECKING:
    from peephole.cli.demo_run import Outcome

EXAMPLES = "Example: `peephole demo --out demo`, then look at demo/forecasts.png and demo/gates.png"


def demo(
    *,
    out: Annotated[
        Path, typer.Option(help="Folder to write to; it must not exist, or be that of an earlier demo.")
    ] = Path("demo"),
    json: console.Json = False,
) -> None:
    """Fit and compare an LSTM, an RNN and a perceptron on a real series, look inside, and stream the result.

    Takes about a minute on two cores. The series ships with the package and is in the public domain.
    """
    from peephole.cli import demo_run

    demo_run.refuse_taken(out)
    outcome = demo_run.run(out, quiet=json)
    if json:
        console.print_json(document(outcome))
    if not outcome.same_numbers:
        raise typer.Exit(1)


def document(outcome: Outcome) -> dict[str, Any]:
    """What the demonstration found, as one JSON document."""
    return {
        "folder": str(outcome.folder),
        "models": {name: str(outcome.folder / name / runs.MODEL) for name in outcome.networks},
        "scores": outcome.scores,
        "mae_by_seed": outcome.by_seed,
        "best": min(outcome.scores["mae"], key=lambda name: outcome.scores["mae"][name]),
        "beats_every_baseline": outcome.winners,
        "seconds": outcome.seconds,
        "streaming": {
            "largest_difference": outcome.largest_difference,
            "same_numbers": outcome.same_numbers,
            "microseconds_a_step": outcome.streamed.microseconds,
            "large_packages_imported": outcome.streamed.imported,
        },
    }
