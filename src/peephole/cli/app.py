"""The tree of commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from peephole.cli import bench, console, demo, evaluate, export, fit_forecast, gradcheck, predict, variants
from peephole.cli.wording import as_on_the_command_line
from peephole.errors import PeepholeError
from peephole.version import VERSION

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
_INTERRUPTED = 130
_ABOUT = """
Recurrent networks you can see inside: from a CSV file to a forecast.

First steps:

- `peephole demo --out demo` fits three networks to a real series and compares them

- `peephole fit forecast data.csv --time date --target sales --horizon 7 --lags 28 --out run` fits one to yours

- `peephole predict run` forecasts what comes after the data

- `peephole evaluate run` shows the errors again, beside the baselines
"""

app = typer.Typer(
    name="peephole",
    help=_ABOUT,
    context_settings=_CONTEXT,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
fit = typer.Typer(
    help="Fit a network to data; the task is the next word, as in `peephole fit forecast`.", context_settings=_CONTEXT
)
app.add_typer(fit, name="fit")
fit.command("forecast", epilog=fit_forecast.EXAMPLES)(fit_forecast.fit_forecast)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("gradcheck", epilog=gradcheck.EXAMPLES)(gradcheck.gradcheck)
app.command("variants", epilog=variants.EXAMPLES)(variants.variants)
app.command("bench", epilog=bench.EXAMPLES)(bench.bench)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)

# typer brings its own copy of click in newer versions and uses the installed one in older ones: the base of what both
# raise for a wrong command line is found from the one class that typer has always exported
_UsageProblem = cast(
    "type[Exception]", next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
)


def _print_version(value: bool) -> None:
    if value:
        console.say_plain(f"peephole {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(  # pyright: ignore[reportUnusedFunction] - typer calls it
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    _help_alone(context)


@fit.callback(invoke_without_command=True)
def _fit(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction] - typer calls it
    _help_alone(context)


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        context.get_help()


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code: 0, 1 a check failed, 2 bad input, 130 interrupted."""
    try:
        code: object = app(list(arguments), prog_name="peephole", standalone_mode=False, obj=list(arguments))
    except PeepholeError as error:
        console.fail(as_on_the_command_line(str(error)))
        return 2
    except _UsageProblem as error:
        console.fail(f"{cast('Any', error).format_message()} (peephole --help shows the commands and their options)")
        return 2
    except console.StoppedError as stopped:
        console.fail(str(stopped))
        return _INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.fail(f"{where}{error.strerror or error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        console.fail("not enough memory for this; choose a smaller network, fewer lags or smaller batches")
        return 2
    if code == _INTERRUPTED:  # newer versions of typer return it, older ones raise
        console.fail("interrupted; nothing was written")
    return code if isinstance(code, int) else 0


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory was refused; torch says that of the processor's memory in the text alone."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)
