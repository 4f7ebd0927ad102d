"""One line of work as tensors: our layer, its input and the error that comes back, the same for everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from peephole import nn
from peephole.bench.grid import Case
from peephole.runtime import Stream
from peephole.spec import NetworkSpec, RecurrentSpec

_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What everyone is given.

    Attributes:
        case: the line.
        layer: our layer, whose weights the others take.
        head: the linear layer behind it; only in a step.
        x: ``[T, B, I]``; asks for a gradient where the case wants ``dx``.
        dy: ``[T, B, P]``, the error of the output; 0 behind the end of a sequence.
        lengths: ``[B]`` int64, or None where every sequence has all steps.
    """

    case: Case
    layer: nn.LSTM
    head: torch.nn.Linear
    x: Tensor
    dy: Tensor
    lengths: Tensor | None

    @property
    def rows(self) -> int:
        """Steps of all sequences together."""
        return self.x.shape[0] * self.x.shape[1] if self.lengths is None else int(self.lengths.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """Someone who does the work.

    Attributes:
        call: does it once; this is what is timed.
        output: does it once and gives the output ``[T, B, P]`` (of a step ``[B, 1]``); steps behind the end of a
            sequence may hold anything.
        gradients: those of the last call, by the names of our layer's parameters, and ``x``.
        pool: whose threads it works on.
    """

    call: Callable[[], object]
    output: Callable[[], Tensor]
    gradients: Callable[[], dict[str, Tensor]] = field(default=lambda: {})
    pool: str = "openmp"


def make_problem(case: Case) -> Problem:
    """Random weights, inputs and errors, the same at every call."""
    dtype = torch.float64 if case.dtype == "float64" else torch.float32
    H, B, T = case.shape
    draw = torch.Generator().manual_seed(_SEED)
    layer, head = nn.LSTM(H, H, variant=case.cell, dtype=dtype).train(case.trains), torch.nn.Linear(H, 1, dtype=dtype)
    with torch.no_grad():
        for name, weight in (*layer.named_parameters(), *head.named_parameters()):
            middle = weight.clone() if name.startswith("norm_") else torch.zeros_like(weight)
            weight.uniform_(-1, 1, generator=draw).div_(H**0.5).add_(middle)
    x = torch.randn(T, B, H, generator=draw, dtype=dtype).requires_grad_(case.work == "training")
    dy = torch.randn(T, B, case.proj_size or H, generator=draw, dtype=dtype)
    lengths = _lengths(B, T, draw) if case.ragged else None
    if lengths is not None:
        dy = dy * (torch.arange(T)[:, None] < lengths)[..., None]
    return Problem(case=case, layer=layer, head=head, x=x, dy=dy, lengths=lengths)


def our_layer(problem: Problem) -> Entrant:
    """Our layer, or our stream where the work is a step."""
    if problem.case.work == "step":
        return _our_stream(problem)
    layer, x, lengths = problem.layer, problem.x, problem.lengths
    return module_entrant(problem, layer, x, problem.dy, lambda: layer(x, lengths=lengths)[0])


def our_plain_cell(problem: Problem) -> Entrant:
    """Our layer with the plain cell; it computes another function."""
    H = problem.case.shape.hidden
    plain = nn.LSTM(H, H, dtype=problem.x.dtype).train(problem.case.trains)
    return module_entrant(problem, plain, problem.x, problem.dy, lambda: plain(problem.x)[0])


def our_unpadded(problem: Problem) -> Entrant:
    """Our layer on a batch of as many steps without padding: every sequence of the mean length."""
    layer, B = problem.layer, problem.x.shape[1]
    steps = problem.rows // B
    x = problem.x.detach()[:steps].clone().requires_grad_(problem.x.requires_grad)
    dy = problem.dy[:steps].clone()
    return module_entrant(problem, layer, x, dy, lambda: layer(x)[0])


def module_entrant(
    problem: Problem, module: torch.nn.Module, x: Tensor, dy: Tensor, forward: Callable[[], Tensor]
) -> Entrant:
    """A torch module that names its parameters as ours does.

    Args:
        problem: the work.
        module: whose parameters get gradients.
        x: what ``forward`` reads.
        dy: the error of what ``forward`` gives.
        forward: gives the output.
    """
    leaves = {**dict(module.named_parameters()), **({"x": x} if x.requires_grad else {})}
    call = pass_over(problem, list(leaves.values()), dy, forward)
    return Entrant(call=call, output=call, gradients=lambda: gradients_of(leaves))


def pass_over(
    problem: Problem, leaves: list[Tensor], dy: Tensor, forward: Callable[[], Tensor]
) -> Callable[[], Tensor]:
    """The forward pass without a graph, or forward and backward with the gradients begun anew."""

    def inference() -> Tensor:
        with torch.no_grad():
            return forward()

    def training() -> Tensor:
        for leaf in leaves:
            leaf.grad = None
        y = forward()
        cast(Any, y).backward(dy)
        return y.detach()

    return training if problem.case.trains else inference


def gradients_of(leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients that the last pass left, by name."""
    return {name: leaf.grad.clone() for name, leaf in leaves.items() if leaf.grad is not None}


def network_of(problem: Problem) -> tuple[NetworkSpec, dict[str, np.ndarray[Any, Any]]]:
    """Layer and head as a network of the runtime, with its weights."""
    H = problem.case.shape.hidden
    body = RecurrentSpec(cell=problem.case.cell, input_size=H, hidden_size=H)
    named = {f"body.{name}": weight for name, weight in problem.layer.named_parameters()}
    named |= {"head.weight": problem.head.weight, "head.bias": problem.head.bias}
    return NetworkSpec(body=body, output_size=1), {name: weight.detach().numpy() for name, weight in named.items()}


def _our_stream(problem: Problem) -> Entrant:
    network, weights = network_of(problem)
    stream = Stream(network, weights, sha256="", batch_size=problem.case.shape.batch)
    x = problem.x[0].numpy()
    y = np.empty((problem.case.shape.batch, 1), x.dtype)
    return Entrant(call=lambda: stream.step(x, y), output=lambda: torch.as_tensor(stream.step(x)))


def _lengths(batch: int, longest: int, draw: torch.Generator) -> Tensor:
    """Lengths uniform in 1 to ``longest``; the longest is cut so that their mean is a whole number."""
    lengths = torch.randint(1, longest + 1, (batch,), generator=draw)
    rest = int(lengths.sum()) % batch
    place = int(lengths.argmax())
    lengths[place] -= min(rest, int(lengths[place]) - 1)
    return lengths
