"""Reading an ONNX graph: which tensor is a constant, who makes it and who reads it."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, final

import numpy as np

from peephole.conversion.onnx_graph import onnx_package
from peephole.errors import ArtifactError

# What moves numbers about and computes none: weights that an exporter laid out in the graph are constants all the same.
_MOVES = frozenset(
    {"Identity", "Unsqueeze", "Squeeze", "Concat", "Slice", "Split", "Transpose", "Reshape", "Expand", "Gather"}
)


def read_model(source: str | os.PathLike[str] | Any, owner: str) -> Any:
    """An ``onnx.ModelProto``: the one that was given, or the one in a file.

    Raises:
        ArtifactError: where there is no file, or none that is ONNX.
        MissingDependencyError: where ``onnx`` is not installed.
    """
    onnx = onnx_package(owner)
    if isinstance(source, onnx.ModelProto):
        return source
    path = Path(cast("str | os.PathLike[str]", source))
    decode_error = cast("type[Exception]", importlib.import_module("google.protobuf.message").DecodeError)
    try:
        model = onnx.load(path)
    except (OSError, decode_error, onnx.checker.ValidationError, ValueError) as error:
        raise ArtifactError(
            f"{owner}: {path} cannot be read as ONNX ({error}); give the path of an .onnx file"
        ) from error
    if not model.graph.node:
        raise ArtifactError(f"{owner}: {path} holds no graph; give the path of an .onnx file")
    return model


@final
class Source:
    """The main graph of a model, indexed.

    Args:
        model: an ``onnx.ModelProto``.
        owner: who is named in errors.

    Attributes:
        nodes: its nodes, in their order.
    """

    def __init__(self, model: Any, owner: str) -> None:
        self._onnx = onnx_package(owner)
        self._owner = owner
        self._model = model
        graph = model.graph
        self.nodes: list[Any] = list(graph.node)
        self._initializers = {entry.name: entry for entry in graph.initializer}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._uses = Counter(name for node in self.nodes for name in node.input if name)
        self._uses.update(entry.name for entry in graph.output)

    def attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node as Python values, texts as str."""
        values = {entry.name: self._onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        return {name: _as_text(value) for name, value in values.items()}

    def maker(self, tensor: str) -> Any | None:
        """The node that makes a tensor, or None for an input or a constant of the graph."""
        return self._makers.get(tensor)

    def is_read_once(self, tensor: str) -> bool:
        """Whether one node alone reads the tensor, and it is no output of the graph."""
        return self._uses[tensor] == 1

    def constant(self, tensor: str) -> np.ndarray[Any, Any] | None:
        """The value of a tensor that is the same in every call, or None.

        Raises:
            ArtifactError: where the file says the size of a tensor and holds another one.
        """
        if tensor in self._initializers:
            try:
                return cast("np.ndarray[Any, Any]", self._onnx.numpy_helper.to_array(self._initializers[tensor]))
            except (ValueError, TypeError) as error:
                raise ArtifactError(f"{self._owner}: the tensor {tensor!r} cannot be read ({error})") from error
        node = self._makers.get(tensor)
        if node is None or (node.op_type not in _MOVES and node.op_type != "Constant"):
            return None
        read = [name for name in node.input if name]
        inputs = {name: self.constant(name) for name in read}
        if any(value is None for value in inputs.values()):
            return None
        return self._evaluate(node, inputs)[tensor]

    def spread(self, tensor: str) -> np.ndarray[Any, Any] | None:
        """The constant ``[count, 1, size]`` whose rows the tensor has for each sequence of a batch, or None."""
        node = self._makers.get(tensor)
        if node is None:
            return None
        if node.op_type == "Expand":
            rows = self.constant(node.input[0])
            return rows if rows is not None and rows.ndim == 3 and rows.shape[1] == 1 else None
        if node.op_type != "Split" or len(node.input) < 2 or self.attributes(node).get("axis", 0) != 0:
            return None
        whole, sizes = self.spread(node.input[0]), self.constant(node.input[1])
        if whole is None or sizes is None:
            return None
        return np.split(whole, np.cumsum(sizes)[:-1])[list(node.output).index(tensor)]

    def _evaluate(self, node: Any, inputs: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        helper = self._onnx.helper
        graph = helper.make_graph(
            [node],
            "constant",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(q.dtype), None)
                for name, q in inputs.items()
            ],
            [helper.make_value_info(name, self._onnx.TypeProto()) for name in node.output],
        )
        model = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(model)
        return dict(zip(node.output, evaluator.run(None, inputs), strict=True))

    def within(self, operators: frozenset[str]) -> Iterator[str]:
        """Where such operators stand inside of other nodes (an ``If``, a ``Loop``) or of functions."""
        for node in self.nodes:
            for entry in node.attribute:
                if any(_holds(graph, operators) for graph in (entry.g, *entry.graphs)):
                    yield f"the {entry.name} of {node.op_type} {node.name or node.output[0]!r}"
        for function in self._model.functions:
            if _holds(function, operators):
                yield f"the function {function.name!r}"


def _holds(graph: Any, operators: frozenset[str]) -> bool:
    """Whether such an operator stands anywhere in a graph."""
    return any(
        node.op_type in operators
        or any(_holds(inner, operators) for entry in node.attribute for inner in (entry.g, *entry.graphs))
        for node in graph.node
    )


def _as_text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_as_text(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value
