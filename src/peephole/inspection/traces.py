"""What every gate, cell and output of a saved network did over a sequence, as arrays; no torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from peephole import kernels
from peephole.equations import Tape
from peephole.equations.composition import initial_state
from peephole.errors import ArgumentError
from peephole.spec import CellSpec, EncoderDecoderSpec, NetworkSpec, RecurrentSpec
from peephole.weights import cell_weights, row_slices

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Traceable(Protocol):
    """A network with its tensors: a model of :func:`peephole.runtime.load`, or an artifact."""

    @property
    def network(self) -> NetworkSpec | EncoderDecoderSpec:
        """What the network is made of."""
        ...

    @property
    def weights(self) -> Mapping[str, Array]:
        """Its tensors by the names of :func:`peephole.weights.network_shapes`."""
        ...


def trace(model: Traceable, x: Array, *, layer: int = 0, direction: int = 0) -> dict[str, Array]:
    """Run one sequence from the state that the network begins with and keep everything that one layer did.

    Args:
        model: a recurrent network with its weights.
        x: ``[T, I]``, the input in the network's own (scaled) units.
        layer: the layer to look at, from 0.
        direction: 0 for the network that runs forward in time, 1 for the one that runs backward.

    Returns:
        Arrays by the glossary's letter, those of ``i f g o c h`` that the cell has: gates ``[T, N]`` in [0, 1]
        (a coupled forget gate is ``1 − i``), ``g`` and ``c`` ``[T, H]``, ``h`` ``[T, P]``. An RNN has ``h`` alone.

    Raises:
        ArgumentError: for a network that is not recurrent, a layer or direction it does not have, or an ``x`` of the
            wrong shape.
    """
    if isinstance(model.network, EncoderDecoderSpec):
        raise ArgumentError("trace: the network must have one body (got an encoder-decoder, which has two)")
    body = model.network.body
    if not isinstance(body, RecurrentSpec):
        raise ArgumentError("trace: the network must be recurrent (got a multilayer perceptron, which has no gates)")
    if not (0 <= layer < body.num_layers and 0 <= direction < body.num_directions):
        raise ArgumentError(
            f"trace: the network has {body.num_layers} layer(s) and {body.num_directions} direction(s), counted from 0 "
            f"(got layer={layer}, direction={direction})"
        )
    if x.ndim != 2 or x.shape[1] != body.input_size or not len(x):
        raise ArgumentError(f"trace: x must have shape [steps, {body.input_size}] (got {x.shape})")
    dtype = next(iter(model.weights.values())).dtype
    signal: Array = np.asarray(x, dtype=dtype)[:, None, :]
    for below in range(layer):
        signal = np.concatenate(
            [_run(body, model.weights, signal, below, side).y for side in range(body.num_directions)], axis=-1
        )
    return _by_letter(body.cell, body.hidden_size, _run(body, model.weights, signal, layer, direction))


def _run(body: RecurrentSpec, weights: Mapping[str, Array], x: Array, layer: int, direction: int) -> Tape:
    by_letter = cell_weights(weights, body, layer, direction, prefix="body.")
    state = initial_state(body, weights, layer, direction, batch=x.shape[1], prefix="body.")
    return kernels.forward(body.cell, by_letter, x, state, reverse=direction == 1)


def _by_letter(cell: CellSpec, hidden_size: int, tape: Tape) -> dict[str, Array]:
    if cell.cell == "rnn":
        return {"h": tape.y[:, 0]}
    traces = {letter: tape.gates[:, 0, rows] for letter, rows in row_slices(cell, hidden_size).items()}
    if cell.coupled:
        traces["f"] = 1 - traces["i"]
    if tape.c is not None:
        traces["c"] = tape.c[:, 0]
    traces["h"] = tape.y[:, 0]
    return {letter: traces[letter] for letter in "ifgoch" if letter in traces}
