"""``torch.func``: transforms of a layer, where torch's own layer has them and where it has not."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from peephole.nn import LSTM, MLP, LSTMCell, RNNCell
from peephole.spec import VARIANTS
from tests.nn.cases import close, gradients, layer, noise, tensors

func = cast(Any, torch.func)


def _loss(made: torch.nn.Module, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    return tensors(functional_call(made, parameters, (x,)))[0].square().sum()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_functional_gradient_is_that_of_backward(name: str) -> None:
    made = layer(name, bidirectional=True).eval()
    x = noise(5, 3, 4)
    parameters = {key: q.detach() for key, q in made.named_parameters()}

    def loss(own: dict[str, Tensor]) -> Tensor:
        return _loss(made, own, x)

    found = cast("dict[str, Tensor]", func.grad(loss)(parameters))
    expected = gradients(_loss(made, dict(made.named_parameters()), x), made.parameters())
    close(list(found.values()), expected, "nn_kernels_float64")


def test_gradients_of_every_sequence_by_itself() -> None:
    made = layer("peephole")
    x = noise(4, 5, 3, 4)
    parameters = {key: q.detach() for key, q in made.named_parameters()}

    def loss(own: dict[str, Tensor], one: Tensor) -> Tensor:
        return _loss(made, own, one)

    each = func.vmap(func.grad(loss), (None, 0))(parameters, x)
    for at in range(4):
        expected = gradients(_loss(made, dict(made.named_parameters()), x[at]), made.parameters())
        close([q[at] for q in each.values()], expected, "nn_kernels_float64")


def test_the_jacobian_is_that_of_autograd() -> None:
    made = layer("lstm")
    x = noise(3, 2, 4)

    def run(x: Tensor) -> Tensor:
        return tensors(made(x))[0]

    expected = cast(Any, torch.autograd.functional).jacobian(run, x)
    close(func.jacrev(run)(x), expected, "nn_kernels_float64")


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch of itself
def test_a_forward_derivative_is_the_backward_one() -> None:
    made = layer("peephole")
    x, direction = noise(3, 2, 4), noise(3, 2, 4, seed=2)

    def run(x: Tensor) -> Tensor:
        return tensors(made(x))[0].sum()

    _, along = func.jvp(run, (x,), (direction,))
    wanted = x.clone().requires_grad_()
    (expected,) = gradients(tensors(made(wanted))[0].sum(), [wanted])
    close(along, (expected * direction).sum(), "nn_kernels_float64")


def test_several_models_run_as_one() -> None:
    models = [LSTM(4, 6, dtype=torch.float64) for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    x = noise(5, 2, 4)

    def run(own: dict[str, Tensor], fixed: dict[str, Tensor]) -> Tensor:
        return tensors(functional_call(models[0], (own, fixed), (x,)))[0]

    together = func.vmap(run)(parameters, buffers)
    for at, model in enumerate(models):
        close(together[at], model(x)[0], "nn_kernels_float64")


def test_a_perceptron_is_transformed_too() -> None:
    made = MLP(3, (4,), dtype=torch.float64)
    x = noise(6, 3)
    parameters = {key: q.detach() for key, q in made.named_parameters()}

    def loss(own: dict[str, Tensor], one: Tensor) -> Tensor:
        return _loss(made, own, one)

    each = func.vmap(func.grad(loss), (None, 0))(parameters, x)
    summed = gradients(_loss(made, dict(made.named_parameters()), x), made.parameters())
    close([q.sum(0) for q in each.values()], summed, "nn_kernels_float64")


@pytest.mark.parametrize("made", [LSTMCell, RNNCell])
def test_several_cells_run_as_one(made: Any) -> None:
    cells: list[Any] = [made(4, 6, dtype=torch.float64) for _ in range(3)]
    parameters, _ = func.stack_module_state(cells)
    x = noise(2, 4)

    def run(own: dict[str, Tensor]) -> Any:
        return functional_call(cells[0], own, (x,))

    together = func.vmap(run)(parameters)
    for at, cell in enumerate(cells):
        close([q[at] for q in tensors(together)], tensors(cell(x)), "nn_kernels_float64")
