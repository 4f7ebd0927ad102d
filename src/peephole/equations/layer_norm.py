"""Layer normalisation (Ba et al. 2016), the part without gain and shift.

::

    n  = (z − mean z) · rstd        rstd = 1 / √(var z + ε)
    dz = rstd · (dn − mean dn − n · mean(dn ⊙ n))

Means run over the units of one row; ``ε = 1e-5``.
"""

import numpy as np

from peephole.shapes import Float

EPSILON = 1e-5


def normalise(z: Float[np.ndarray, "B U"]) -> tuple[Float[np.ndarray, "B U"], Float[np.ndarray, " B"]]:
    """``n`` and ``rstd``."""
    centred = z - z.mean(axis=1, keepdims=True)
    rstd = 1.0 / np.sqrt((centred * centred).mean(axis=1) + EPSILON)
    return centred * rstd[:, None], rstd


def normalise_backward(
    n: Float[np.ndarray, "B U"], rstd: Float[np.ndarray, " B"], dn: Float[np.ndarray, "B U"]
) -> Float[np.ndarray, "B U"]:
    """``dz`` from the error on ``n``."""
    mean = dn.mean(axis=1, keepdims=True)
    along = (dn * n).mean(axis=1, keepdims=True)
    return rstd[:, None] * (dn - mean - n * along)
