"""Additive attention: for each step of the decoder, a mean of what the encoder said, weighted by how well it fits.

Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate" (2015), section 3.1;
placed behind the decoder as in Luong, Pham and Manning, "Effective approaches to attention-based neural machine
translation" (2015), section 3: the query is the decoder's output ``h_t`` of this step, not the state of the step
before. The context goes to the head beside ``h_t``, without the tanh layer of their eq. 5. With the right inputs known,
all steps of the decoder can then be run before the attention, which is one batched operation over all of them.

``T`` steps of the decoder, ``S`` steps of the encoder, ``A`` units of the attention, ``E`` features of the encoder::

    u_ts = tanh(W_q h_t + W_k s_s)            Bahdanau et al. A.1.2: e_ij = v_aᵀ tanh(W_a s_{i−1} + U_a h_j)
    e_ts = v · u_ts
    a_ts = exp(e_ts) / Σ_s' exp(e_ts')        eq. 6; over the valid steps of the source only, 0 elsewhere
    context_t = Σ_s a_ts s_s                  eq. 5

Backward::

    da_ts = dcontext_t · s_s [+ da_ts from outside]
    de_ts = a_ts (da_ts − Σ_s' a_ts' da_ts')
    du_ts = de_ts v                            dv   = Σ_ts de_ts u_ts
    dz_ts = du_ts ⊙ (1 − u_ts²)
    dW_q  = Σ_t (Σ_s dz_ts) h_tᵀ               dh_t = W_qᵀ Σ_s dz_ts
    dW_k  = Σ_s (Σ_t dz_ts) s_sᵀ               ds_s = W_kᵀ Σ_t dz_ts + Σ_t a_ts dcontext_t
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from peephole.equations.activations import Array
from peephole.shapes import Bool, Float, Int


class Attention(NamedTuple):
    """Parameters of the attention, or their gradients.

    Attributes:
        W_q: on the decoder's output, ``[A, P]``.
        W_k: on the encoder's outputs, ``[A, E]``.
        v: from the hidden layer to the score, ``[A]``.
    """

    W_q: Array
    W_k: Array
    v: Array


@dataclass(frozen=True, kw_only=True)
class AttentionTape:
    """What a forward pass leaves behind.

    Attributes:
        h: the queries.
        s: the encoder's outputs.
        u: the hidden layer.
        a: the weights; those of a query sum to 1, or are 0 where the source has no step.
        context: the weighted means.
    """

    h: Float[np.ndarray, "T B P"]
    s: Float[np.ndarray, "S B E"]
    u: Float[np.ndarray, "T B S A"]
    a: Float[np.ndarray, "T B S"]
    context: Float[np.ndarray, "T B E"]


class AttentionGradients(NamedTuple):
    """Gradients of the queries ``[T, B, P]``, of the encoder's outputs ``[S, B, E]``, and of the parameters."""

    h: Array
    s: Array
    weights: Attention


def attention_forward(
    weights: Attention,
    h: Float[np.ndarray, "T B P"],
    s: Float[np.ndarray, "S B E"],
    *,
    keys: Float[np.ndarray, "B S A"] | None = None,
    lengths: Int[np.ndarray, " B"] | None = None,
) -> AttentionTape:
    """Weights and contexts of every step of the decoder.

    Args:
        weights: parameters.
        h: outputs of the decoder.
        s: outputs of the encoder; what stands beyond a row's length must be finite and has no weight.
        keys: what :func:`attention_keys` gave, where the same source is looked at again and again.
        lengths: valid steps of each row of ``s``; all where None.
    """
    q = h @ weights.W_q.T
    k = attention_keys(weights, s) if keys is None else keys
    u = np.tanh(q[:, :, None, :] + k[None])
    e = u @ weights.v
    a = masked_softmax(e, counted_steps(lengths, s.shape[0], s.shape[1]))
    return AttentionTape(h=h, s=s, u=u, a=a, context=np.einsum("tbs,sbe->tbe", a, s))


def attention_keys(weights: Attention, s: Float[np.ndarray, "S B E"]) -> Float[np.ndarray, "B S A"]:
    """``W_k s_s`` of every step of the source."""
    return s.transpose(1, 0, 2) @ weights.W_k.T


def attention_backward(
    weights: Attention,
    tape: AttentionTape,
    dcontext: Float[np.ndarray, "T B E"],
    *,
    da: Float[np.ndarray, "T B S"] | None = None,
) -> AttentionGradients:
    """The error on the contexts, and on the weights where there is one, carried back (the lines above)."""
    a, u = tape.a, tape.u
    da_ts = np.einsum("tbe,sbe->tbs", dcontext, tape.s)
    if da is not None:
        da_ts = da_ts + da
    de = a * (da_ts - (a * da_ts).sum(axis=2, keepdims=True))
    dv = np.einsum("tbs,tbsa->a", de, u)
    dz = de[..., None] * weights.v * (1.0 - u * u)
    dq, dk = dz.sum(axis=2), dz.sum(axis=0)
    return AttentionGradients(
        h=dq @ weights.W_q,
        s=(dk @ weights.W_k).transpose(1, 0, 2) + np.einsum("tbs,tbe->sbe", a, dcontext),
        weights=Attention(W_q=np.einsum("tba,tbp->ap", dq, tape.h), W_k=np.einsum("bsa,sbe->ae", dk, tape.s), v=dv),
    )


def masked_softmax(e: Float[np.ndarray, "T B S"], valid: Bool[np.ndarray, "B S"]) -> Float[np.ndarray, "T B S"]:
    """The softmax over the valid steps, shifted so that nothing overflows; 0 where no step is valid."""
    scores = np.where(valid, e, -np.inf)
    highest = scores.max(axis=2, keepdims=True, initial=-np.inf)
    powers = np.exp(scores - np.where(np.isfinite(highest), highest, 0.0))
    return (powers / np.maximum(powers.sum(axis=2, keepdims=True), np.finfo(e.dtype).tiny)).astype(e.dtype)


def counted_steps(lengths: Int[np.ndarray, " B"] | None, steps: int, batch: int) -> Bool[np.ndarray, "B S"]:
    """Which steps of each row count: those before its end."""
    ends = np.full(batch, steps) if lengths is None else lengths
    return np.arange(steps) < ends[:, None]
