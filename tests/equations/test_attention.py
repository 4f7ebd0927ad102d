"""Additive attention: its gradient is the derivative, torch computes the same, and padding changes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from peephole.equations.activations import Array
from peephole.equations.attention import Attention, attention_backward, attention_forward, attention_keys
from peephole.equations.gradcheck import compare, difference
from peephole.nn import AdditiveAttention
from tests.tolerances import TOLERANCES

LENGTHS = np.array([4, 1, 0])


class Problem(NamedTuple):
    """Parameters, queries and outputs of an encoder, and the errors that come back."""

    weights: Attention
    h: Array
    s: Array
    dcontext: Array
    da: Array


def problem() -> Problem:
    rng = np.random.default_rng(0)
    T, B, S, P, E, A = 2, 3, 4, 3, 2, 5

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape)

    weights = Attention(W_q=draw(A, P), W_k=draw(A, E), v=draw(A))
    return Problem(weights, draw(T, B, P), draw(S, B, E), draw(T, B, E), draw(T, B, S))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradient_of_attention_equals_central_difference(lengths: Array | None) -> None:
    weights, h, s, dcontext, da = problem()
    gradients = attention_backward(weights, attention_forward(weights, h, s, lengths=lengths), dcontext, da=da)

    def value() -> float:
        tape = attention_forward(weights, h, s, lengths=lengths)
        return float((dcontext * tape.context).sum() + (da * tape.a).sum())

    analytic = {"h": gradients.h, "s": gradients.s, **gradients.weights._asdict()}
    for name, variable in {"h": h, "s": s, **weights._asdict()}.items():
        comparison = compare(name, analytic[name], difference(value, variable))
        assert comparison.relative_error <= TOLERANCES["gradient_check"], comparison


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_torch_computes_the_equations_and_their_gradient(lengths: Array | None) -> None:
    weights, h, s, dcontext, da = problem()
    tape = attention_forward(weights, h, s, lengths=lengths)
    gradients = attention_backward(weights, tape, dcontext, da=da)
    module = AdditiveAttention(3, 2, 5, dtype=torch.float64)
    named = {"weight_query": weights.W_q, "weight_key": weights.W_k, "weight_score": weights.v}
    module.load_state_dict({name: torch.tensor(q) for name, q in named.items()})
    query, memory = (torch.tensor(q).requires_grad_() for q in (h, s))
    valid = None if lengths is None else torch.tensor(np.arange(4)[:, None] < lengths)
    context, a = module(query, memory, valid=valid)
    loss: Any = (torch.tensor(dcontext) * context).sum() + (torch.tensor(da) * a).sum()
    loss.backward()
    ours = [tape.context, tape.a, gradients.h, gradients.s, *gradients.weights]
    theirs: list[Any] = [context, a, query.grad, memory.grad, *(q.grad for q in module.parameters())]
    for one, other in zip(ours, theirs, strict=True):
        found = other.detach().numpy()
        np.testing.assert_allclose(one, found, rtol=0, atol=TOLERANCES["attention_float64"])


def test_weights_are_a_mean_over_the_valid_steps_and_what_is_behind_has_none() -> None:
    weights, h, s, _, _ = problem()
    tape = attention_forward(weights, h, s, lengths=LENGTHS)
    np.testing.assert_allclose(tape.a.sum(axis=2)[:, :2], 1.0, rtol=0, atol=TOLERANCES["same_sum_in_another_order"])
    assert not tape.a[:, 1, 1:].any()
    assert not tape.a[:, 2].any()
    assert not tape.context[:, 2].any()
    behind = s.copy()
    behind[1:, 1], behind[:, 2] = 1e300, -1e300
    assert attention_forward(weights, h, behind, lengths=LENGTHS).context.tobytes() == tape.context.tobytes()


def test_keys_at_hand_change_nothing() -> None:
    weights, h, s, _, _ = problem()
    keys = attention_keys(weights, s)
    ours, theirs = attention_forward(weights, h, s, keys=keys), attention_forward(weights, h, s)
    assert ours.context.tobytes() == theirs.context.tobytes()


def test_large_scores_overflow_nowhere() -> None:
    weights, h, s, _, _ = problem()
    tape = attention_forward(weights._replace(v=1e300 * weights.v), h, s, lengths=LENGTHS)
    assert np.isfinite(tape.a).all()
