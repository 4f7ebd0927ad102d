"""What is wrong with a ``state_dict``, each mistake told in one sentence.

Torch lists the keys that are missing or unexpected and the shapes that differ. Here the same is said with what it
means: which argument the layer would have to be built with. ``load_state_dict`` raises and returns what torch does.
"""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from peephole.spec import RecurrentSpec
from peephole.weights import STATE_NAMES

Shape = tuple[int, ...]

_ARGUMENTS = {
    "weight_peephole": "peepholes",
    "weight_gates": "full_gate_recurrence",
    "weight_hr": "proj_size",
    "norm_gain": "layer_norm",
    "norm_shift": "layer_norm",
    "bias_ih": "bias",
    "bias_hh": "bias",
    **dict.fromkeys(STATE_NAMES.values(), "learned_state"),
}
"""Which argument a parameter is there for; the others are there in every layer."""

_NAME = re.compile(r"(?P<base>[a-z0_]+?)(?P<layer>_l(?P<number>\d+)(?P<reverse>_reverse)?)?")
_PARTS = {
    1: "an RNN",
    2: "an LSTM with one gate",
    3: "an LSTM with two gates or of torch.nn.GRU",
    4: "an LSTM with three gates",
}


class Incompatible(Protocol):
    """What ``load_state_dict`` returns."""

    @property
    def missing_keys(self) -> list[str]:
        """Keys that the module has and the state has not."""
        ...

    @property
    def unexpected_keys(self) -> list[str]:
        """Keys that the state has and the module has not."""
        ...


class Loadable(torch.nn.Module, abc.ABC):
    """A recurrent layer or cell that tells what of a ``state_dict`` does not fit, and reads older pickles; abstract.

    Attributes:
        spec: its sizes and cell.
    """

    spec: RecurrentSpec

    @abc.abstractmethod
    def _own_shapes(self) -> Mapping[str, Shape]:
        """The parameters by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As ``torch.nn.Module.load_state_dict``; what does not fit is told with the argument that it belongs to.

        Args:
            state_dict: parameters by name.
            strict: whether missing and unexpected keys are errors.
            assign: whether the tensors take the parameters' places, instead of being copied into them.

        Returns:
            Torch's named tuple of ``missing_keys`` and ``unexpected_keys``.

        Raises:
            RuntimeError: for shapes that differ, and with ``strict`` for keys that are missing or have no place.
        """
        found = super().load_state_dict(state_dict, strict=False, assign=assign)
        if strict:
            _refuse_keys(self, tuple(self._own_shapes()), state_dict, found)
        return found

    def _load_from_state_dict(  # noqa: PLR0917 - torch's arguments
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        load = cast("Callable[..., None]", super()._load_from_state_dict)  # pyright: ignore[reportUnknownMemberType]
        load(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        _tell_shapes(self, self._own_shapes(), state_dict, prefix, error_msgs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # pyright: ignore[reportUnknownMemberType]
        for spec in (self.spec, self.spec.cell):
            for field in dataclasses.fields(spec):
                if not hasattr(spec, field.name):  # pickled before there was such a field
                    object.__setattr__(spec, field.name, field.default)


def _refuse_keys(module: Loadable, names: Sequence[str], state_dict: Mapping[str, Any], found: Incompatible) -> None:
    """Raise as torch does, with a sentence for the keys that are missing and one for those without a place."""
    owner, spec = type(module).__name__, module.spec
    lacking, beyond = found.missing_keys, found.unexpected_keys
    errors: list[str] = []
    if lacking:
        errors.append(f"the state_dict lacks {_listed(lacking)}{_why_lacking(lacking, beyond, names)}")
    if beyond and len(lacking) < len(names):
        way_out = _what_for(beyond, spec, state_dict)
        errors.append(f"the state_dict has {_listed(beyond)}, for which there is no place; {way_out}")
    if errors:
        lines = "".join(f"\n\t{owner}: {error}" for error in errors)
        raise RuntimeError(f"Error(s) in loading state_dict for {owner}:{lines}")


def _tell_shapes(
    module: Loadable, shapes: Mapping[str, Shape], state_dict: Mapping[str, Any], prefix: str, errors: list[str]
) -> None:
    """Put one sentence in the place of torch's, one for each parameter, on shapes that differ."""
    came = {
        key.removeprefix(prefix): tuple(value.shape)
        for key, value in state_dict.items()
        if key.startswith(prefix) and isinstance(value, Tensor)
    }
    wrong = {name: came[name] for name, shape in shapes.items() if came.get(name, shape) != shape}
    if wrong:
        torchs = tuple(f"size mismatch for {prefix}{name}:" for name in wrong)
        errors[:] = [error for error in errors if not error.startswith(torchs)]
        place = f" {prefix[:-1]!r}" if prefix else ""
        pairs = ", ".join(f"{name} {shape} for {shapes[name]}" for name, shape in wrong.items())
        errors.append(
            f"{type(module).__name__}{place}: the state_dict has other shapes than the layer ({pairs}); "
            f"{_whose(came, module.spec, shapes)}"
        )


def _whose(came: Mapping[str, Shape], spec: RecurrentSpec, shapes: Mapping[str, Shape]) -> str:
    """What kind of layer has these shapes, told by its first cell, and what to do."""
    first = {_base(name): shape for name, shape in reversed(({**shapes, **came}).items()) if _is_first(name)}
    if len(first["weight_ih"]) != 2 or first["weight_hh"][:-1] != first["weight_ih"][:1]:
        return "they belong to no layer; save its state again"
    rows, features = first["weight_ih"]
    projection = came.get("weight_hr_l0", came.get("weight_hr", ()))
    proj_size, hidden = projection if len(projection) == 2 else (0, first["weight_hh"][1])
    sizes = {"input_size": features, "hidden_size": hidden, "proj_size": proj_size}
    own = {"input_size": spec.input_size, "hidden_size": spec.hidden_size, "proj_size": spec.cell.proj_size}
    told = [f"{name}={size}" for name, size in sizes.items() if size != own[name]]
    parts, rest = divmod(rows, hidden)
    if parts != len(spec.cell.rows) and not rest and parts in _PARTS and spec.cell.cells_per_block == 1:
        told.insert(0, f"{_PARTS[parts]} (this cell has the rows {', '.join(spec.cell.rows)})")
    whose = " and ".join(told) or "a layer built with other arguments"
    return f"it is the state of {whose}; build this one so, or load another"


def _why_lacking(lacking: Sequence[str], beyond: Sequence[str], names: Sequence[str]) -> str:
    if len(lacking) == len(names):
        if beyond and all(key.startswith("module.") for key in beyond):
            return ", its keys begin with 'module.'; take the prefix of DistributedDataParallel off"
        known = [match for match in map(_NAME.fullmatch, beyond) if match and match["base"].startswith("weight_")]
        if known:
            return f", its keys are those of a {'layer' if known[0]['layer'] else 'cell'} ({beyond[0]}); rename them"
        return ", all of them; pass the part of the state that is this layer's"
    way_out = "load the state of such a layer, build this one without, or pass strict=False to keep what it has"
    arguments = sorted({_ARGUMENTS[base] for name in lacking if (base := _base(name)) in _ARGUMENTS})
    if arguments and all(_base(name) in _ARGUMENTS for name in lacking):
        return f", which the layer has for {' and '.join(arguments)}; {way_out}"
    if all("_reverse" in name for name in lacking):
        return f", which the layer has for bidirectional=True; {way_out}"
    return f", of layers or directions that were not saved; {way_out}"


def _what_for(beyond: Sequence[str], spec: RecurrentSpec, state_dict: Mapping[str, Any]) -> str:
    wanted: dict[str, str] = {}
    for name in beyond:
        match = _NAME.fullmatch(name)
        base, number = _base(name), int(match["number"] or 0) if match else 0
        if number >= spec.num_layers:
            wanted["num_layers"] = str(max(number + 1, int(wanted.get("num_layers", 0))))
        elif match and match["reverse"] and not spec.bidirectional:
            wanted["bidirectional"] = "True"
        elif base in _ARGUMENTS:
            wanted[_ARGUMENTS[base]] = str(len(state_dict[name])) if base == "weight_hr" else "True"
    arguments = ", ".join(f"{name}={value}" for name, value in wanted.items())
    return f"{f'build the layer with {arguments}, or ' if wanted else ''}pass strict=False to leave them out"


def _base(name: str) -> str:
    """``weight_ih`` of ``weight_ih_l0_reverse``."""
    match = _NAME.fullmatch(name)
    return match["base"] if match else name


def _is_first(name: str) -> bool:
    """Whether it is a parameter of a cell, or of a layer's first."""
    match = _NAME.fullmatch(name)
    return match is not None and (match["layer"] or "_l0") == "_l0"


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
