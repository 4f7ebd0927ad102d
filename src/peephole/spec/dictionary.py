"""Specs as plain JSON types, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from peephole.errors import ArgumentError
from peephole.spec.cell import CellSpec
from peephole.spec.networks import EmbeddingSpec, LinearSpec, MLPSpec, NetworkSpec, RecurrentSpec


def to_dict(spec: CellSpec | RecurrentSpec | MLPSpec | EmbeddingSpec | LinearSpec | NetworkSpec) -> dict[str, Any]:
    """A spec as plain JSON types, the inverse of :func:`network_from_dict` for a :class:`NetworkSpec`."""
    return dataclasses.asdict(spec)


def network_from_dict(data: Mapping[str, Any]) -> NetworkSpec:
    """A :class:`NetworkSpec` from what :func:`to_dict` gave, now or in an older version.

    Fields with a default may be missing: they came later than the first saved models.

    Raises:
        ArgumentError: for a missing, unknown or ill-valued field.
    """
    try:
        unknown = set(data) - {"input", "body", "output_size", "readout"}
        if unknown:
            raise ArgumentError(f"NetworkSpec: unknown field {', '.join(sorted(unknown))}")
        return NetworkSpec(
            input=_input(data.get("input")),
            body=_body(data["body"]),
            output_size=data["output_size"],
            readout=data["readout"],
        )
    except ArgumentError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"NetworkSpec: the description does not fit this version of Peephole ({error})") from error


def _input(data: Mapping[str, Any] | None) -> EmbeddingSpec | LinearSpec | None:
    if data is None:
        return None
    fields = dict(data)
    kind = fields.pop("kind")
    if kind == "embedding":
        return EmbeddingSpec(**fields)
    if kind == "linear":
        return LinearSpec(**fields)
    raise ArgumentError(f"NetworkSpec: input.kind must be 'embedding' or 'linear' (got {kind!r})")


def _body(data: Mapping[str, Any]) -> RecurrentSpec | MLPSpec:
    fields = dict(data)
    kind = fields.pop("kind")
    if kind == "mlp":
        fields["hidden_sizes"] = tuple(fields["hidden_sizes"])
        return MLPSpec(**fields)
    if kind == "recurrent":
        fields["cell"] = CellSpec(**fields["cell"])
        return RecurrentSpec(**fields)
    raise ArgumentError(f"NetworkSpec: body.kind must be 'recurrent' or 'mlp' (got {kind!r})")
