"""Gradients of gradients are exact: those of finite differences, and of torch where torch has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from peephole.errors import BackendError
from peephole.nn import LSTM, MLP, RNN
from peephole.spec import VARIANTS
from tests.nn.cases import carry_back, close, gradients_are_right, layer, noise, set_seed, state_of, tensors

EXACT = [
    name
    for name, one in VARIANTS.items()
    if not one.spec.truncated and one.spec.input_activation != "relu"  # whose corner has no derivative to compare with
]
TRUNCATED = [name for name, one in VARIANTS.items() if one.spec.truncated]


def _of_parameters(made: LSTM | RNN, **arguments: Any) -> tuple[Callable[..., Any], list[Tensor]]:
    """The layer as a function of its parameters and of input and state."""
    names = [name for name, _ in made.named_parameters()]

    def run(x: Tensor, *rest: Tensor) -> list[Tensor]:
        set_seed(42)  # the same masks in every evaluation
        parameters, state = rest[: len(names)], rest[len(names) :]
        hx: Any = state[0] if isinstance(made, RNN) else tuple(state)
        return tensors(functional_call(made, dict(zip(names, parameters, strict=True)), (x, hx), arguments))

    values = [q.detach().clone().requires_grad_() for q in made.parameters()]
    return run, values


@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize("name", EXACT)
def test_second_derivatives_are_those_of_finite_differences(name: str, training: bool) -> None:
    made = layer(name, input_size=2, hidden_size=4).train(training)
    run, parameters = _of_parameters(made, lengths=[2, 1], return_states=True)
    state = [q.requires_grad_() for q in tensors(state_of(made, 2))]
    assert gradients_are_right(run, [noise(2, 2, 2, gradient=True), *parameters, *state], twice=True)


def test_second_derivatives_of_stacked_bidirectional_blocks() -> None:
    made = layer(
        "peephole", input_size=2, hidden_size=4, num_layers=2, bidirectional=True, cells_per_block=2, proj_size=1
    )
    run, parameters = _of_parameters(made)
    state = [q.requires_grad_() for q in tensors(state_of(made, 1))]
    assert gradients_are_right(run, [noise(2, 1, 2, gradient=True), *parameters, *state], twice=True)


@pytest.mark.parametrize("power", [1, 2], ids=["constant error", "varying error"])
def test_a_gradient_penalty_is_that_of_torch(power: int) -> None:
    theirs = torch.nn.LSTM(4, 6, 2, bidirectional=True, dtype=torch.float64)
    ours = LSTM(4, 6, 2, bidirectional=True, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    found: list[list[Tensor]] = []
    for made in (theirs, ours):
        x = noise(5, 3, 4).transpose(0, 1).requires_grad_()  # not dense: what is copied must stay in the graph
        output = cast("tuple[Tensor, Any]", made(x))[0]
        (first,) = torch.autograd.grad(output.pow(power).sum(), x, create_graph=True)
        found.append([first, *torch.autograd.grad(first.square().sum(), [x, *made.parameters()])])
    close(found[1], found[0], "nn_torch_float64")


def test_third_derivatives_are_those_of_torch() -> None:
    theirs = torch.nn.LSTM(2, 3, dtype=torch.float64)
    ours = LSTM(2, 3, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    found: list[Tensor] = []
    for made in (theirs, ours):
        x = noise(3, 1, 2, gradient=True)
        value = cast("tuple[Tensor, Any]", made(x))[0].pow(3).sum()
        for _ in range(3):
            (first,) = torch.autograd.grad(value, x, create_graph=True)
            value = first.square().sum()
        found.append(value)
    close(found[1], found[0], "nn_torch_float64")


def test_an_input_made_from_a_weight_counts_once_for_each() -> None:
    theirs = torch.nn.LSTM(3, 3, bias=False, dtype=torch.float64)
    ours = LSTM(3, 3, bias=False, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    found: list[Tensor] = []
    for made in (theirs, ours):
        weight = cast(Tensor, made.weight_hh_l0)
        x = weight[:4].square().unsqueeze(1)
        output = cast("tuple[Tensor, Any]", made(x))[0]
        (first,) = torch.autograd.grad(output.square().sum(), weight, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), weight)[0])
    close(found[1], found[0], "nn_torch_float64")


def test_second_derivatives_of_a_perceptron() -> None:
    made = MLP(3, (4, 2), "logistic", dtype=torch.float64, masks=[torch.eye(4, 3), None])
    names = [name for name, _ in made.named_parameters()]
    parameters = [q.detach().clone().requires_grad_() for q in made.parameters()]

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return cast(Tensor, functional_call(made, dict(zip(names, values, strict=True)), (x,)))

    assert gradients_are_right(run, [noise(2, 3, gradient=True), *parameters], twice=True)


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_truncated_error_has_no_second_derivative(name: str) -> None:
    x = noise(3, 2, 4, gradient=True)
    output = tensors(layer(name)(x))[0]
    with pytest.raises(BackendError, match="not the gradient of any function"):
        torch.autograd.grad(output.sum(), x, create_graph=True)
    carry_back(tensors(layer(name)(x))[0].sum())
