"""What goes into and comes out of one cell run over time: one layer, one direction, as torch tensors.

The kernels (:mod:`peephole.nn.autograd`) and the torch reference (:mod:`peephole.nn.reference`) take and give the
same tuples, so the stack above them does not know which of the two it calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from peephole.kernels import native, native_available
from peephole.spec import CellSpec

KERNEL_DTYPES: Mapping[torch.dtype, native.Dtype] = {torch.float32: "float32", torch.float64: "float64"}
"""The dtypes that the compiled kernels know."""


class CellState(NamedTuple):
    """The state between two steps.

    Attributes:
        h: ``[B, P]``, the (projected) hidden state.
        c: ``[B, H]``, the memory cells; ``None`` in an RNN.
        r: ``[B, G]``, the gates of the step before; only with full gate recurrence.
    """

    h: Tensor
    c: Tensor | None = None
    r: Tensor | None = None


class CellMasks(NamedTuple):
    """The random masks of one training pass; ``None`` where nothing is random.

    Attributes:
        zoneout_h: ``[T, B, P]``, 1 where a unit of ``h`` keeps its previous value.
        zoneout_c: ``[T, B, H]``, 1 where a cell keeps its previous value.
        drop_h: ``[B, P]``, multiplies ``h⁻`` inside ``R h⁻``; already scaled by ``1/(1 − p)``.
        drop_g: ``[B, H]``, multiplies ``g`` in the cell update; already scaled.
    """

    zoneout_h: Tensor | None = None
    zoneout_c: Tensor | None = None
    drop_h: Tensor | None = None
    drop_g: Tensor | None = None


class CellRun(NamedTuple):
    """What a cell gives when run over a sequence.

    Attributes:
        y: ``[T, B, P]``, ``h`` of every step, 0 behind the end of a sequence.
        final: the state after the last valid step that was processed.
        gates: ``[T, B, K]``, the activations ``i, f, g, o`` that have weights, in row order; ``None`` if not asked for.
        c: ``[T, B, H]``, the cells of every step; ``None`` in an RNN or if not asked for.
    """

    y: Tensor
    final: CellState
    gates: Tensor | None
    c: Tensor | None


class CellInputs(NamedTuple):
    """One cell's work.

    Attributes:
        spec: the cell.
        hidden_size: ``H``.
        weights: parameters by letter (:func:`peephole.weights.cell_shapes`); ``b_h`` is torch's second bias term,
            which is added to ``b``.
        x: ``[T, B, I]``.
        state: the state before the first step; ``None`` for zeros.
        lengths: ``[B]`` int64 on the CPU, valid steps of each sequence; ``None`` when all are ``T``.
        reverse: whether time runs from the last valid step to the first.
        masks: the random masks of this pass.
        want_states: whether ``gates`` and ``c`` of every step are asked for.
    """

    spec: CellSpec
    hidden_size: int
    weights: Mapping[str, Tensor]
    x: Tensor
    state: CellState | None
    lengths: Tensor | None
    reverse: bool
    masks: CellMasks
    want_states: bool


CellEngine = Callable[[Sequence[CellInputs]], list[CellRun]]
"""Runs the cells of one layer, one for each direction: the compiled kernels or the torch reference."""


def zero_state(inputs: CellInputs) -> CellState:
    """The state that stands for ``None``."""
    spec, x, batch = inputs.spec, inputs.x, inputs.x.shape[1]
    h = x.new_zeros((batch, spec.proj_size or inputs.hidden_size))
    c = x.new_zeros((batch, inputs.hidden_size)) if spec.cell == "lstm" else None
    gates = len(spec.gates) * inputs.hidden_size // spec.cells_per_block
    return CellState(h, c, x.new_zeros((batch, gates)) if spec.full_gate_recurrence else None)


def valid_steps(lengths: Tensor, steps: int, device: torch.device) -> Tensor:
    """``[T, B, 1]`` bool: whether step ``t`` lies inside sequence ``b``."""
    return (torch.arange(steps).unsqueeze(1) < lengths.unsqueeze(0)).unsqueeze(-1).to(device)


def draw_masks(spec: CellSpec, x: Tensor, hidden_size: int, *, generator: torch.Generator | None = None) -> CellMasks:
    """Draw the masks of one training pass.

    Args:
        spec: the cell; its rates are the probabilities.
        x: ``[T, B, I]``, which gives sizes, dtype and device.
        hidden_size: ``H``.
        generator: what is drawn from; ``None`` for torch's own.

    Returns:
        Masks for what the spec has, ``None`` for the rest (Krueger et al. 2017; Gal & Ghahramani 2016;
        Semeniuta et al. 2016).
    """
    if not spec.has_masks:
        return CellMasks()
    steps, batch = x.shape[:2]
    outputs = spec.proj_size or hidden_size
    keep = 1 - spec.recurrent_dropout
    on_hidden = spec.recurrent_dropout_on == "hidden"

    def draw(probability: float, *shape: int) -> Tensor | None:
        return draw_mask(probability, 1.0, shape, x, generator=generator) if probability else None

    zoneout_h = draw(spec.zoneout_hidden, steps, batch, outputs)
    zoneout_c = draw(spec.zoneout_cell, steps, batch, hidden_size)
    shape = (batch, outputs if on_hidden else hidden_size)
    drop = draw_mask(keep, 1 / keep, shape, x, generator=generator) if keep < 1 else None
    return CellMasks(zoneout_h, zoneout_c, drop if on_hidden else None, None if on_hidden else drop)


def draw_mask(
    probability: float, value: float, shape: tuple[int, ...], like: Tensor, *, generator: torch.Generator | None
) -> Tensor:
    """``value`` with that probability, else 0; of the dtype and device of ``like``.

    On a CPU torch's own draw would take as long as the cell itself: the kernels draw there, from a seed of torch's.
    """
    mask = torch.empty(shape, dtype=like.dtype, device=like.device)
    if torch.compiler.is_compiling():  # which sees through torch's own draw alone
        return mask.bernoulli_(probability).mul_(value)
    dtype = KERNEL_DTYPES.get(like.dtype)
    if dtype is None or not like.is_cpu or not native_available():
        return mask.bernoulli_(probability, generator=generator).mul_(value)
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    native.draw_mask(dtype, mask.data_ptr(), mask.numel(), seed=seed, probability=probability, value=value)
    return mask
