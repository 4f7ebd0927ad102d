"""``peephole fit forecast``: from a table to a tested forecaster in a run folder."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from peephole.cli import console

EXAMPLES = """
Examples:

- `peephole fit forecast sales.csv --time date --target sales --horizon 7 --lags 28 --out run`

- `peephole fit forecast grid.csv --time ds --target y --horizon 24 --lags 72 --network peephole --out run`

- after Ctrl-C: the same command with `--resume`
"""

_DATA, _NETWORK, _TRAINING, _RUN = "Data", "Network", "Training", "Run"


class LagsAs(enum.StrEnum):
    """How the network is given the lags."""

    STEPS = "steps"
    FEATURES = "features"


class Scaling(enum.StrEnum):
    """How each series is scaled."""

    STANDARD = "standard"
    MINMAX = "minmax"
    NONE = "none"


class Fill(enum.StrEnum):
    """How gaps are filled."""

    FORWARD = "forward"
    LINEAR = "linear"


def fit_forecast(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The table: CSV or TSV (also .gz) or Parquet, with a header.")],
    *,
    time: Annotated[str, typer.Option("--time", help="Column of the times.", rich_help_panel=_DATA)],
    target: Annotated[str, typer.Option("--target", help="Column of the values.", rich_help_panel=_DATA)],
    horizon: Annotated[int, typer.Option(help="Values to forecast, in steps.", rich_help_panel=_DATA)],
    lags: Annotated[int, typer.Option(help="Past values a forecast is made of, in steps.", rich_help_panel=_DATA)],
    out: Annotated[Path, typer.Option(help="Folder of the run; it must not exist.", rich_help_panel=_RUN)],
    id_column: Annotated[
        str,
        typer.Option("--id", help="Column of the series' names, if the table holds several.", rich_help_panel=_DATA),
    ] = "unique_id",
    freq: Annotated[
        str | None,
        typer.Option(
            help="Step between times: h, 15min, D, B, W, MS, 1, ... Found if left out.", rich_help_panel=_DATA
        ),
    ] = None,
    season_length: Annotated[
        int | None,
        typer.Option(
            help="Steps of a season, for the seasonal naive baseline and MASE. Usual one of the step if left out.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    fill: Annotated[
        Fill | None,
        typer.Option(help="Fill missing values and times. Left out, they are an error.", rich_help_panel=_DATA),
    ] = None,
    unit: Annotated[
        str, typer.Option(help="Unit of the values, for the table and the pictures.", rich_help_panel=_DATA)
    ] = "",
    network: Annotated[
        str,
        typer.Option(help="lstm, rnn, mlp, or any name that peephole variants lists.", rich_help_panel=_NETWORK),
    ] = "lstm",
    hidden_size: Annotated[int, typer.Option(help="Units of each hidden layer.", rich_help_panel=_NETWORK)] = 32,
    layers: Annotated[int, typer.Option(help="Hidden layers.", rich_help_panel=_NETWORK)] = 1,
    lags_as: Annotated[
        LagsAs,
        typer.Option(help="The lags are the time steps of a sequence, or features of one.", rich_help_panel=_NETWORK),
    ] = LagsAs.STEPS,
    anchor_last: Annotated[
        bool,
        typer.Option(help="Learn the difference from the last value, or the value.", rich_help_panel=_NETWORK),
    ] = True,
    scaling: Annotated[
        Scaling,
        typer.Option(help="Scaling of each series, fitted on its training part.", rich_help_panel=_NETWORK),
    ] = Scaling.STANDARD,
    max_epochs: Annotated[int, typer.Option(help="Passes over the data at most.", rich_help_panel=_TRAINING)] = 200,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better validation loss before it stops.", rich_help_panel=_TRAINING)
    ] = 20,
    learning_rate: Annotated[float, typer.Option(help="Step size of Adam.", rich_help_panel=_TRAINING)] = 5e-3,
    batch_size: Annotated[int, typer.Option(help="Windows of one update.", rich_help_panel=_TRAINING)] = 32,
    weight_decay: Annotated[float, typer.Option(help="Decay of AdamW.", rich_help_panel=_TRAINING)] = 0.0,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of the gradient.", rich_help_panel=_TRAINING)] = 1.0,
    validation_fraction: Annotated[
        float,
        typer.Option(help="Share of the training part kept for early stopping; 0 for none.", rich_help_panel=_TRAINING),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same forecaster.", rich_help_panel=_TRAINING)] = 0,
    test_windows: Annotated[
        int | None,
        typer.Option(
            help="Rolling origins of the test at the end of each series, which is kept from training; 0 for none. "
            "As many as fit into its last fifth, 1 to 12, if left out.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    test_step: Annotated[
        int | None, typer.Option(help="Steps between the origins. The horizon if left out.", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted run, to the same result.", rich_help_panel=_RUN),
    ] = False,
    json: console.Json = False,
) -> None:
    """Fit a network that forecasts the next values of a series from its last ones.

    The end of each series is kept for a test on rolling origins, beside the baselines naive, seasonal naive and drift.
    The run folder gets the settings, the model, the errors, the forecasts of the test, the log and the pictures.
    """
    from peephole.cli import forecast_run

    parameters = {
        "lags": lags,
        "horizon": horizon,
        "network": network,
        "hidden_size": hidden_size,
        "num_layers": layers,
        "lags_as": lags_as.value,
        "anchor_last": anchor_last,
        "scaling": scaling.value,
        "season_length": season_length,
        "freq": freq,
        "id_col": id_column,
        "time_col": time,
        "target_col": target,
        "fill": None if fill is None else fill.value,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "max_epochs": max_epochs,
        "patience": patience,
        "validation_fraction": validation_fraction,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "seed": seed,
    }
    order = forecast_run.Order(
        file=file, out=out, parameters=parameters, n_windows=test_windows, step_size=test_step, unit=unit
    )
    finished = forecast_run.run(order, resume=resume, quiet=json, arguments=context.obj)
    if json:
        console.print_json(forecast_run.document(finished))
    else:
        forecast_run.report_run(finished)
