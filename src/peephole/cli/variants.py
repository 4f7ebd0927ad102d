"""``peephole variants``: every named cell, what it has, and where it comes from."""

from __future__ import annotations

from typing import Any

from peephole.cli import console
from peephole.spec import VARIANTS, CellSpec

EXAMPLES = "Example: `peephole fit forecast data.csv ... --network coupled_peephole`"


def variants(*, json: console.Json = False) -> None:
    """List the named cells: their gates, their switches, the paper they come from.

    Each name can be given to `peephole fit forecast --network` and to `peephole gradcheck --variant`.
    """
    if json:
        console.print_json({"variants": [_record(name) for name in VARIANTS]})
        return
    rows = [
        [name, " ".join(entry.spec.rows) if entry.spec.cell == "lstm" else "-", entry.summary, entry.source]
        for name, entry in VARIANTS.items()
    ]
    console.show("Variants", console.table(["name", "parts with weights", "what", "source"], rows, text_columns=4))
    console.say_plain(
        "i, f, o: input, forget and output gate; g: candidate. Several cells per block and projection are "
        "arguments, not names."
    )


def _record(name: str) -> dict[str, Any]:
    entry = VARIANTS[name]
    return {"name": name, "summary": entry.summary, "source": entry.source, "cell": _plain(entry.spec)}


def _plain(spec: CellSpec) -> dict[str, Any]:
    from peephole.spec import to_dict

    return {**to_dict(spec), "rows": list(spec.rows)}
