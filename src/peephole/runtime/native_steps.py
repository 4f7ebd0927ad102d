"""Stepping a network by the compiled core: everything laid out once, then one call a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.kernels.stepper import DenseLayer, RecurrentLayer, Stepper
from peephole.runtime.steps import Steps
from peephole.spec import Activation, MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import cell_weights


@final
class NativeSteps(Steps):
    """Prepared steps of the compiled core, by the instruction set that is in use when they are prepared.

    Args:
        network: the network, not bidirectional.
        weights: its tensors, all of one dtype.
        batch: ``B``, or None for a single row whose arrays have no batch axis.

    Raises:
        BackendError: where the compiled core is missing or cannot be loaded.
    """

    def __init__(self, network: NetworkSpec, weights: Mapping[str, Array], *, batch: int | None) -> None:
        super().__init__(network, weights, batch=batch)
        body = network.body
        layers = self._perceptron(body, weights) if isinstance(body, MLPSpec) else self._recurrent(body, weights)
        layers.append(self._dense(weights["head.weight"], weights["head.bias"], "identity"))
        self._stepper = Stepper(layers, x=self.x, y=self.y)
        self.take = self._stepper.take

    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""
        self._stepper.advance()

    def _perceptron(self, body: MLPSpec, weights: Mapping[str, Array]) -> list[DenseLayer | RecurrentLayer]:
        return [
            self._dense(weights[f"body.weight_l{layer}"], weights.get(f"body.bias_l{layer}"), body.activation)
            for layer in range(len(body.hidden_sizes))
        ]

    def _recurrent(self, body: RecurrentSpec, weights: Mapping[str, Array]) -> list[DenseLayer | RecurrentLayer]:
        """One layer of the core for each: its ``h``, written in place, is the ``x`` of the next."""
        layers: list[DenseLayer | RecurrentLayer] = []
        for layer in range(body.num_layers):
            # only what has the right dtype and order can be lent by its address
            buffers = {
                name: np.ascontiguousarray(array)
                for name, array in cell_weights(weights, body, layer, 0, prefix="body.").items()
            }
            for name, part in zip(State._fields, self.state, strict=True):
                if part is not None:
                    buffers[f"{name}_n"] = part[layer]
            layers.append(RecurrentLayer(body.cell, self.rows, body.layer_input_size(layer), body.hidden_size, buffers))
        return layers

    def _dense(self, weight: Array, bias: Array | None, activation: Activation) -> DenseLayer:
        buffers = {"W": np.ascontiguousarray(weight)} | ({} if bias is None else {"b": np.ascontiguousarray(bias)})
        return DenseLayer(activation, self.rows, weight.shape[1], weight.shape[0], buffers)
