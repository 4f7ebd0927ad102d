"""The networks that are compared: every one a layer of ``hidden`` units and a linear head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast, final

import torch
from torch import Tensor
from torch.nn import Linear, Module, init

from benchmarks.variants.tasks import Task
from peephole import nn
from peephole.weights import row_slices

Maker = Callable[[int, int, int], Module]
"""From the features of a step, the hidden units and the steps that a perceptron sees to a layer."""


@final
class Learner(Module):
    """A layer and a linear head, at every step or at the last valid one.

    Args:
        layer: gives ``[T, B, hidden]``.
        hidden: what the layer gives.
        task: what is to be learnt.
    """

    def __init__(self, layer: Module, hidden: int, task: Task) -> None:
        super().__init__()
        self.layer = layer
        self.head = Linear(hidden, task.outputs)
        self.every_step = task.every_step

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits ``[T, B, outputs]``, or ``[B, outputs]`` where the whole sequence has one class."""
        if isinstance(self.layer, (nn.LSTM, nn.RNN)):
            h = self.layer(x, lengths=lengths)[0]
        elif isinstance(self.layer, nn.MLP):
            h = self.layer(windows(x, self.layer.spec.input_size // x.shape[2]))
        else:  # torch's own: from the left to the right, padding at the end changes no valid step
            h = cast("tuple[Tensor, object]", self.layer(x))[0]
        return self.head(h if self.every_step else h[lengths - 1, torch.arange(len(lengths))])


def windows(x: Tensor, steps: int) -> Tensor:
    """The last ``steps`` steps side by side, ``[T, B, steps · I]``; zeros before the beginning."""
    padded = torch.cat([x.new_zeros((steps - 1, *x.shape[1:])), x])
    return padded.unfold(0, steps, 1).flatten(2)


def _lstm(name: str) -> Maker:
    def make(features: int, hidden: int, _window: int) -> Module:
        return nn.LSTM(features, hidden, variant=name)

    return make


def _forget_bias_1(features: int, hidden: int, _window: int) -> Module:
    """The plain cell with 1 added to the bias of the forget gate (Jozefowicz et al. 2015)."""
    layer = nn.LSTM(features, hidden)
    with torch.no_grad():
        layer.get_parameter("bias_ih_l0")[row_slices(layer.spec.cell, hidden)["f"]] += 1.0
    return layer


def _irnn(features: int, hidden: int, _window: int) -> Module:
    """Rectified units that begin as an identity (Le et al. 2015)."""
    layer = nn.RNN(features, hidden, variant="rnn_relu")
    init.eye_(layer.get_parameter("weight_hh_l0"))
    init.normal_(layer.get_parameter("weight_ih_l0"), std=0.001)
    init.zeros_(layer.get_parameter("bias_ih_l0"))
    init.zeros_(layer.get_parameter("bias_hh_l0"))
    return layer


def weights_of(module: Module) -> int:
    """How many weights there are to learn."""
    return sum(parameter.numel() for parameter in module.parameters())


def _as_many_weights(features: int, hidden: int, _window: int) -> Module:
    """A simple recurrent layer of so many units that it has as many weights as the LSTM, or just under."""
    wanted, units = weights_of(nn.LSTM(features, hidden)), hidden
    while (units + 1) * (features + units + 3) <= wanted:
        units += 1
    return nn.RNN(features, units)


def _rnn(features: int, hidden: int, _window: int) -> Module:
    return nn.RNN(features, hidden)


def _mlp(features: int, hidden: int, window: int) -> Module:
    return nn.MLP(features * window, (hidden,))


def _torch_lstm(features: int, hidden: int, _window: int) -> Module:
    return torch.nn.LSTM(features, hidden)


def _torch_gru(features: int, hidden: int, _window: int) -> Module:
    return torch.nn.GRU(features, hidden)


_PLAIN = (
    "lstm",
    "peephole",
    "coupled",
    "coupled_peephole",
    "full_gate_recurrence",
    "no_forget_gate",
    "no_input_gate",
    "no_output_gate",
    "no_input_activation",
    "no_output_activation",
    "layer_norm",
    "zoneout",
    "lstm1997",
)
NETWORKS: Mapping[str, Maker] = MappingProxyType(
    {name: _lstm(name) for name in _PLAIN}
    | {
        "lstm, forget bias 1": _forget_bias_1,
        "rnn": _rnn,
        "rnn, as many weights": _as_many_weights,
        "rnn_relu, identity": _irnn,
        "mlp": _mlp,
        "torch.nn.LSTM": _torch_lstm,
        "torch.nn.GRU": _torch_gru,
    }
)
"""By name; what has no name in ``peephole.spec.VARIANTS`` is written as a reader would."""


def build(name: str, task: Task, features: int) -> Learner:
    """The network called ``name`` for a task, drawn from torch's generator."""
    layer = NETWORKS[name](features, task.hidden, task.window)
    units = layer.hidden_size if isinstance(layer, nn.RNN) else task.hidden
    return Learner(layer, units, task)
