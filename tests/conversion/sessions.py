"""Running ONNX models in ONNX Runtime, an implementation of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from peephole.artifact import Array
from peephole.spec import CellSpec, NetworkSpec, RecurrentSpec
from peephole.weights import module_shapes, network_shapes
from tests.tolerances import TOLERANCES

LENGTHS = ([5, 0, 2], [1], [7, 3])
"""Lengths of three batches, of three sizes and numbers of steps, that one and the same file is given."""


class Session:
    """A model in ONNX Runtime.

    Attributes:
        inputs: the names of what it takes.
        outputs: the names of what it gives.
    """

    def __init__(self, model: Any) -> None:
        content = model if isinstance(model, bytes) else model.SerializeToString()
        options = cast(Any, onnxruntime).SessionOptions()
        options.log_severity_level = 4  # what is refused is an exception too
        self._session = cast(Any, onnxruntime.InferenceSession)(content, options, providers=["CPUExecutionProvider"])
        self.inputs = [str(entry.name) for entry in self._session.get_inputs()]
        self.outputs = [str(entry.name) for entry in self._session.get_outputs()]

    @classmethod
    def of(cls, path: Path) -> Session:
        """The same from a file."""
        return cls(path.read_bytes())

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        given = {name: np.asarray(array) for name, array in inputs.items()}
        return dict(zip(self.outputs, cast("list[Array]", self._session.run(None, given)), strict=True))


def stack(cell: CellSpec, *, bidirectional: bool = False, num_layers: int = 1, bias: bool = True) -> RecurrentSpec:
    """A small stack, four inputs and six units."""
    return RecurrentSpec(
        cell=cell, input_size=4, hidden_size=6, num_layers=num_layers, bidirectional=bidirectional, bias=bias
    )


def weights_of(spec: RecurrentSpec | NetworkSpec, *, dtype: str = "float32", seed: int = 0) -> dict[str, Array]:
    """Random weights for a spec."""
    shapes = network_shapes(spec) if isinstance(spec, NetworkSpec) else module_shapes(spec)
    draw = np.random.default_rng(seed)
    return {name: draw.normal(scale=0.4, size=shape).astype(dtype) for name, shape in shapes.items()}


def noise(*shape: int, seed: int = 1, dtype: str = "float32") -> Array:
    """Normal noise."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def states_of(spec: RecurrentSpec, batch: int) -> dict[str, Array]:
    """An initial state under the names of the graph's inputs."""
    shape = (spec.num_layers * spec.num_directions, batch, spec.hidden_size)
    names = ("h_0",) if spec.cell.cell == "rnn" else ("h_0", "c_0")
    return {name: noise(*shape, seed=at) for at, name in enumerate(names, 7)}


def close(actual: Any, expected: Any, tolerance: str) -> None:
    """The two agree within the named tolerance, absolute and relative."""
    allowed = TOLERANCES[tolerance]
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=allowed, atol=allowed)
