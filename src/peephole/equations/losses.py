"""What a network is scored by, with the gradient on the scores (000 eq. 5, 001).

Every function takes a batch ``[B, K]`` and returns the loss summed over it, and its gradient ``[B, K]``.
"""

import numpy as np

from peephole.equations.activations import logistic
from peephole.shapes import Float, Int


def squared_error(
    y: Float[np.ndarray, "B K"], target: Float[np.ndarray, "B K"]
) -> tuple[float, Float[np.ndarray, "B K"]]:
    """``½ Σ (y − s)²`` (000 eq. 5)."""
    difference = y - target
    return 0.5 * float((difference * difference).sum()), difference


def softmax(scores: Float[np.ndarray, "B K"]) -> Float[np.ndarray, "B K"]:
    """``e^{s_k} / Σ_j e^{s_j}``, shifted by the largest score so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def softmax_cross_entropy(
    scores: Float[np.ndarray, "B K"], target: Float[np.ndarray, "B K"]
) -> tuple[float, Float[np.ndarray, "B K"]]:
    """``−Σ t log y`` with ``y = softmax(s)`` and targets that sum to one (001). The gradient is ``y − t``."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float((target * log_y).sum()), np.exp(log_y) - target


def logistic_cross_entropy(
    scores: Float[np.ndarray, "B K"], target: Float[np.ndarray, "B K"]
) -> tuple[float, Float[np.ndarray, "B K"]]:
    """``−Σ t log y + (1 − t) log(1 − y)`` with ``y = σ(s)``, one independent decision a unit."""
    loss = np.maximum(scores, 0.0) - scores * target + np.log1p(np.exp(-np.abs(scores)))
    return float(loss.sum()), logistic(scores) - target


def multiclass_hinge(
    scores: Float[np.ndarray, "B K"], target: Int[np.ndarray, " B"]
) -> tuple[float, Float[np.ndarray, "B K"]]:
    """``Σ_{j≠y} max(0, 1 + s_j − s_y)`` (001); ``target`` holds the class ``y`` of each row."""
    rows = np.arange(len(scores))
    margins = 1.0 + scores - scores[rows, target][:, None]
    margins[rows, target] = 0.0
    violated = (margins > 0).astype(scores.dtype)
    violated[rows, target] = -violated.sum(axis=1)
    return float(np.maximum(margins, 0.0).sum()), violated
