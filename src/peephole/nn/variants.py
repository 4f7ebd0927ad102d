"""From a layer's arguments to its cell, and back to a line of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import CellSpec, RecurrentSpec, variant

_CLASSES = {"lstm": "LSTM", "rnn": "RNN"}

_SWITCHES = tuple(field.name for field in dataclasses.fields(CellSpec) if field.name != "cell")


def switches(arguments: Mapping[str, object]) -> dict[str, object]:
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
    return cell.replace(**{name: value for name, value in overrides.items() if value is not None})


def describe(spec: RecurrentSpec, *, batch_first: bool, dropout: float) -> str:
    """The arguments of a layer that are not the default, as in ``torch.nn.LSTM``'s representation."""
    parts = [f"{spec.input_size}, {spec.hidden_size}"]
    if spec.cell.proj_size:
        parts.append(f"proj_size={spec.cell.proj_size}")
    if spec.num_layers != 1:
        parts.append(f"num_layers={spec.num_layers}")
    if not spec.bias:
        parts.append("bias=False")
    if batch_first:
        parts.append("batch_first=True")
    if dropout:
        parts.append(f"dropout={dropout}")
    if spec.bidirectional:
        parts.append("bidirectional=True")
    for field in dataclasses.fields(spec.cell):
        value: object = getattr(spec.cell, field.name)
        if field.name not in ("cell", "proj_size") and value != field.default:
            name = "nonlinearity" if spec.cell.cell == "rnn" and field.name == "input_activation" else field.name
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)
