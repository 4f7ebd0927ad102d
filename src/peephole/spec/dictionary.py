"""Specs as plain JSON types, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from peephole.errors import ArgumentError
from peephole.spec.cell import CellSpec
from peephole.spec.encoder_decoder import EncoderDecoderSpec
from peephole.spec.networks import MLPSpec, NetworkSpec, RecurrentSpec


def to_dict(spec: CellSpec | RecurrentSpec | MLPSpec | NetworkSpec | EncoderDecoderSpec) -> dict[str, Any]:
    """A spec as plain JSON types, which :func:`network_from_dict` and :func:`encoder_decoder_from_dict` read."""
    return dataclasses.asdict(spec)


def network_from_dict(data: Mapping[str, Any]) -> NetworkSpec:
    """A :class:`NetworkSpec` from what :func:`to_dict` gave.

    Raises:
        ArgumentError: for a missing, unknown or ill-valued field.
    """
    try:
        body_data = dict(data["body"])
        kind = body_data.pop("kind")
        if kind == "mlp":
            body_data["hidden_sizes"] = tuple(body_data["hidden_sizes"])
            body: RecurrentSpec | MLPSpec = MLPSpec(**body_data)
        elif kind == "recurrent":
            body_data["cell"] = CellSpec(**body_data["cell"])
            body = RecurrentSpec(**body_data)
        else:
            raise ArgumentError(f"NetworkSpec: body.kind must be 'recurrent' or 'mlp' (got {kind!r})")
        unknown = set(data) - {"body", "output_size", "readout"}
        if unknown:
            raise ArgumentError(f"NetworkSpec: unknown field {', '.join(sorted(unknown))}")
        return NetworkSpec(body=body, output_size=data["output_size"], readout=data["readout"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"NetworkSpec: the description does not fit this version of Peephole ({error})") from error
