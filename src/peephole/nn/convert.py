"""``convert``: every recurrent layer and cell inside a model, from torch's to ours and back."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, cast

import torch

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn.counterpart import COUNTERPARTS, Module, Refusal, counterpart

Library = Literal["peephole", "torch"]
_TORCHS = (torch.nn.LSTM, torch.nn.RNN, torch.nn.LSTMCell, torch.nn.RNNCell)
_OURS = tuple(made for made in COUNTERPARTS if made not in _TORCHS)
_NAMES = frozenset(made.__name__ for made in _TORCHS)
_Model = TypeVar("_Model", bound=Module)


class ConversionWarning(UserWarning):
    """A recurrent layer was left as it is, or there was none."""


def convert(model: _Model, *, to: Library = "peephole", inplace: bool = False) -> _Model:
    """Swap every recurrent layer and cell inside a model.

    ``torch.nn.LSTM``, ``RNN``, ``LSTMCell`` and ``RNNCell`` become those of :mod:`peephole.nn`, or with
    ``to="torch"`` the other way round. The new ones have the same parameters, mode, settings, hooks and extra
    attributes; a layer that stands in several places is one layer afterwards too. Either all of them are swapped or,
    where one cannot be, none.

    Args:
        model: any module; it may itself be such a layer.
        to: ``"peephole"`` or ``"torch"``.
        inplace: swap inside ``model``, with the very parameter objects, so that an optimiser made before goes on; else
            a deep copy is converted and ``model`` stays as it is.

    Returns:
        The model; where ``model`` itself is a layer, the layer in its place.

    Raises:
        ArgumentError: for what cannot be swapped without loss: with ``to="torch"`` a variant that torch has not and a
            network of ours, which needs its layers; subclasses, scripted, parametrized and pruned layers, layers with a
            ``forward`` of their own, and layers that a module keeps in a plain list or dictionary too.
        ArgumentTypeError: for what is no module, or no name of a library.

    Warns:
        ConversionWarning: for recurrent layers that are left as they are (``torch.nn.GRU``, quantized ones), and where
            there is nothing to swap.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.LSTM(3, 8, bidirectional=True))
        >>> convert(model)
        Sequential(
          (0): LSTM(3, 8, bidirectional=True)
        )
    """
    _check(model, to, inplace)
    swapped = _counterparts(model, to)
    _warn(model, swapped, to)
    target = model
    if not inplace:
        target = copy.deepcopy(model)
        swapped = _counterparts(target, to)
    for _, parent in _named(target):
        children: dict[str, Module | None] = vars(parent)["_modules"]
        for name, child in children.items():
            if id(child) in swapped:
                children[name] = swapped[id(child)]
    return cast(_Model, swapped.get(id(target), target))


def _check(model: object, to: object, inplace: object) -> None:
    if not isinstance(model, Module):
        raise ArgumentTypeError(f"convert: model must be a torch.nn.Module (got {type(model).__name__})")
    if to not in ("peephole", "torch"):
        raise ArgumentError(f"convert: to must be 'peephole' or 'torch' (got {to!r})")
    if not isinstance(inplace, bool):
        raise ArgumentTypeError(f"convert: inplace must be True or False (got {inplace!r})")


def _counterparts(model: Module, to: Library) -> dict[int, Module]:
    """The new module for each old one, by the old one's identity; nothing is changed yet."""
    sources = _TORCHS if to == "peephole" else _OURS
    swapped: dict[int, Module] = {}
    refused: list[str] = []
    for path, module in _named(model):
        place = path or "the model"
        try:
            if type(module) in sources:
                swapped[id(module)] = counterpart(module)
            else:
                _refuse_kin(module, sources)
        except Refusal as why:
            refused.append(f"{place} ({type(module).__name__}) {why}")
    refused += _holders(model, swapped, to)
    if refused:
        raise ArgumentError(f"convert: nothing was converted to {to}, for {'; '.join(refused)}")
    return swapped


def _refuse_kin(module: Module, sources: tuple[type[Module], ...]) -> None:
    """Refuse what is a recurrent layer by another class, which would be passed over else."""
    if isinstance(module, sources):
        if torch.nn.utils.parametrize.is_parametrized(module):
            counterpart(module)
        raise Refusal("is a subclass, whose own code would be lost; convert what it is made of")
    if isinstance(module, torch.jit.ScriptModule) and cast(Any, module).original_name in _NAMES:
        raise Refusal("is compiled by torch.jit; convert the model before")


def _is_left(module: Module) -> bool:
    """Whether it is a recurrent layer that has no counterpart."""
    kin = isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)) and not isinstance(module, _TORCHS)
    return kin or (type(module).__module__.startswith("torch.ao.") and type(module).__name__ in {*_NAMES, "GRU"})


def _holders(model: Module, swapped: Mapping[int, Module], to: Library) -> list[str]:
    """Modules that hold a layer in a way that a swap would not reach, or would break."""
    refused: list[str] = []
    for path, holder in _named(model):
        place = f"{path or 'the model'} ({type(holder).__name__})"
        children: dict[str, Module | None] = vars(holder)["_modules"]
        is_ours = to == "torch" and type(holder).__module__.startswith("peephole.")
        if is_ours and any(id(child) in swapped for child in children.values()):
            refused.append(f"{place} runs its layers in ways that torch's have not")
        for name, value in vars(holder).items():
            if name != "_modules" and any(id(one) in swapped for one in _elements(value)):
                kind = f"{name}, a plain {type(value).__name__}"
                refused.append(f"{place} keeps a layer in {kind}, too; use torch's containers alone")
    return refused


def _named(model: Module) -> list[tuple[str, Module]]:
    """Every module once, with its path."""
    return list(cast("Iterable[tuple[str, Module]]", model.named_modules()))


def _elements(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[object, object]", value).values())
    return list(cast("list[object]", value)) if isinstance(value, (list, tuple, set)) else []


def _warn(model: Module, swapped: Mapping[int, Module], to: Library) -> None:
    """Name what is left as it is; say where there is nothing to swap."""
    named = _named(model)
    left = [f"{path or 'the model'} ({type(one).__name__})" for path, one in named if _is_left(one)]
    if left and to == "peephole":
        message = f"convert: left as they are, for peephole.nn has no counterpart: {', '.join(left)}"
        warnings.warn(message, ConversionWarning, stacklevel=3)
    elif not swapped and not any(isinstance(one, (*_TORCHS, *_OURS)) for _, one in named):
        warnings.warn(f"convert: there is no recurrent layer to convert to {to}", ConversionWarning, stacklevel=3)
