"""What a cell carries, what is drawn at random for it, and what a pass leaves behind.

Everything is time-major. A row of the batch that is shorter than the others is zero beyond its length.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from peephole.equations.activations import Array
from peephole.shapes import Float, Int


class State(NamedTuple):
    """What a cell carries from step to step.

    Attributes:
        h: hidden state, ``[B, P]``.
        c: cell state, ``[B, H]``; None in an RNN.
        r: gates of the step before, ``[B, G]``; only with full gate recurrence.
    """

    h: Array
    c: Array | None = None
    r: Array | None = None


class Masks(NamedTuple):
    """The random draws of one training pass; None where nothing is drawn.

    Attributes:
        zoneout_h: ``[T, B, P]``, 1 where a unit of ``h`` keeps its previous value; None: the expectation ``ζ_h``.
        zoneout_c: ``[T, B, H]``, 1 where a cell keeps its previous value; None: the expectation ``ζ_c``.
        drop_h: ``[B, P]``, the factor on ``h⁻`` before ``R`` (0 or ``1 / (1 − rate)``), one draw a sequence.
        drop_g: ``[B, H]``, the factor on ``g`` in the cell's update, one draw a sequence.
    """

    zoneout_h: Array | None = None
    zoneout_c: Array | None = None
    drop_h: Array | None = None
    drop_g: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Tape:
    """Everything a forward pass leaves for the backward pass and for whoever wants to look inside.

    Attributes:
        x: input, ``[T, B, I]``.
        initial: the state before the first step.
        lengths: valid steps of each row, ``[B]``.
        reverse: whether time ran from the last valid step to the first.
        masks: the random draws.
        y: ``h`` of every step, ``[T, B, P]``.
        gates: activations of the cell's rows in the order i, f, g, o, ``[T, B, K]``.
        c: cell state, ``[T, B, H]``; None in an RNN.
        c_hat: the new cell state before zoneout; the same array as ``c`` where there is none.
        a: ``φ_out`` of the new cell state, ``[T, B, H]``; None in an RNN.
        normed: normalised values before gain and shift, ``[T, B, K + H]`` (RNN: ``[T, B, K]``); layer norm only.
        rstd: reciprocal standard deviations, one for each row part and the cell, ``[T, B, parts]``; layer norm only.
        final: the state after the last valid step.
    """

    x: Float[np.ndarray, "T B I"]
    initial: State
    lengths: Int[np.ndarray, " B"]
    reverse: bool
    masks: Masks
    y: Float[np.ndarray, "T B P"]
    gates: Float[np.ndarray, "T B K"]
    c: Float[np.ndarray, "T B H"] | None
    c_hat: Float[np.ndarray, "T B H"] | None
    a: Float[np.ndarray, "T B H"] | None
    normed: Float[np.ndarray, "T B U"] | None
    rstd: Float[np.ndarray, "T B V"] | None
    final: State


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What a backward pass gives: ``dx`` ``[T, B, I]``, the initial state's, and the parameters' by letter."""

    x: Float[np.ndarray, "T B I"]
    initial: State
    weights: dict[str, Array]
