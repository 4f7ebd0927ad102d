"""Stepping a network by the equations in NumPy, for a machine without the compiled core and for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from peephole import kernels
from peephole.artifact import Array
from peephole.equations.state import State
from peephole.runtime.layers import dense, enter, linear_layer, perceptron_layers
from peephole.runtime.steps import Steps
from peephole.spec import MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import cell_weights


@final
class ReferenceSteps(Steps):
    """Steps of the equations: each is a sequence of one step, computed in float64 and rounded to the weights' dtype.

    Args:
        network: the network, not bidirectional.
        weights: its tensors, all of one dtype.
        batch: ``B``, or None for a single row whose arrays have no batch axis.
    """

    def __init__(self, network: NetworkSpec, weights: Mapping[str, Array], *, batch: int | None) -> None:
        super().__init__(network, weights, batch=batch)
        self._network = network
        self._weights = weights
        self._head = linear_layer(weights, "head")

    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""
        body = self._network.body
        x = enter(self._network.input, self._weights, self.x, backend="reference").reshape(self.rows, -1)
        features = self._perceptron(body, x) if isinstance(body, MLPSpec) else self._recurrent(body, x)
        if self.running is not None:
            self.running.take(features.reshape(self.running.seen.shape))
            features = self.running.seen.reshape(self.rows, -1)
        y = dense(self._head, features, backend="reference")
        np.copyto(self.y, y.reshape(self.y.shape))

    def _perceptron(self, body: MLPSpec, x: Array) -> Array:
        for layer in perceptron_layers(body, self._weights, "body"):
            x = dense(layer, x, backend="reference")
        return x

    def _recurrent(self, body: RecurrentSpec, x: Array) -> Array:
        for layer in range(body.num_layers):
            weights = cell_weights(self._weights, body, layer, 0, prefix="body.")
            h, c, r = self.state
            own = State(h[layer], None if c is None else c[layer], None if r is None else r[layer])
            new = kernels.forward(body.cell, weights, x[None], own, backend="reference").final
            for part, value in zip(own, new, strict=True):
                if part is not None and value is not None:
                    np.copyto(part, value)
            x = new.h + x if body.adds_input(layer) else new.h
        return x
