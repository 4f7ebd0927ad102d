"""One recurrent module of torch as one of ours, and back: the same parameters, hooks and settings in another class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from peephole.nn.cells import LSTMCell, RNNCell
from peephole.nn.lstm import LSTM
from peephole.nn.recurrent import Recurrent
from peephole.nn.recurrent_cell import RecurrentCell
from peephole.nn.rnn import RNN
from peephole.spec import CellSpec, RecurrentSpec

Module = torch.nn.Module


class Refusal(Exception):  # noqa: N818 - caught where it is raised, it reaches nobody
    """Why a module has no counterpart: the end of a sentence that begins with its name."""


def counterpart(old: Module) -> Module:
    """The same module in the other library, sharing parameters, hooks and extra attributes with ``old``.

    Args:
        old: exactly one of ``torch.nn.LSTM``, ``RNN``, ``LSTMCell``, ``RNNCell`` or of ours; it is left as it is.

    Returns:
        The new module, in the same mode.

    Raises:
        Refusal: for what the other library cannot express, or what would be lost.
    """
    if parametrize.is_parametrized(old):
        raise Refusal("has parametrized weights; parametrize after converting, or remove them first")
    new = _make(old)
    _share_parameters(old, new)
    _share_hooks(old, new)
    _share_attributes(old, new)
    new.training = old.training
    return new


COUNTERPARTS: Mapping[type[Module], type[Module]] = {
    torch.nn.LSTM: LSTM,
    torch.nn.RNN: RNN,
    torch.nn.LSTMCell: LSTMCell,
    torch.nn.RNNCell: RNNCell,
    LSTM: torch.nn.LSTM,
    RNN: torch.nn.RNN,
    LSTMCell: torch.nn.LSTMCell,
    RNNCell: torch.nn.RNNCell,
}
"""Each class's counterpart in the other library."""


def _make(old: Any) -> Module:
    """A module of the same sizes and settings, with its parameters on no device yet."""
    if isinstance(old, (Recurrent, RecurrentCell)):
        _check_expressible(old)
    settings: dict[str, object] = {"bias": old.bias, "device": "meta"}
    is_layer = isinstance(old, (torch.nn.RNNBase, Recurrent))
    if is_layer:
        settings |= {name: getattr(old, name) for name in ("num_layers", "batch_first", "bidirectional")}
    if isinstance(old, (torch.nn.LSTM, LSTM)):
        settings["proj_size"] = old.proj_size
    if isinstance(old, (torch.nn.RNN, torch.nn.RNNCell, RNN, RNNCell)):
        settings["nonlinearity"] = _nonlinearity(old)
    new = cast(Any, COUNTERPARTS[type(old)])(old.input_size, old.hidden_size, **settings)
    if is_layer:
        new.dropout = float(old.dropout)  # here, so that nobody is warned again of one that has no place
    return new


def _nonlinearity(old: Any) -> str:
    """``tanh`` or ``relu``; of torch's layer out of the mode that it runs in."""
    name: str = old.mode.removeprefix("RNN_").lower() if isinstance(old, torch.nn.RNN) else old.nonlinearity
    if name not in ("tanh", "relu"):
        raise Refusal(f"has the nonlinearity {name!r}, which torch.nn cannot run")
    return name


def _check_expressible(old: Recurrent | RecurrentCell) -> None:
    """Refuse every field that is not as in torch's own cells, and every attribute of ours that torch has not."""
    spec = old.spec
    cell = spec.cell
    plain = CellSpec(cell=cell.cell, proj_size=cell.proj_size if isinstance(old, LSTM) else 0)
    if cell == plain.replace(input_activation="relu") and cell.cell == "rnn":
        plain = cell
    stack = RecurrentSpec(
        cell=plain,
        input_size=spec.input_size,
        hidden_size=spec.hidden_size,
        num_layers=spec.num_layers,
        bidirectional=spec.bidirectional,
        bias=spec.bias,
    )
    beyond = [*_differing(cell, plain), *(name for name in _differing(spec, stack) if not name.startswith("cell="))]
    told = ("spec", "batch_first", "dropout", "training")
    for name, usual in vars(_unchanged(type(old))).items():
        mine: object = vars(old).get(name, usual)
        if name not in told and not name.startswith("_") and mine != usual:
            beyond.append(f"{name}={mine!r}")
    if beyond:
        raise Refusal(f"has {', '.join(beyond)}, which torch.nn.{type(old).__name__} cannot have")


def _differing(one: Any, other: Any) -> list[str]:
    names = [field.name for field in dataclasses.fields(one)]
    return [f"{name}={getattr(one, name)!r}" for name in names if getattr(one, name) != getattr(other, name)]


@lru_cache(maxsize=16)
def _unchanged(made: Any) -> Module:
    """A module as its class makes it, to tell what a user has put on one."""
    return made(1, 2, device="meta")


def _share_parameters(old: Module, new: Module) -> None:
    have: dict[str, Any] = vars(old)["_parameters"]
    want: dict[str, Any] = vars(new)["_parameters"]
    if have.keys() != want.keys():
        extra, missing = sorted(have.keys() - want.keys()), sorted(want.keys() - have.keys())
        raise Refusal(
            f"has other parameters than its class makes (extra {extra}, missing {missing}), as weight normalisation "
            "and pruning leave them; undo that first"
        )
    for name, parameter in have.items():
        as_made: Tensor | None = want[name]
        if (parameter is None) != (as_made is None) or (as_made is not None and parameter.shape != as_made.shape):
            shape = None if parameter is None else tuple(parameter.shape)
            raise Refusal(f"has {name} of the shape {shape}, which does not belong to its sizes")
    inside = [*vars(old)["_buffers"], *vars(old)["_modules"]]
    if inside:
        raise Refusal(f"holds {', '.join(inside)} besides its parameters; take that out first")
    for name, parameter in have.items():
        setattr(new, name, parameter)  # torch.nn.LSTM keeps a list of them beside


def _share_hooks(old: Module, new: Module) -> None:
    """The same dictionaries, so that the handles of the hooks keep working."""
    before_loading: dict[int, object] = vars(old)["_load_state_dict_pre_hooks"]
    if any(getattr(hook, "with_module", False) for hook in before_loading.values()):
        raise Refusal(
            "has a load_state_dict pre-hook that holds the layer itself; remove it, and register it again afterwards"
        )
    for name in vars(Module()):
        if "_hook" in name:
            vars(new)[name] = vars(old)[name]


def _share_attributes(old: Module, new: Module) -> None:
    """What a user has put on the module beside."""
    for name, value in vars(old).items():
        if name in vars(_unchanged(type(old))):
            continue
        if hasattr(type(new), name) or name in vars(new):
            raise Refusal(f"has a {name} of its own in the place of its class's; take that off first")
        vars(new)[name] = value
