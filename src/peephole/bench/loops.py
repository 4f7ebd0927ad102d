"""The variants as one writes them by hand: a Python loop over the steps, in torch operations, under autograd.

This is what a reader of a paper would write, with the input product over all steps taken out of the loop, the gates in
one product, and random masks drawn ahead. Only the masks are shared with the package, so that both see the same ones,
and the loop gets the faster draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from peephole.nn.cell import CellMasks, draw_masks
from peephole.spec import CellSpec

Weights = Mapping[str, Tensor]
_EPS = 1e-5


class Step(NamedTuple):
    """What one step works with; the masks are those of the step, or the rates in their place."""

    cell: CellSpec
    weights: Weights
    keep_h: Tensor | float
    keep_c: Tensor | float


StepFunction = Callable[[Step, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From what a step works with, ``z``, ``h⁻`` and ``c⁻`` to ``h`` and ``c``."""


def run_loop(cell: CellSpec, weights: Weights, x: Tensor, *, training: bool) -> Tensor:
    """Outputs ``[T, B, H]`` of a cell run over ``x`` from the zero state.

    Args:
        cell: one of those that :func:`step_of` knows.
        weights: by the names of our layer's parameters.
        x: ``[T, B, I]``.
        training: whether random masks are drawn.
    """
    T, B, _ = x.shape
    H = weights["weight_hh_l0"].shape[1]
    step = step_of(cell)
    masks = draw_masks(cell, x, H) if training else CellMasks()
    zx = F.linear(x, weights["weight_ih_l0"], weights["bias_ih_l0"] + weights["bias_hh_l0"]).unbind()
    R = weights["weight_hh_l0"].t()
    h, c = x.new_zeros(B, H), x.new_zeros(B, H)
    outputs: list[Tensor] = []
    for t in range(T):
        seen = h if masks.drop_h is None else h * masks.drop_h
        keep_h = cell.zoneout_hidden if masks.zoneout_h is None else masks.zoneout_h[t]
        keep_c = cell.zoneout_cell if masks.zoneout_c is None else masks.zoneout_c[t]
        h, c = step(Step(cell, weights, keep_h, keep_c), torch.addmm(zx[t], seen, R), h, c)
        outputs.append(h)
    return torch.stack(outputs)


def step_of(cell: CellSpec) -> StepFunction:
    """The step of a cell."""
    if cell.layer_norm:
        return _layer_norm
    if cell.peepholes:
        return _peephole
    if cell.coupled:
        return _coupled
    if cell.cells_per_block > 1:
        return _blocks
    return _zoneout if cell.zoneout_hidden else _plain


def _plain(_step: Step, z: Tensor, _h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = z.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _peephole(step: Step, z: Tensor, _h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    p_i, p_f, p_o = step.weights["weight_peephole_l0"]
    i, f, g, o = z.chunk(4, 1)
    c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
    return torch.sigmoid(o + p_o * c) * torch.tanh(c), c


def _coupled(_step: Step, z: Tensor, _h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, g, o = z.chunk(3, 1)
    i = torch.sigmoid(i)
    c = (1 - i) * c + i * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _blocks(step: Step, z: Tensor, _h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    (B, H), C = c.shape, step.cell.cells_per_block
    N = H // C
    i, f, g, o = z[:, :N], z[:, N : 2 * N], z[:, 2 * N : 2 * N + H], z[:, 2 * N + H :]
    i, f, o = (torch.sigmoid(gate).unsqueeze(2) for gate in (i, f, o))
    c = f * c.view(B, N, C) + i * torch.tanh(g).reshape(B, N, C)
    return (o * torch.tanh(c)).view(B, H), c.view(B, H)


def _layer_norm(step: Step, z: Tensor, _h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    H = c.shape[1]
    gains, shifts = step.weights["norm_gain_l0"].chunk(5), step.weights["norm_shift_l0"].chunk(5)
    parts = [F.layer_norm(*part, _EPS) for part in zip(z.chunk(4, 1), [(H,)] * 4, gains[:4], shifts[:4], strict=True)]
    i, f, g, o = parts
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(F.layer_norm(c, (H,), gains[4], shifts[4], _EPS)), c


def _zoneout(step: Step, z: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = z.chunk(4, 1)
    c_new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h_new = torch.sigmoid(o) * torch.tanh(c_new)
    return step.keep_h * h + (1 - step.keep_h) * h_new, step.keep_c * c + (1 - step.keep_c) * c_new
