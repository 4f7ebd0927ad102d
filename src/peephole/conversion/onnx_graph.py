"""Writing an ONNX graph: nodes, constants, inputs and outputs as they come, tensors known by their names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from peephole import files
from peephole.errors import ArgumentError, ArtifactError, MissingDependencyError
from peephole.version import VERSION

OPSET = 14
"""The version of the operators: the LSTM's of 2021, so that older programs read the file too."""

IR_VERSION = 8
"""The version of the format itself."""

INT32 = 6
"""``TensorProto.INT32``, what the recurrent operators want lengths to be."""

Shape = Sequence[int | str]
"""Sizes; a name in a size's place is a size that each call may choose."""


def onnx_package(owner: str) -> Any:
    """The package ``onnx``, imported when it is needed.

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        onnx = importlib.import_module("onnx")
        importlib.import_module("onnx.checker")
        importlib.import_module("onnx.helper")
        importlib.import_module("onnx.numpy_helper")
    except ImportError as error:
        raise MissingDependencyError(
            f"{owner}: reading and writing ONNX needs onnx, which is not installed; pip install peephole[onnx]"
        ) from error
    return onnx


@final
class Graph:
    """A graph while it is made.

    Args:
        owner: who is named in errors.
        dtype: of all inputs, constants and outputs that are floating.
    """

    def __init__(self, owner: str, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._onnx = onnx_package(owner)
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any] | None = None,
    ) -> str:
        """Add a node, named as its first output, and give that output's name."""
        name = next(output for output in outputs if output)
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, name, **(attributes or {})))
        return name

    def has(self, tensor: str) -> bool:
        """Whether a node gives a tensor of this name already."""
        return any(tensor in node.output for node in self._nodes)

    def constant(self, name: str, values: np.ndarray[Any, Any] | Sequence[int] | int | float) -> str:
        """Add an array, in the graph's dtype where it is floating, or whole numbers as int64; give its name."""
        array = np.asarray(values)
        array = array.astype(self.dtype if array.dtype.kind == "f" else np.int64, order="C")
        self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def floating(self, tensor: str, name: str) -> str:
        """The tensor in the graph's dtype, as ``name``."""
        to = self._onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        return self.node("Cast", [tensor], [name], {"to": to})

    def input(self, name: str, shape: Shape, *, whole: bool = False) -> str:
        """Add an input, of int64 where ``whole``; give its name."""
        self._inputs.append(self._value(name, shape, np.dtype(np.int64) if whole else self.dtype))
        return name

    def output(self, name: str, tensor: str, shape: Shape) -> None:
        """Make a node's output one of the graph's, called ``name`` from now on."""
        for node in self._nodes:
            for names in (node.input, node.output):
                for at, known in enumerate(names):
                    if known == tensor:
                        names[at] = name
        self._outputs.append(self._value(name, shape, self.dtype))

    def model(self, name: str, metadata: Mapping[str, str]) -> Any:
        """The finished ``ModelProto``."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._constants.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="peephole",
            producer_version=VERSION,
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _value(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> Any:
        helper = self._onnx.helper
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), list(shape))


def write_model(path: str | os.PathLike[str], model: Any, *, owner: str = "write_model") -> None:
    """Check a model and write it; what was at ``path`` is replaced by the whole file or not at all.

    Args:
        path: the file, usually ``*.onnx``; its folder must exist.
        model: an ``onnx.ModelProto``.
        owner: who is named in errors.

    Raises:
        ArgumentError: where the model breaks a rule of ONNX, or the folder does not exist.
        ArtifactError: where the file cannot be written.
        MissingDependencyError: where ``onnx`` is not installed.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import onnx_export, onnx_graph
        >>> stack = spec.body_spec("peephole", 3, num_layers=2)
        >>> zeros = {name: np.zeros(shape, "float32") for name, shape in weights.module_shapes(stack).items()}
        >>> onnx_graph.write_model("layer.onnx", onnx_export.layer_model(stack, zeros))
    """
    onnx = onnx_package(owner)
    target = Path(path)
    if not target.parent.is_dir():
        raise ArgumentError(f"{owner}: the folder of path must exist (got {target}); make it first")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ArgumentError(f"{owner}: the graph is no valid ONNX ({error})") from error
    try:
        with files.replacing(target) as temporary:
            temporary.write_bytes(model.SerializeToString())
    except OSError as error:
        raise ArtifactError(f"{owner}: {target} cannot be written ({error.strerror or error})") from error
