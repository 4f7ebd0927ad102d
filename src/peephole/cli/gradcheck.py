"""``peephole gradcheck``: every gradient against central differences, on this machine, with what is installed here."""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peephole.cli import console, progress
from peephole.spec import VARIANTS
from peephole.spec import variant as cell_called

if TYPE_CHECKING:
    from peephole.equations.gradcheck import Comparison
    from peephole.equations.passes import CellBackward, CellForward

EXAMPLES = "Example: `peephole gradcheck --variant peephole --variant coupled --backend native`"

LIMIT = 1e-7
_BLOCKS = (1, 3)


class Backend(enum.StrEnum):
    """Whose gradients are checked."""

    EQUATIONS = "equations"
    NATIVE = "native"


def gradcheck(
    *,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", metavar="NAME", help="A cell of `peephole variants`, repeatable; all by default."),
    ] = None,
    backend: Annotated[
        Backend,
        typer.Option(help="equations: the NumPy reference; native: the compiled core, in float64."),
    ] = Backend.EQUATIONS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random weights, inputs, states and losses.")] = 0,
    json: console.Json = False,
) -> None:
    """Check gradients against central differences in float64.

    Every input, initial state and parameter of every variant, with 1 and 3 cells per block, forward and backward in
    time, on a ragged batch: ‖analytic − numeric‖ / max(‖analytic‖, ‖numeric‖) must be at most 1e-7.
    The exit code is 1 if any is above.
    """
    names = list(dict.fromkeys(variant)) if variant else list(VARIANTS)
    for name in names:
        cell_called(name)
    forward, backward = _passes(backend)
    results: dict[str, list[tuple[int, bool, Comparison]]] = {}
    with progress.steps("Checking gradients", len(names), enabled=not json) as advance:
        for name in names:
            advance(name)
            results[name] = _check(name, forward, backward, seed)
    worst = {name: max(found, key=_error) for name, found in results.items()}
    passed = all(_error(found) <= LIMIT for found in worst.values())
    if json:
        console.print_json(_document(backend, results, passed=passed))
    else:
        _report(backend, results, worst)
    if not passed:
        raise typer.Exit(1)


def _passes(backend: Backend) -> tuple[CellForward, CellBackward]:
    if backend is Backend.NATIVE:
        from peephole import kernels

        return partial(kernels.forward, backend="native"), partial(kernels.backward, backend="native")
    from peephole import equations

    return equations.forward, equations.backward


def _check(name: str, forward: CellForward, backward: CellBackward, seed: int) -> list[tuple[int, bool, Comparison]]:
    """Every comparison of a variant, with its cells per block and whether time ran backward."""
    from peephole.equations import gradcheck as judge

    spec = cell_called(name)
    found: list[tuple[int, bool, Comparison]] = []
    for blocks in _BLOCKS if spec.cell == "lstm" else _BLOCKS[:1]:
        for reverse in (False, True):
            problem = judge.random_problem(spec.replace(cells_per_block=blocks), reverse=reverse, seed=seed)
            compared = judge.check(problem, forward=forward, backward=backward, seed=seed + 1)
            found += [(blocks, reverse, comparison) for comparison in compared]
    return found


def _error(found: tuple[int, bool, Comparison]) -> float:
    """The relative error; one that is not a number counts as infinite."""
    error = found[2].relative_error
    return error if error == error else float("inf")  # noqa: PLR0124 - only NaN differs from itself


def _report(
    backend: Backend,
    results: dict[str, list[tuple[int, bool, Comparison]]],
    worst: dict[str, tuple[int, bool, Comparison]],
) -> None:
    rows = [
        [
            name,
            f"d{found[2].name}, {found[0]} cell{'s' if found[0] > 1 else ''} a block{', reversed' if found[1] else ''}",
            str(len(results[name])),
            f"{_error(found):.1e}",
            "[green]passed[/]" if _error(found) <= LIMIT else "[bold red]FAILED[/]",
        ]
        for name, found in worst.items()
    ]
    title = f"Gradients of {backend.value} against central differences, float64"
    columns = ["variant", "worst gradient", "checked", "its error", ""]
    console.show(title, console.table(columns, rows, text_columns=2))
    failed = [name for name, found in worst.items() if _error(found) > LIMIT]
    if failed:
        console.say_plain(f"{len(failed)} of {len(worst)} variants are above {LIMIT:.0e}: {', '.join(failed)}.")
    else:
        console.say_plain(f"All {len(worst)} variants are within {LIMIT:.0e}.")


def _document(
    backend: Backend, results: dict[str, list[tuple[int, bool, Comparison]]], *, passed: bool
) -> dict[str, Any]:
    gradients = [
        {
            "variant": name,
            "cells_per_block": blocks,
            "reverse": reverse,
            "gradient": comparison.name,
            "relative_error": comparison.relative_error,
            "norm": comparison.norm,
        }
        for name, found in results.items()
        for blocks, reverse, comparison in found
    ]
    return {"backend": backend.value, "limit": LIMIT, "passed": passed, "gradients": gradients}
