"""Losses and gradients that are not finite: where they begin and what helps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast, final

import torch
from torch import Tensor

from peephole.errors import PeepholeError
from peephole.training.batches import Batch
from peephole.training.losses import Objective


@final
class DivergedError(PeepholeError, ArithmeticError):
    """The loss or the gradient is not finite; training was stopped before it reached the weights."""


def diverged(
    what: str,
    module: torch.nn.Module,
    objective: Objective,
    batch: Batch,
    *,
    step: int,
    epoch: int,
    learning_rate: float,
) -> DivergedError:
    """The error for a loss or a gradient (``what``) that is not finite, with the step, the layer and advice."""
    place = _where(module, objective, batch)
    return DivergedError(
        f"training: {what} is not finite at step {step} (epoch {epoch}); it begins in {place[0]}; {place[1]}"
        f"{f' or lower learning_rate (got {learning_rate:g})' if place[2] else ''}"
    )


def _where(module: torch.nn.Module, objective: Objective, batch: Batch) -> tuple[str, str, bool]:
    for name, tensor in (("inputs", batch.inputs), ("targets", batch.targets)):
        if not _finite(tensor):
            return f"the {name} of the batch", "look for NaN or infinite values in the data", False
    for name, parameter in module.named_parameters():
        if not _finite(parameter):
            return f"the weights {name!r}", "start again from weights that are finite", True
    layer = _first_output(module, objective, batch)
    if layer is not None:
        return f"the outputs of layer {layer!r}", "scale the data, clip the gradient with clip_norm", True
    for name, parameter in reversed(list(module.named_parameters())):
        if parameter.grad is not None and not _finite(parameter.grad):
            return f"the gradient of {name!r}", "clip the gradient with clip_norm, scale the data", True
    return "the loss itself", "scale the data", True


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _first_output(module: torch.nn.Module, objective: Objective, batch: Batch) -> str | None:
    """Name of the first layer whose outputs are not finite when the batch is run again."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(_module: torch.nn.Module, _inputs: object, output: object) -> None:
            first = cast("tuple[object, ...]", output)[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and not _finite(first):
                found.append(name)

        return look

    parts = cast("Iterable[tuple[str, Any]]", module.named_modules())
    handles: list[Any] = [part.register_forward_hook(watch(name)) for name, part in parts if name]
    try:
        with torch.no_grad():
            objective(module, batch)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
