"""The perceptron: 000 eq. 1-14, fully and partially connected."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from peephole.nn import MLP
from peephole.spec import ACTIVATIONS, Activation, MLPSpec
from peephole.weights import mlp_shapes
from tests.nn.cases import carry_back, close, gradients_are_right, noise, set_seed, total

TORCH: dict[str, Any] = {
    "tanh": torch.nn.Tanh,
    "logistic": torch.nn.Sigmoid,
    "relu": torch.nn.ReLU,
    "identity": torch.nn.Identity,
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_equals_torch_forward_and_backward(activation: Activation, bias: bool) -> None:
    set_seed(0)
    ours = MLP(4, (6, 3), activation, bias=bias, dtype=torch.float64)
    set_seed(0)
    phi = TORCH[activation]
    linear = [torch.nn.Linear(a, b, bias=bias, dtype=torch.float64) for a, b in ((4, 6), (6, 3))]
    theirs = torch.nn.Sequential(linear[0], phi(), linear[1], phi())
    x = noise(5, 3, 4, gradient=True)
    expected, actual = theirs(x), ours(x)
    close(actual, expected, "nn_torch_float64")
    close(
        torch.autograd.grad(total(actual), [x, *ours.parameters()]),
        torch.autograd.grad(total(expected), [x, *theirs.parameters()]),
        "nn_torch_float64",
    )


def test_parameters_have_the_names_of_the_artifact() -> None:
    spec = MLPSpec(input_size=4, hidden_sizes=(6, 3))
    assert {name: tuple(q.shape) for name, q in MLP(4, (6, 3)).named_parameters()} == mlp_shapes(spec)
    assert list(MLP(4, (6, 3)).state_dict()) == list(mlp_shapes(spec))


def _partial() -> tuple[MLP, Tensor]:
    set_seed(0)
    mask = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]])
    return MLP(4, (3, 2), dtype=torch.float64, masks=[mask, None]), mask


def test_a_connection_that_is_not_there_carries_nothing_and_never_learns() -> None:
    made, mask = _partial()
    weight = cast(Tensor, made.weight_l0)
    assert not bool(weight[mask == 0].any())
    with torch.no_grad():
        weight.fill_(1.0)  # as a careless loader would
    x = noise(5, 4, gradient=True)
    z = x @ mask.double().t() + cast(Tensor, made.bias_l0)
    close(
        made(x),
        torch.tanh(torch.tanh(z) @ cast(Tensor, made.weight_l1).t() + cast(Tensor, made.bias_l1)),
        "nn_torch_float64",
    )
    carry_back(made(x).sum())
    assert weight.grad is not None
    assert not bool(weight.grad[mask == 0].any())
    assert bool(weight.grad[mask == 1].all())
    assert gradients_are_right(made, (x,))


def test_masks_travel_with_the_state_dict_and_with_copies() -> None:
    made, mask = _partial()
    assert "mask_l0" in made.state_dict()
    assert "mask_l1" not in made.state_dict()
    again = copy.deepcopy(made)
    x = noise(5, 4)
    close(again(x), made(x), "nn_same_bits")
    loaded = MLP(4, (3, 2), dtype=torch.float64, masks=[torch.ones(3, 4), None])
    loaded.load_state_dict(made.state_dict())
    assert torch.equal(cast(Tensor, loaded.mask(0)), mask.double())
    close(loaded(x), made(x), "nn_same_bits")


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 5, 4), (0, 4)])
def test_any_axes_before_the_features(shape: tuple[int, ...]) -> None:
    set_seed(0)
    made = MLP(4, (6, 3), dtype=torch.float64)
    assert made(noise(*shape)).shape == (*shape[:-1], 3)


def test_representation() -> None:
    assert repr(MLP(4, (3, 2), "relu", bias=False)) == "MLP(4, (3, 2), activation='relu', bias=False)"
    assert "masked layers=[0]" in repr(_partial()[0])
