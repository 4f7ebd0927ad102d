"""``peephole predict``: what comes after the data, or after a newer table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from peephole.cli import console, runs
from peephole.errors import ArgumentError

EXAMPLES = """
Examples:

- `peephole predict run`

- `peephole predict run --data newer.csv --out forecast.csv`
"""

_MOST_ROWS = 60


def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of peephole fit, or a saved model.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="A table to forecast on from, with the columns of the fit. The data of the fit if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write the forecast to; it must not exist.")] = None,
    json: console.Json = False,
) -> None:
    """Forecast the next values of every series.

    Nothing is trained: the last values of each series go once through the saved network.
    """
    if out is not None:
        check_free(out)
    place = runs.model_folder(folder)
    from peephole.cli.forecast_run import write_frame
    from peephole.tasks import Forecaster

    forecaster = Forecaster.load(place)
    frame = forecaster.predict(data)
    if out is not None:
        write_frame(out, frame)
    if json:
        rows = records(frame)
        console.print_json({"network": forecaster.network, "horizon": forecaster.horizon, "forecast": rows})
        return
    if out is None:
        _show(frame, forecaster.network)
    else:
        console.say_plain(f"Forecast written to {out}")


def check_free(out: Path) -> None:
    """Refuse a file that is there already, or has no folder to be in."""
    if out.exists():
        raise ArgumentError(f"--out: {out} exists already and is left as it is; choose another name")
    if not out.parent.is_dir():
        raise ArgumentError(f"--out: there is no folder {out.parent}; make it, or choose another place")


def records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame as plain JSON types; times in ISO form, without the clock where all show midnight."""
    import narwhals as nw

    table = cast("nw.DataFrame[Any]", nw.from_native(frame, eager_only=True))
    columns = {name: [_plain(value) for value in table[name].to_list()] for name in table.columns}
    for name, values in columns.items():
        if all(isinstance(value, str) and value.endswith("T00:00:00") for value in values):
            columns[name] = [value.removesuffix("T00:00:00") for value in values]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else value.isoformat()


def _show(frame: Any, network: str) -> None:
    rows = records(frame)
    columns = list(rows[0])
    several = len({row[columns[0]] for row in rows}) > 1
    kept = columns if several else columns[1:]
    cells = [[f"{row[name]:.6g}" if name == network else str(row[name]) for name in kept] for row in rows[:_MOST_ROWS]]
    title = "Forecast" if several else f"Forecast of {rows[0][columns[0]]}"
    console.show(title, console.table(kept, cells, text_columns=len(kept) - 1))
    if len(rows) > _MOST_ROWS:
        console.say_plain(f"... and {len(rows) - _MOST_ROWS} rows more; --out writes all of them to a CSV file")
