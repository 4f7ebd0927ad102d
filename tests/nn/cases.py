"""What the laws of the layers run over: every variant, small sizes, inputs out of a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor

from peephole.nn import LSTM, RNN
from peephole.spec import VARIANTS, CellSpec
from tests.tolerances import TOLERANCES

LSTM_VARIANTS = [name for name, one in VARIANTS.items() if one.spec.cell == "lstm"]
RNN_VARIANTS = [name for name, one in VARIANTS.items() if one.spec.cell == "rnn"]
LENGTHS = [5, 0, 3]


def set_seed(value: int) -> None:
    """Set torch's generator."""
    cast(Any, torch).manual_seed(value)


def carry_back(loss: Tensor) -> None:
    """``loss.backward()``."""
    cast(Any, loss).backward()


def gradients(loss: Tensor, wanted: Iterable[Tensor]) -> list[Tensor]:
    """The gradient with respect to each of the wanted tensors, zeros where there is none."""
    return list(torch.autograd.grad(loss, list(wanted), materialize_grads=True))


def gradients_are_right(run: Callable[..., Any], inputs: Iterable[Tensor], *, twice: bool = False) -> bool:
    """Whether analytic derivatives (the first, or the second) are those of finite differences."""
    autograd = cast(Any, torch.autograd)
    if twice:  # along random directions, for every second derivative on its own takes minutes
        return bool(autograd.gradgradcheck(run, tuple(inputs), fast_mode=True))
    return bool(autograd.gradcheck(run, tuple(inputs)))


def layer(
    name: str,
    *,
    input_size: int = 4,
    hidden_size: int = 6,
    num_layers: int = 1,
    bidirectional: bool = False,
    cells_per_block: int = 1,
    proj_size: int = 0,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> LSTM | RNN:
    """A layer of the variant ``name``; its norm parameters are moved off the identity."""
    cast(Any, torch).manual_seed(seed)
    cell = VARIANTS[name].spec
    if cell.cell == "rnn":
        made: LSTM | RNN = RNN(
            input_size, hidden_size, num_layers, bidirectional=bidirectional, bias=bias, dtype=dtype, variant=name
        )
    else:
        made = LSTM(
            input_size,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            proj_size=proj_size,
            bias=bias,
            dtype=dtype,
            variant=name,
            cells_per_block=cells_per_block,
        )
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if key.startswith("norm_"):
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return made


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64, gradient: bool = False) -> Tensor:
    """Normal noise out of a seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_(gradient)


def state_of(made: LSTM | RNN, batch: int, *, seed: int = 7, gradient: bool = False) -> Any:
    """An initial state of the layer, as its ``hx`` argument takes it."""
    count = made.num_layers * made.spec.num_directions
    cell = made.spec.cell
    sizes = [made.proj_size or made.hidden_size]
    if cell.cell == "lstm":
        sizes.append(made.hidden_size)
    if cell.full_gate_recurrence:
        sizes.append(len(cell.gates) * made.hidden_size // cell.cells_per_block)
    dtype = next(made.parameters()).dtype
    parts = tuple(
        noise(count, batch, size, seed=seed + at, dtype=dtype, gradient=gradient) for at, size in enumerate(sizes)
    )
    return parts if cell.cell == "lstm" else parts[0]


def tensors(values: object) -> list[Tensor]:
    """Every tensor in nested tuples, in order."""
    if isinstance(values, Tensor):
        return [values]
    return [q for value in cast("Iterable[object]", values) for q in tensors(value)]


def total(values: object) -> Tensor:
    """A scalar that every entry enters with its own weight."""
    parts = tensors(values)
    weights = [noise(*q.shape, seed=100 + at, dtype=q.dtype).to(q.device) for at, q in enumerate(parts)]
    return torch.stack([(q * weight).sum() for q, weight in zip(parts, weights, strict=True)]).sum()


def close(actual: object, expected: object, tolerance: str) -> None:
    """All tensors of the two agree within the named tolerance, absolute and relative."""
    allowed = TOLERANCES[tolerance]
    ours, theirs = tensors(actual), tensors(expected)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=allowed, atol=allowed)


def cell_of(name: str) -> CellSpec:
    """The cell of a variant."""
    return VARIANTS[name].spec
