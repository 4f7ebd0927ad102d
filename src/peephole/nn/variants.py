"""From a layer's arguments to its cell, and back to a line of text."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.checks import check_count, check_switch
from peephole.nn.schemes import Recipe
from peephole.spec import CellSpec, RecurrentSpec, variant

_CLASSES = {"lstm": "LSTM", "rnn": "RNN"}

_SWITCHES = tuple(field.name for field in dataclasses.fields(CellSpec) if field.name != "cell")


def cell_switches(arguments: Mapping[str, object]) -> dict[str, object]:
    """Those of a constructor's arguments (its ``locals()``) that override a field of the variant.

    A size that is 0, torch's way to leave a projection out, overrides nothing.
    """
    given = {name: arguments[name] for name in _SWITCHES if name in arguments}
    return given | {"proj_size": given.get("proj_size") or None}


def choose_cell(owner: str, chosen: object, overrides: Mapping[str, object]) -> CellSpec:
    """The cell of a variant with some fields overridden.

    Args:
        owner: the class that asks, ``"LSTM"``, ``"RNN"``, ``"LSTMCell"`` or ``"RNNCell"``; its cell is the default.
        chosen: a variant's name, a cell, or ``None`` for the class's plain cell.
        overrides: fields of :class:`~peephole.spec.CellSpec`; ``None`` means "as in the variant".

    Raises:
        ArgumentError: for an unknown name, a cell of the other class, or a combination that has no meaning.
        ArgumentTypeError: for a variant that is neither a name nor a cell.
    """
    family, behind = owner.removesuffix("Cell"), "Cell" if owner.endswith("Cell") else ""
    if chosen is None:
        cell = CellSpec() if family == "LSTM" else CellSpec(cell="rnn")
    elif isinstance(chosen, str):
        with _told_by(owner):
            cell = variant(chosen)
    elif isinstance(chosen, CellSpec):
        cell = chosen
    else:
        raise ArgumentTypeError(
            f"{owner}: variant must be a name or a CellSpec (got {type(chosen).__name__}); "
            "for example variant='peephole'"
        )
    if _CLASSES[cell.cell] != family:
        raise ArgumentError(
            f"{owner}: variant must be a cell of the {family} family (got {chosen!r}); "
            f"use peephole.nn.{_CLASSES[cell.cell]}{behind}"
        )
    with _told_by(owner):
        return cell.replace(**{name: value for name, value in overrides.items() if value is not None})


@contextlib.contextmanager
def _told_by(owner: str) -> Generator[None]:
    """Tell a rule of the spec in the name of the class whose argument breaks it."""
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(f"{owner}: {str(error).partition(': ')[2]}") from None


def choose_stack(
    owner: str,
    chosen: object,
    overrides: Mapping[str, object],
    *,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    bidirectional: bool,
    learned_state: bool,
    residual: bool,
) -> RecurrentSpec:
    """The stack that a layer's arguments describe; each is checked, with the layer as the owner of the rule.

    Raises:
        ArgumentError: for a size or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    sizes = {name: check_count(owner, name, value) for name, value in sizes.items()}
    switches = {"bias": bias, "bidirectional": bidirectional, "learned_state": learned_state, "residual": residual}
    for name, value in switches.items():
        check_switch(owner, name, value)
    cell = choose_cell(owner, chosen, overrides)
    with _told_by(owner):
        return RecurrentSpec(cell=cell, **sizes, **switches)


def choose_one(
    owner: str, chosen: object, overrides: Mapping[str, object], *, input_size: int, hidden_size: int, bias: bool
) -> RecurrentSpec:
    """The same of a cell: one layer, one direction.

    Raises:
        ArgumentError: for a size or combination that has no meaning.
        ArgumentTypeError: for an argument of the wrong type.
    """
    return choose_stack(
        owner,
        chosen,
        overrides,
        input_size=input_size,
        hidden_size=hidden_size,
        num_layers=1,
        bias=bias,
        bidirectional=False,
        learned_state=False,
        residual=False,
    )


def describe(
    spec: RecurrentSpec, *, batch_first: bool, batch_first_states: bool, dropout: float, recipe: Recipe
) -> str:
    """The arguments of a layer that are not the default, as in ``torch.nn.LSTM``'s representation."""
    arguments_and_defaults = {
        "proj_size": (spec.cell.proj_size, 0),
        "num_layers": (spec.num_layers, 1),
        "bias": (spec.bias, True),
        "batch_first": (batch_first, False),
        "dropout": (dropout, 0.0),
        "bidirectional": (spec.bidirectional, False),
        "batch_first_states": (batch_first_states, False),
        "learned_state": (spec.learned_state, False),
        "residual": (spec.residual, False),
        "init": (recipe.scheme, "torch"),
        "forget_bias": (recipe.forget_bias, None),
        "chrono": (recipe.chrono, None),
    }
    parts = [f"{spec.input_size}, {spec.hidden_size}"]
    parts += [f"{name}={value!r}" for name, (value, default) in arguments_and_defaults.items() if value != default]
    for field in dataclasses.fields(spec.cell):
        value: object = getattr(spec.cell, field.name)
        if field.name not in ("cell", "proj_size") and value != field.default:
            name = "nonlinearity" if spec.cell.cell == "rnn" and field.name == "input_activation" else field.name
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)
