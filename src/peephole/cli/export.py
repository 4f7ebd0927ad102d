"""``peephole export``: a saved model in the format of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from peephole.cli import console, runs
from peephole.cli.predict import check_free
from peephole.errors import ArgumentError

EXAMPLES = """
Examples:

- `peephole export run --format onnx --out model.onnx`

- `peephole export model --format onnx --lengths --out model.onnx`
"""


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of peephole fit, or a saved model.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write; it must not exist.")],
    format: Annotated[
        Literal["onnx"], typer.Option(help="The format; ONNX is what ONNX Runtime and many others run.")
    ] = "onnx",
    lengths: Annotated[bool, typer.Option("--lengths", help="The graph takes the length of each sequence.")] = False,
    state: Annotated[
        bool, typer.Option("--state", help="The graph takes the state to begin with and gives the last one.")
    ] = False,
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="What the weights are rounded to, their own if left out; ONNX Runtime wants float32."),
    ] = None,
    json: console.Json = False,
) -> None:
    """Write the network of a saved model in another format.

    Batch and time stay free. What the format cannot express is refused by name. A forecaster's scaling is not part of
    the network: it is kept as text in the file's metadata, and the graph takes and gives scaled values.
    """
    check_free(out)
    place = runs.model_folder(folder)
    from peephole import artifact
    from peephole.conversion import onnx_export, onnx_graph
    from peephole.spec import NetworkSpec

    saved = artifact.load(place)
    if not isinstance(saved.network, NetworkSpec):
        raise ArgumentError(
            f"export: {place} must hold a single network (got an encoder-decoder, whose search is no graph of ONNX); "
            "run it with peephole.runtime.load"
        )
    model = onnx_export.network_model(
        saved.network, saved.weights, lengths=lengths, initial_state=state, dtype=dtype, task=saved.task
    )
    onnx_graph.write_model(out, model, owner="export")
    if json:
        console.print_json({"file": str(out), "format": format, **_interface(model)})
        return
    shown = "; ".join(f"{kind} {', '.join(names)}" for kind, names in _interface(model).items())
    console.say_plain(f"Network written to {out}: {shown}")
    if saved.task is not None:
        console.say_plain("Its values are scaled ones: the scaling is in the file's metadata, under peephole.task")


def _interface(model: Any) -> dict[str, list[str]]:
    return {
        "inputs": [entry.name for entry in model.graph.input],
        "outputs": [entry.name for entry in model.graph.output],
    }
