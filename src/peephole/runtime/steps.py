"""What a stream asks of the code that steps a network: fixed places for input, output and state, and to go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.kernels import layout
from peephole.runtime.running import Running
from peephole.spec import NetworkSpec, RecurrentSpec
from peephole.weights import learned_state


class Steps(ABC):
    """A network that is prepared to be stepped.

    The arrays are made once and stay where they are: whoever steps writes ``x``, calls :meth:`advance` and reads
    ``y``, and may read and write ``state`` in between. ``take`` is the short way, where the arrays at hand allow it.

    Args:
        network: the network, not bidirectional.
        weights: its tensors, all of one dtype, which is that of every array.
        batch: ``B``, or None for a single row whose input and output have no batch axis.

    Attributes:
        rows: ``B``, 1 for a single row.
        x: where the input goes, ``[B, I]`` or ``[I]``; for an embedding int64, ``[B]`` or ``[]``.
        y: where the output comes, ``[B, K]`` or ``[K]``.
        state: the state, every layer stacked: ``h`` ``[L, B, P]``, ``c`` ``[L, B, H]``, ``r`` ``[L, B, G]``, without
            the parts that the cell has not; at first the learned state, or zeros. The ``h`` of a perceptron is empty.
        running: the mean or maximum over the steps so far, where the head sees that.
    """

    rows: int
    x: np.ndarray[Any, Any]
    y: Array
    state: State
    running: Running | None

    def __init__(self, network: NetworkSpec, weights: Mapping[str, Array], *, batch: int | None) -> None:
        body, dtype = network.body, weights["head.weight"].dtype
        self.rows = 1 if batch is None else batch
        axes = () if batch is None else (batch,)
        size = network.input_size
        self.x = np.zeros(axes, np.int64) if size is None else np.zeros((*axes, size), dtype)
        self.y = np.zeros((*axes, network.output_size), dtype)
        recurrent = isinstance(body, RecurrentSpec)
        self.state = _zero_state(body, self.rows, dtype) if recurrent else State(np.zeros((0, self.rows, 0), dtype))
        readout, shape = network.readout, (*axes, body.feature_size)
        self.running = Running(readout, shape, dtype) if readout in ("mean", "max") else None
        self._begin = _learned_state(body, weights) if recurrent else []
        self.reset()
        self.take: Callable[[object, object], bool] = _takes_nothing
        """``take(x, y)``: step from ``x`` to ``y`` themselves, where they are arrays of the dtype, shape and order of
        the own ones. False, and nothing has happened, for anything else."""

    def reset(self) -> None:
        """Put the state, and what is kept beside it, back to what it was at first."""
        for part in self.state:
            if part is not None:
                part.fill(0)
        for layer, learned in enumerate(self._begin):
            for part, value in learned.items():
                getattr(self.state, part)[layer] = value
        for part in self.memory.values():
            part.fill(0)

    @property
    def memory(self) -> dict[str, np.ndarray[Any, Any]]:
        """What is kept between steps beside the state, by name, to be read and written; all zeros at first."""
        return {} if self.running is None else self.running.memory

    @abstractmethod
    def advance(self) -> None:
        """Take ``x``, write ``y``, and write the new state over the old."""


def _takes_nothing(_x: object, _y: object) -> bool:
    return False


def _learned_state(body: RecurrentSpec, weights: Mapping[str, Array]) -> list[dict[str, Array]]:
    """The learned state of every layer, empty where there is none."""
    return [learned_state(weights, body, layer, 0, prefix="body.") for layer in range(body.num_layers)]


def _zero_state(body: RecurrentSpec, batch: int, dtype: np.dtype[np.floating[Any]]) -> State:
    sizes = layout.Sizes(T=1, B=batch, I=body.input_size, H=body.hidden_size)
    shapes = layout.input_shapes(body.cell, sizes)

    def zeros(name: str) -> Array | None:
        return np.zeros((body.num_layers, *shapes[name]), dtype) if name in shapes else None

    h = np.zeros((body.num_layers, *shapes["h0"]), dtype)
    return State(h, zeros("c0"), zeros("r0"))
