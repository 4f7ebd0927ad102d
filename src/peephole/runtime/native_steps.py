"""Stepping a network by the compiled core: everything laid out once, then one call a step.

The core runs any number of layers one after the other. What it does not know stands between: a number's vector is
looked up, a layer's input is added to its output, a mean or maximum goes on. There the layers are parted, and NumPy
works from place to place without making an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, final

import numpy as np

from peephole.artifact import Array
from peephole.equations.perceptron import Layer
from peephole.equations.state import State
from peephole.kernels.stepper import DenseLayer, RecurrentLayer, Stepper
from peephole.runtime.layers import linear_layer, perceptron_layers
from peephole.runtime.steps import Steps
from peephole.spec import EmbeddingSpec, MLPSpec, NetworkSpec, RecurrentSpec
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
        self._parts: list[Callable[[], object]] = []
        self._layers: list[DenseLayer | RecurrentLayer] = []  # those that wait for a stepper
        self._at: np.ndarray[Any, Any] = self.x  # what they take
        self._input(network, weights)
        if isinstance(network.body, MLPSpec):
            self._layers += [self._dense(layer) for layer in perceptron_layers(network.body, weights, "body")]
        else:
            self._recurrent(network.body, weights)
        if self.running is not None:
            self._part(network.body.feature_size)
            self._parts.append(partial(self.running.take, self._at))
            self._at = self.running.seen
        self._layers.append(self._dense(linear_layer(weights, "head")))
        stepper = self._run_to(self.y)
        if len(self._parts) == 1:
            self.take = stepper.take

    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""
        for part in self._parts:
            part()

    def _run_to(self, y: Array) -> Stepper:
        """A stepper of the layers that wait, which writes to ``y``."""
        stepper = Stepper(self._layers, x=self._at, y=y)
        self._parts.append(stepper.advance)
        self._layers, self._at = [], y
        return stepper

    def _part(self, size: int) -> None:
        """Bring the features, of which there are ``size``, to a place where NumPy reaches them."""
        if self._layers:
            self._run_to(np.zeros((*self.y.shape[:-1], size), self.y.dtype))

    def _input(self, network: NetworkSpec, weights: Mapping[str, Array]) -> None:
        if network.input is None:
            return
        if not isinstance(network.input, EmbeddingSpec):
            self._layers.append(self._dense(linear_layer(weights, "input")))
            return
        W = np.ascontiguousarray(weights["input.weight"])
        self._at = np.zeros((*self.y.shape[:-1], W.shape[1]), W.dtype)
        # "clip" is the mode that writes to its place directly; whether a number is in range was looked at
        self._parts.append(partial(np.take, W, self.x, 0, self._at, "clip"))

    def _recurrent(self, body: RecurrentSpec, weights: Mapping[str, Array]) -> None:
        """One layer of the core for each: its ``h``, written in place, is the ``x`` of the next."""
        for layer in range(body.num_layers):
            if not body.adds_input(layer):
                self._layers.append(self._cell(body, weights, layer))
                continue
            self._part(body.feature_size)
            x = self._at
            self._layers.append(self._cell(body, weights, layer))
            self._part(body.feature_size)
            self._parts.append(partial(np.add, self._at, x, self._at))

    def _cell(self, body: RecurrentSpec, weights: Mapping[str, Array], layer: int) -> RecurrentLayer:
        # only what has the right dtype and order can be lent by its address
        buffers = {
            name: np.ascontiguousarray(array)
            for name, array in cell_weights(weights, body, layer, 0, prefix="body.").items()
        }
        for name, part in zip(State._fields, self.state, strict=True):
            if part is not None:
                buffers[f"{name}_n"] = part[layer]
        return RecurrentLayer(body.cell, self.rows, body.layer_input_size(layer), body.hidden_size, buffers)

    def _dense(self, layer: Layer) -> DenseLayer:
        size_out, size_in = layer.W.shape
        given = {"W": layer.W} if layer.b is None else {"W": layer.W, "b": layer.b}
        buffers = {name: np.ascontiguousarray(array) for name, array in given.items()}
        return DenseLayer(layer.activation, self.rows, size_in, size_out, buffers)
