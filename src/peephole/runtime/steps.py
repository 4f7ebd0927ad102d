"""What a stream asks of the code that steps a network: fixed places for input, output and state, and to go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.kernels import layout
from peephole.spec import NetworkSpec, RecurrentSpec


class Steps(ABC):
    """A network that is prepared to be stepped.

    The arrays are made once and stay where they are: whoever steps writes ``x``, calls :meth:`advance` and reads
    ``y``, and may read and write ``state`` in between.

    Args:
        network: the network, not bidirectional.
        dtype: of every array.
        batch: ``B``.

    Attributes:
        x: where the input goes, ``[B, I]``.
        y: where the output comes, ``[B, K]``.
        state: the state, every layer stacked: ``h`` ``[L, B, P]``, ``c`` ``[L, B, H]``, ``r`` ``[L, B, G]``, without
            the parts that the cell has not; zeros at first. The ``h`` of a perceptron is empty.
    """

    x: Array
    y: Array
    state: State

    def __init__(self, network: NetworkSpec, *, dtype: np.dtype[np.floating[Any]], batch: int) -> None:
        body = network.body
        self.x = np.zeros((batch, body.input_size), dtype)
        self.y = np.zeros((batch, network.output_size), dtype)
        recurrent = isinstance(body, RecurrentSpec)
        self.state = _zero_state(body, batch, dtype) if recurrent else State(np.zeros((0, batch, 0), dtype))

    @abstractmethod
    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""


def _zero_state(body: RecurrentSpec, batch: int, dtype: np.dtype[np.floating[Any]]) -> State:
    sizes = layout.Sizes(T=1, B=batch, I=body.input_size, H=body.hidden_size)
    shapes = layout.input_shapes(body.cell, sizes)

    def zeros(name: str) -> Array | None:
        return np.zeros((body.num_layers, *shapes[name]), dtype) if name in shapes else None

    h = np.zeros((body.num_layers, *shapes["h0"]), dtype)
    return State(h, zeros("c0"), zeros("r0"))
