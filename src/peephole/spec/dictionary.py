"""Specs as plain JSON types, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from peephole.errors import ArgumentError
from peephole.spec.cell import CellSpec
from peephole.spec.encoder_decoder import EncoderDecoderSpec
from peephole.spec.networks import EmbeddingSpec, LinearSpec, MLPSpec, NetworkSpec, RecurrentSpec

_INPUTS: Mapping[str, type[Any]] = {"embedding": EmbeddingSpec, "linear": LinearSpec}
_BODIES: Mapping[str, type[Any]] = {"recurrent": RecurrentSpec, "mlp": MLPSpec}


def to_dict(
    spec: CellSpec | RecurrentSpec | MLPSpec | EmbeddingSpec | LinearSpec | NetworkSpec | EncoderDecoderSpec,
) -> dict[str, Any]:
    """A spec as plain JSON types, which :func:`network_from_dict` and :func:`stack_from_dict` read.

    Example:
        >>> from peephole.spec import MLPSpec, to_dict
        >>> to_dict(MLPSpec(input_size=3))
        {'kind': 'mlp', 'input_size': 3, 'hidden_sizes': (32,), 'activation': 'tanh', 'bias': True}
    """
    return dataclasses.asdict(spec)


def network_from_dict(data: Mapping[str, Any]) -> NetworkSpec | EncoderDecoderSpec:
    """A whole network from what :func:`to_dict` gave, now or in an older version.

    Fields with a default may be missing: they came later than the first saved models.

    Raises:
        ArgumentError: for a missing, unknown or ill-valued field.

    Example:
        >>> import json
        >>> from peephole.spec import NetworkSpec, body_spec, network_from_dict, to_dict
        >>> spec = NetworkSpec(body=body_spec("coupled_peephole", 3), output_size=2)
        >>> network_from_dict(json.loads(json.dumps(to_dict(spec)))) == spec
        True
    """
    if data.get("kind", "network") == "encoder_decoder":
        parts = {"encoder": _BODIES, "decoder": _BODIES, "source": _INPUTS, "target": _INPUTS}
        return _whole(EncoderDecoderSpec, {name: value for name, value in data.items() if name != "kind"}, parts)
    return _whole(NetworkSpec, data, {"input": _INPUTS, "body": _BODIES})


def stack_from_dict(data: Mapping[str, Any]) -> RecurrentSpec:
    """A stack from what :func:`to_dict` gave.

    Raises:
        ArgumentError: for a missing, unknown or ill-valued field.

    Example:
        >>> from peephole.spec import RecurrentSpec, stack_from_dict, to_dict
        >>> spec = RecurrentSpec(input_size=3, hidden_size=4, bidirectional=True)
        >>> stack_from_dict(to_dict(spec)) == spec
        True
    """
    with _understood("RecurrentSpec"):
        return _part("RecurrentSpec", "layer", data, {"recurrent": RecurrentSpec})


def _whole(spec: type[Any], data: Mapping[str, Any], parts: Mapping[str, Mapping[str, type[Any]]]) -> Any:
    owner = spec.__name__
    unknown = sorted(data.keys() - {field.name for field in dataclasses.fields(spec)})
    if unknown:
        raise ArgumentError(f"{owner}: unknown field {', '.join(unknown)}")
    with _understood(owner):
        there = [name for name in parts if data.get(name) is not None]
        given = {name: _part(owner, name, data[name], parts[name]) for name in there}
        _check_complete(owner, spec, data)
        return spec(**{**data, **given})


@contextmanager
def _understood(owner: str) -> Generator[None]:
    """Whatever cannot be read is an ArgumentError of the ``owner``."""
    try:
        yield
    except ArgumentError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"{owner}: the description does not fit this version of Peephole ({error})") from error


def _part(owner: str, name: str, data: Mapping[str, Any], kinds: Mapping[str, type[Any]]) -> Any:
    fields = dict(data)
    kind = fields.pop("kind")
    if kind not in kinds:
        raise ArgumentError(f"{owner}: {name}.kind must be one of {', '.join(kinds)} (got {kind!r})")
    if kind == "recurrent":
        fields["cell"] = CellSpec(**fields["cell"])
    if kind == "mlp":
        fields["hidden_sizes"] = tuple(fields["hidden_sizes"])
    _check_complete(f"{owner}: {name}", kinds[kind], fields)
    return kinds[kind](**fields)


def _check_complete(owner: str, spec: type[Any], given: Iterable[str]) -> None:
    missing = [
        field.name
        for field in dataclasses.fields(spec)
        if field.init and field.default is dataclasses.MISSING and field.name not in given
    ]
    if missing:
        raise ArgumentError(f"{owner} lacks {', '.join(missing)}")
