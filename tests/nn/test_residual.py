"""A residual stack is its layers one by one, each with its input added."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import LSTM, RNN, cudnn
from tests.nn.cases import close, gradients, noise, set_seed, total

LAYERS = 3


def stack(kind: type[LSTM | RNN], *, input_size: int = 4, dropout: float = 0.0, **options: Any) -> LSTM | RNN:
    set_seed(0)
    return kind(input_size, 4, LAYERS, dropout=dropout, residual=True, dtype=torch.float64, **options)


def one_by_one(made: LSTM | RNN, x: Tensor, lengths: Any = None) -> Tensor:
    """The stack's layers as layers of their own, its input added where the sizes fit, dropout between them."""
    if lengths is not None:
        within = torch.arange(x.shape[0])[:, None] < torch.tensor(lengths)
        x = x.where(within[..., None], 0)
    for layer in range(LAYERS):
        if layer and made.dropout:
            x = F.dropout(x, made.dropout)
        with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
            single = type(made)(x.shape[-1], 4, bidirectional=made.bidirectional, dtype=x.dtype, variant=made.spec.cell)
        own = {name: made.get_parameter(name.replace("_l0", f"_l{layer}")) for name in single.state_dict()}
        single.load_state_dict(own)
        h = single(x, lengths=lengths)[0]
        x = h + x if h.shape == x.shape else h
    return x


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]], ids=["whole", "ragged"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (LSTM, {}),
        (LSTM, {"input_size": 3, "variant": "peephole"}),
        (LSTM, {"input_size": 8, "bidirectional": True}),
        (RNN, {"bidirectional": True}),
    ],
    ids=str,
)
def test_a_stack_is_its_layers_with_their_inputs_added(kind: Any, options: dict[str, Any], lengths: Any) -> None:
    made = stack(kind, **options)
    x = noise(5, 3, made.input_size, gradient=True)
    expected, got = one_by_one(made, x, lengths), made(x, lengths=lengths)[0]
    close(got, expected, "nn_order_of_sums")
    close(gradients(total(got), [x]), gradients(total(expected), [x]), "nn_kernels_float64")
    if lengths is not None:
        assert not any(got[length:, row].any() for row, length in enumerate(lengths))


def test_nothing_in_the_padding_is_added() -> None:
    made = stack(LSTM)
    x = noise(5, 3, 4)
    x[3:, 1] = torch.nan
    y = made(x, lengths=[5, 3, 5])[0]
    assert not y[3:, 1].any()
    assert bool(y.isfinite().all())


def test_dropout_comes_after_the_addition() -> None:
    made = stack(LSTM, dropout=0.5).train()
    x = noise(5, 3, 4)
    set_seed(3)
    got = made(x)[0]
    set_seed(3)
    close(got, one_by_one(made, x), "nn_order_of_sums")
    close(made.eval()(x)[0], stack(LSTM)(x)[0], "nn_same_bits")


def test_the_states_are_the_cells_own() -> None:
    made = stack(LSTM)
    assert isinstance(made, LSTM)
    x = noise(5, 3, 4)
    output, (h_n, _), states = made(x, return_states=True)
    close(states.h[:, -1], h_n, "nn_same_bits")
    close(x + states.h.sum(0), output, "nn_order_of_sums")


def test_cudnn_which_adds_nothing_between_layers_does_not_get_it() -> None:
    assert cudnn.mode(LSTM(4, 4, 2).spec) == "LSTM"
    assert cudnn.mode(stack(LSTM).spec) is None


def test_residual_that_would_add_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"which no layer has here \(got 3 features in and 4 out"):
        LSTM(3, 4, residual=True)
    with pytest.raises(ArgumentTypeError, match="RNN: residual must be True or False"):
        RNN(4, 4, residual=1)  # pyright: ignore[reportArgumentType]
    assert "residual=True" in repr(stack(LSTM))
