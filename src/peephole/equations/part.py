"""One ``z_k`` on its way to its activation: ``y = φ(z)``, or ``y = φ(gain ⊙ n + shift)`` with layer norm.

Gates, candidate and the cell before ``φ_out`` all pass through here, so that layer norm is written once.
"""

from typing import NamedTuple

import numpy as np

from peephole.equations.activations import FUNCTIONS, Array
from peephole.equations.layer_norm import normalise, normalise_backward
from peephole.shapes import Float
from peephole.spec import Activation


class Part(NamedTuple):
    """What is kept of one part: its activation ``y``, and with layer norm ``n`` ``[B, U]`` and ``rstd`` ``[B]``."""

    y: Array
    n: Array | None = None
    rstd: Array | None = None


class PartErrors(NamedTuple):
    """``dz`` ``[B, U]``, and with layer norm the gradients of gain and shift, ``[U]``."""

    z: Array
    gain: Array | None = None
    shift: Array | None = None


class Norm(NamedTuple):
    """Gain and shift of one part, ``[U]`` each."""

    gain: Array
    shift: Array


def part_forward(z: Float[np.ndarray, "B U"], activation: Activation, norm: Norm | None) -> Part:
    """``φ(z)``, normalised first where the cell has layer norm (Ba et al. 2016)."""
    phi = FUNCTIONS[activation].value
    if norm is None:
        return Part(phi(z))
    n, rstd = normalise(z)
    return Part(phi(norm.gain * n + norm.shift), n, rstd)


def part_backward(part: Part, dy: Float[np.ndarray, "B U"], activation: Activation, norm: Norm | None) -> PartErrors:
    """The error on ``y`` carried to ``z``: ``dz = dy ⊙ φ'(z)``, through the normalisation where there is one."""
    dz = dy * FUNCTIONS[activation].slope(part.y)
    if norm is None or part.n is None or part.rstd is None:
        return PartErrors(dz)
    return PartErrors(
        z=normalise_backward(part.n, part.rstd, dz * norm.gain),
        gain=(dz * part.n).sum(axis=0),
        shift=dz.sum(axis=0),
    )
