"""Stepping a network by the compiled core: one prepared call for each layer, on fixed addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast, final

import numpy as np

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.kernels import layout
from peephole.kernels.native import Dtype, address_of, core, run_dense_forward, run_forward
from peephole.runtime.steps import Steps
from peephole.spec import Activation, MLPSpec, NetworkSpec, RecurrentSpec
from peephole.weights import cell_weights


@final
class NativeSteps(Steps):
    """Prepared steps of the compiled core.

    Args:
        network: the network, not bidirectional.
        weights: its tensors, all of one dtype.
        batch: ``B``.

    Raises:
        BackendError: where the compiled core is missing or cannot be loaded.
    """

    def __init__(self, network: NetworkSpec, weights: Mapping[str, Array], *, batch: int) -> None:
        core()  # so that it is the making of a stream that fails, not its first step
        head = weights["head.weight"]
        super().__init__(network, dtype=head.dtype, batch=batch)
        self._kept: list[Array] = []  # what the addresses point to
        self._dtype: Dtype = cast("Dtype", str(head.dtype))
        if isinstance(network.body, MLPSpec):
            calls, features = self._perceptron(network.body, weights)
        else:
            calls, features = self._recurrent(network.body, weights)
        self._calls = (*calls, self._dense(features, self.y, head, weights["head.bias"], "identity"))

    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""
        for call in self._calls:
            call()

    def _perceptron(self, body: MLPSpec, weights: Mapping[str, Array]) -> tuple[list[Callable[[], None]], Array]:
        calls: list[Callable[[], None]] = []
        features = self.x
        for layer, width in enumerate(body.hidden_sizes):
            weight, bias = weights[f"body.weight_l{layer}"], weights.get(f"body.bias_l{layer}")
            y = np.zeros((len(features), width), features.dtype)
            calls.append(self._dense(features, y, weight, bias, body.activation))
            features = y
        return calls, features

    def _recurrent(self, body: RecurrentSpec, weights: Mapping[str, Array]) -> tuple[list[Callable[[], None]], Array]:
        """One call a layer: its ``h``, written in place, is the ``x`` of the next."""
        calls: list[Callable[[], None]] = []
        x = self.x
        for layer in range(body.num_layers):
            buffers = cell_weights(weights, body, layer, 0, prefix="body.")
            for name, part in zip(State._fields, self.state, strict=True):
                if part is not None:
                    buffers[f"{name}0"] = buffers[f"{name}_n"] = part[layer]
            sizes = layout.Sizes(T=1, B=len(x), I=x.shape[1], H=body.hidden_size)
            calls.append(partial(run_forward, body.cell, sizes, self._dtype, self._addresses({"x": x, **buffers})))
            x = self.state.h[layer]
        return calls, x

    def _dense(
        self, x: Array, y: Array, weight: Array, bias: Array | None, activation: Activation
    ) -> Callable[[], None]:
        buffers = {"W": weight, "x": x, "y": y} | ({} if bias is None else {"b": bias})
        sizes = (len(x), x.shape[1], len(weight))
        return partial(run_dense_forward, activation, sizes, self._dtype, self._addresses(buffers))

    def _addresses(self, buffers: Mapping[str, Array]) -> dict[str, int]:
        self._kept.extend(buffers.values())
        return {name: address_of(array) for name, array in buffers.items()}
