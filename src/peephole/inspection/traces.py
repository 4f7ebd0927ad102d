"""What every gate, cell and output of a saved network did over a sequence, as arrays; no torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from peephole import kernels
from peephole.equations import Tape, stack_forward
from peephole.errors import ArgumentError
from peephole.runtime.inputs import Values, as_numbers, as_whole_numbers, check_range
from peephole.runtime.layers import enter, part
from peephole.spec import CellSpec, EncoderDecoderSpec, NetworkSpec, RecurrentSpec
from peephole.weights import row_slices

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


def trace(model: Traceable, x: Values, *, layer: int = 0, direction: int = 0) -> dict[str, Array]:
    """Run one sequence from the state that the network begins with and keep everything that one layer did.

    Args:
        model: a recurrent network with its weights.
        x: ``[T, I]``, the input in the network's own (scaled) units; for an embedding whole numbers, ``[T]``.
        layer: the layer to look at, from 0.
        direction: 0 for the network that runs forward in time, 1 for the one that runs backward.

    Returns:
        Arrays by the glossary's letter, those of ``i f g o c h`` that the cell has: gates ``[T, N]`` in [0, 1]
        (a coupled forget gate is ``1 − i``), ``g`` and ``c`` ``[T, H]``, ``h`` ``[T, P]``. An RNN has ``h`` alone.

    Raises:
        ArgumentError: for a network that is not recurrent, a layer or direction it does not have, or an ``x`` of the
            wrong shape, or a whole number that the embedding does not have.
        ArgumentTypeError: for an ``x`` of no real numbers (for an embedding: no whole ones).
    """
    network = model.network
    if isinstance(network, EncoderDecoderSpec):
        raise ArgumentError("trace: the network must have one body (got an encoder-decoder, which has two)")
    body = network.body
    if not isinstance(body, RecurrentSpec):
        raise ArgumentError("trace: the network must be recurrent (got a multilayer perceptron, which has no gates)")
    if not (0 <= layer < body.num_layers and 0 <= direction < body.num_directions):
        raise ArgumentError(
            f"trace: the network has {body.num_layers} layer(s) and {body.num_directions} direction(s), counted from 0 "
            f"(got layer={layer}, direction={direction})"
        )
    features = _features(network, model.weights, x)[:, None, :]
    tapes = stack_forward(body, part(model.weights, "body"), features, forward=kernels.forward).cells
    return _by_letter(body.cell, body.hidden_size, tapes[layer * body.num_directions + direction])


def _features(network: NetworkSpec, weights: Mapping[str, Array], x: Values) -> Array:
    """What the body is given, ``[T, input_size]``."""
    size, vocabulary = network.input_size, network.vocabulary
    if vocabulary is not None:
        values = as_whole_numbers("trace: x", x)
        check_range("trace: x", values, vocabulary)
    else:
        values = as_numbers("trace: x", x, next(iter(weights.values())).dtype)
    features = () if size is None else (size,)
    if not values.size or values.shape[1:] != features:
        shape = ", ".join(["steps", *map(str, features)])
        raise ArgumentError(f"trace: x must have shape [{shape}] with at least one step (got {values.shape})")
    return enter(network.input, weights, values)


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
