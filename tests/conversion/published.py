"""The test cases that ONNX publishes for its operators LSTM and RNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from unittest import mock

import numpy as np
import onnx
from onnx.backend.test.case.node import lstm, rnn

from peephole.artifact import Array

OPSET = 22


class Published(NamedTuple):
    """One case: a node with its inputs and the outputs that it must give, both by the operator's names."""

    node: Any
    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def model(self) -> Any:
        """The node in a graph whose one input is ``X``; everything else is a constant."""
        helper, convert = cast(Any, onnx.helper), cast(Any, onnx.numpy_helper)
        given = [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, self.inputs["X"].shape)]
        made = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, q.shape) for name, q in self.outputs.items()
        ]
        constants = [convert.from_array(array, name) for name, array in self.inputs.items() if name != "X"]
        graph = helper.make_graph([self.node], "published", given, made, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _collect() -> dict[str, Published]:
    found: dict[str, Published] = {}

    def keep(node: Any, *, inputs: Sequence[Array], outputs: Sequence[Array], name: str) -> None:
        names = [[each for each in kind if each] for kind in (node.input, node.output)]
        given, made = (dict(zip(*pair, strict=True)) for pair in zip(names, (inputs, outputs), strict=True))
        found[name] = Published(node, given, made)

    cast(Any, np.random).seed(0)  # one case draws its weights
    for module, cases in ((lstm, lstm.LSTM), (rnn, rnn.RNN)):
        with mock.patch.object(module, "expect", keep):
            for name in dir(cases):
                if name.startswith("export_"):
                    getattr(cases, name)()
    return found


PUBLISHED = _collect()
"""Every case by its name."""
