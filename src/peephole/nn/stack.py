"""Layers and directions: the ``h`` of one layer is the ``x`` of the next, two directions stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from peephole.nn.cell import (
    CellEngine,
    CellInputs,
    CellMasks,
    CellRun,
    CellState,
    draw_mask,
    draw_masks,
    valid_steps,
)
from peephole.spec import RecurrentSpec
from peephole.weights import MODULE_NAMES, cell_shapes, cells, suffix


class StackRun(NamedTuple):
    """What a stack gives.

    Attributes:
        output: ``[T, B, D·P]``, ``h`` of the last layer, directions side by side; with its input added where the stack
            is residual.
        final: one state per layer and direction, in torch's order.
        runs: everything of each layer and direction, in the same order.
    """

    output: Tensor
    final: list[CellState]
    runs: list[CellRun]


def run_stack(
    spec: RecurrentSpec,
    weights: Sequence[Mapping[str, Tensor]],
    x: Tensor,
    states: list[CellState] | None,
    *,
    engine: CellEngine,
    lengths: Tensor | None,
    training: bool,
    dropout: float,
    want_states: bool,
    generator: torch.Generator | None = None,
) -> StackRun:
    """Run a stack of recurrent layers.

    Dropout comes between the layers, after the addition where the stack is residual: a layer's input is dropped both as
    what the layer sees and as what is added to its output.

    Args:
        spec: the stack.
        weights: the parameters by letter of every layer and direction, in torch's order (:func:`cell_names`).
        x: ``[T, B, I]``.
        states: the initial state of every layer and direction, in torch's order; ``None`` for zeros.
        engine: what runs one layer's cells.
        lengths: ``[B]`` int64 on the CPU, or ``None``.
        training: whether masks and dropout are drawn.
        dropout: probability of dropout between the layers.
        want_states: whether the gates and cells of every step are asked for.
        generator: what masks and dropout are drawn from; ``None`` for torch's own.
    """
    runs: list[CellRun] = []
    if spec.residual and lengths is not None:
        x = x.masked_fill(~valid_steps(lengths, x.shape[0], x.device), 0)  # the padding is added to h, which is 0 there
    for layer in range(spec.num_layers):
        if layer > 0:
            x = _dropout(x, dropout, generator) if training and dropout else x
        work: list[CellInputs] = []
        for direction in range(spec.num_directions):
            masks = draw_masks(spec.cell, x, spec.hidden_size, generator=generator) if training else CellMasks()
            at = len(runs) + direction
            own, state = weights[at], None if states is None else states[at]
            work.append(
                CellInputs(spec.cell, spec.hidden_size, own, x, state, lengths, direction == 1, masks, want_states)
            )
        beside = engine(work)
        runs.extend(beside)
        h = _beside([run.y for run in beside])
        x = h + x if spec.adds_input(layer) else h
    return StackRun(x, [run.final for run in runs], runs)


def _dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Dropout between layers: torch's own draw, bit for bit, unless a generator was given, which that cannot take."""
    if generator is None:
        return F.dropout(x, rate, training=True)
    keep = 1 - rate
    return x * draw_mask(keep, 1 / keep if keep else 0.0, tuple(x.shape), x, generator=generator)


def _beside(outputs: list[Tensor]) -> Tensor:
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)


def cell_names(spec: RecurrentSpec) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Letter and module name of the parameters of every layer and direction; torch's second bias term is ``b_h``."""
    return tuple(
        tuple(
            (own, name + suffix(layer, direction))
            for letter in cell_shapes(spec.cell, spec.layer_input_size(layer), spec.hidden_size, bias=spec.bias)
            for own, name in zip((letter, f"{letter}_h"), MODULE_NAMES[letter], strict=False)
        )
        for layer, direction in cells(spec)
    )
