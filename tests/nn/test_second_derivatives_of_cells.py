"""Second derivatives, as PyTorch's own tests ask for them of its layers and cells on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.nn.beside import CELLS, KINDS, hx_of, pair
from tests.nn.cases import close, gradients_are_right, noise, tensors, total


@pytest.fixture(autouse=True)
def _torch_operations(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """On torch operations, which can be differentiated as often as torch can."""
    monkeypatch.setenv("PEEPHOLE_BACKEND", "reference")


def _small(kind: str) -> Tensor:
    return noise(*((2, 3) if kind in CELLS else (2, 2, 3)), gradient=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_second_derivative_is_that_of_finite_differences(kind: str, bias: bool) -> None:
    _, ours = pair(kind, 3, 2, bias=bias)
    names = [name for name, _ in ours.named_parameters()]
    hx = hx_of(ours, 2, gradient=True)
    states = tensors(hx)

    def run(x: Tensor, *rest: Tensor) -> Any:
        state, weights = rest[: len(states)], dict(zip(names, rest[len(states) :], strict=True))
        return tuple(
            tensors(torch.func.functional_call(ours, weights, (x, state if isinstance(hx, tuple) else state[0])))
        )

    assert gradients_are_right(run, [_small(kind), *states, *ours.parameters()], twice=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_gradient_is_torchs(kind: str) -> None:
    found: list[list[Tensor]] = []
    for made in pair(kind, 3, 2):
        x = _small(kind)
        wanted = [x, *made.parameters()]
        first = torch.autograd.grad(total(made(x)), wanted, create_graph=True)
        penalty = torch.stack([q.square().sum() for q in first]).sum()
        found.append(list(torch.autograd.grad(penalty, wanted)))
    close(found[1], found[0], "nn_torch_float64")


@pytest.mark.parametrize("kind", KINDS)
def test_functional_transforms_give_what_autograd_gives(kind: str) -> None:
    _, ours = pair(kind, 3, 2)
    x, weights = _small(kind), {name: q.detach() for name, q in ours.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        results = tensors(torch.func.functional_call(ours, weights, (x,)))
        return torch.stack([q.square().sum() for q in results]).sum()

    found = torch.func.grad(loss)(weights, x)
    expected = torch.autograd.grad(loss(dict(ours.named_parameters()), x), list(ours.parameters()))
    close(list(found.values()), list(expected), "nn_torch_float64")
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, torch.stack([x, 2 * x]).detach())
    close([q[0] for q in each.values()], list(expected), "nn_torch_float64")
