"""The recurrent layers of an ONNX model as specs and NumPy arrays.

A node ``LSTM`` or ``RNN`` becomes a layer, and nodes that follow each other with nothing between but what lays two
directions side by side become one stack. What a node does that our cells do not is refused by name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from peephole.artifact import Array
from peephole.conversion.onnx_operator import FUNCTIONS, module_arrays
from peephole.conversion.onnx_source import Source, read_model
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import Activation, CellSpec, RecurrentSpec
from peephole.weights import module_shapes, suffix

Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]

_OWNER = "load_onnx"
_OPERATORS = frozenset({"LSTM", "RNN"})
_INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
_STATES = {"LSTM": ("initial_h", "initial_c"), "RNN": ("initial_h",)}
_BLOCKS = {"LSTM": {"W": 4, "R": 4, "B": 8, "P": 3}, "RNN": {"W": 1, "R": 1, "B": 2}}
_ATTRIBUTES = frozenset(
    {"hidden_size", "direction", "input_forget", "layout", "activations", "activation_alpha", "activation_beta"}
    | {"output_sequence"}  # of 2016: whether Y is wanted
)
_OURS: Mapping[str, Activation] = {theirs.lower(): ours for ours, theirs in FUNCTIONS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxLayer:
    """A stack of recurrent layers as it stands in an ONNX model.

    Attributes:
        nodes: the nodes it was read from, first layer first: for each name the inputs of the operator that no
            constant gives (``X``, ``sequence_lens``, ``initial_h``, ``initial_c``) and the tensors that do.
        spec: the stack.
        weights: its arrays under the names of :func:`peephole.weights.module_shapes`.
        batch_first: whether the nodes read ``[B, T, I]`` (``layout = 1``).
        state: the initial state where constants give it, ``(h_0,)`` or ``(h_0, c_0)``, each
            ``[layers x directions, B, H]``; else None.
        lengths: ``sequence_lens`` where a constant gives it, ``[B]``; else None.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import onnx_export, onnx_import
        >>> stack = spec.body_spec("peephole", 3, num_layers=2)
        >>> zeros = {name: np.zeros(shape, "float32") for name, shape in weights.module_shapes(stack).items()}
        >>> (layer,) = onnx_import.read_layers(onnx_export.layer_model(stack, zeros))
        >>> layer.spec.num_layers, len(layer.nodes), layer.state, layer.lengths
        (2, 2, None, None)
    """

    nodes: Mapping[str, Mapping[str, str]]
    spec: RecurrentSpec
    weights: Mapping[str, Array]
    batch_first: bool
    state: tuple[Array, ...] | None
    lengths: Integers | None


def read_layers(source: str | os.PathLike[str] | Any, *, node: str | None = None) -> list[OnnxLayer]:
    """The recurrent layers of an ONNX model.

    Args:
        source: a file, or an ``onnx.ModelProto``.
        node: the name of one node (or of its first output, where it has none) to read alone; all where None.

    Returns:
        The layers in the order of the graph; a node of its own is a stack of one layer.

    Raises:
        ArgumentError: where there is no such node, or for what our cells cannot do, by name: the direction
            ``reverse`` alone, ``clip``, other activations, weights that the graph computes or that are not finite,
            nodes inside of others.
        ArgumentTypeError: for weights that are neither float32 nor float64.
        ArtifactError: where the file is not ONNX, or not all of it.
        MissingDependencyError: where ``onnx`` is not installed.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import onnx_export, onnx_import
        >>> stack = spec.body_spec("peephole", 3, num_layers=2)
        >>> zeros = {name: np.zeros(shape, "float32") for name, shape in weights.module_shapes(stack).items()}
        >>> (layer,) = onnx_import.read_layers(onnx_export.layer_model(stack, zeros))
        >>> layer.spec == stack, layer.weights["weight_peephole_l1"].shape
        (True, (3, 32))
    """
    graph = Source(read_model(source, _OWNER), _OWNER)
    found = [each for each in graph.nodes if each.op_type in _OPERATORS and each.domain in ("", "ai.onnx")]
    if node is None:
        hidden = next(graph.within(_OPERATORS), None)
        if hidden is not None:
            raise ArgumentError(f"{_OWNER}: nodes must stand in the main graph (got one in {hidden}); inline it first")
    else:
        found = [each for each in found if node in (each.name, _first_output(each))]
        if len(found) > 1:
            raise ArgumentError(
                f"{_OWNER}: node must be the name of one node (got {node!r}, which {len(found)} have); "
                f"name its first output, such as {_first_output(found[0])!r}"
            )
    if not found:
        there = sorted({each.op_type for each in graph.nodes})
        wanted = "an LSTM or RNN node" if node is None else f"an LSTM or RNN node called {node!r}"
        raise ArgumentError(f"{_OWNER}: the graph must have {wanted} (got {', '.join(there)})")
    named = Counter(each.name for each in found)
    names = [each.name if named[each.name] == 1 and each.name else _first_output(each) for each in found]
    return _joined(graph, [(each, _read(graph, each, name)) for each, name in zip(found, names, strict=True)])


def _first_output(node: Any) -> str:
    return next((name for name in node.output if name), "")


def _name(node: Any) -> str:
    return cast(str, node.name or _first_output(node))


def _refuse(node: Any, what: str) -> ArgumentError:
    return ArgumentError(f"{_OWNER}: {node.op_type} node {_name(node)!r}: {what}")


def _read(graph: Source, node: Any, name: str) -> OnnxLayer:
    """One node as a stack of one layer."""
    attributes = graph.attributes(node)
    named = {of: tensor for of, tensor in zip(_INPUTS[node.op_type], node.input, strict=False) if tensor}
    constants = {of: graph.constant(tensor) for of, tensor in named.items() if of != "X"}
    arrays = _arrays(node, constants, attributes)
    (directions, _, size), hidden_size = arrays["W"].shape, arrays["R"].shape[2]
    batch_first = attributes.get("layout", 0) == 1
    learned = {} if batch_first else _learned(graph, node, named, (directions, 1, hidden_size))
    spec = RecurrentSpec(
        cell=_cell(node, attributes, peepholes="P" in arrays, directions=directions),
        input_size=size,
        hidden_size=hidden_size,
        bidirectional=directions == 2,
        bias="B" in arrays,
        learned_state=bool(learned),
    )
    weights = module_arrays(spec.cell, arrays, 0)
    for part, rows in learned.items():
        weights |= {f"{part}_0{suffix(0, at)}": row for at, row in enumerate(rows[:, 0])}
    made = {of: tensor for of, tensor in named.items() if constants.get(of) is None}
    return OnnxLayer(
        nodes={name: {of: tensor for of, tensor in made.items() if not (learned and of in _STATES[node.op_type])}},
        spec=spec,
        weights={name: weights[name] for name in module_shapes(spec)},
        batch_first=batch_first,
        state=_state(node, named, constants, directions, hidden_size, batch_first=batch_first),
        lengths=constants.get("sequence_lens"),
    )


def _learned(graph: Source, node: Any, named: Mapping[str, str], shape: tuple[int, ...]) -> dict[str, Array]:
    """The learned state, ``h`` (and ``c``): constants that the graph spreads over the batch; empty for none."""
    found = {name: graph.spread(named[name]) for name in _STATES[node.op_type] if name in named}
    if len(found) < len(_STATES[node.op_type]) or any(q is None or q.shape != shape for q in found.values()):
        return {}
    return {name.removeprefix("initial_"): q for name, q in found.items() if q is not None}


def _arrays(node: Any, constants: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Array]:
    """``W, R, B, P``, as far as there are any, of the shapes that the operator's definition says."""
    blocks = _BLOCKS[node.op_type]
    if "W" not in constants or "R" not in constants:
        raise _refuse(node, "it must have W and R")
    computed = [name for name in blocks if name in constants and constants[name] is None]
    if computed:
        raise _refuse(node, f"{computed[0]} must be a constant (it is computed, or an input of the graph)")
    arrays = {name: constants[name] for name in blocks if name in constants}
    dtypes = sorted({str(array.dtype) for array in arrays.values()})
    if dtypes not in (["float32"], ["float64"]):
        raise ArgumentTypeError(
            f"{_OWNER}: {node.op_type} node {_name(node)!r}: weights must be all float32 or all float64 "
            f"(got {', '.join(dtypes)})"
        )
    if arrays["R"].ndim != 3 or arrays["W"].ndim != 3:
        raise _refuse(node, "W and R must have three axes")
    directions, _, hidden_size = arrays["R"].shape
    given = attributes.get("hidden_size", hidden_size)
    wanted = 2 if attributes.get("direction", "forward") == "bidirectional" else 1
    if (given, wanted) != (hidden_size, directions):
        raise _refuse(node, f"R must be of {given} units and {wanted} directions (got {list(arrays['R'].shape)})")
    behind = {"W": (arrays["W"].shape[2],), "R": (hidden_size,)}
    for name, count in blocks.items():
        shape = (directions, count * hidden_size, *behind.get(name, ()))
        if name in arrays and arrays[name].shape != shape:
            raise _refuse(node, f"{name} must have the shape {list(shape)} (got {list(arrays[name].shape)})")
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise _refuse(node, f"{name} holds values that are NaN or infinite")
    return arrays


def _cell(node: Any, attributes: Mapping[str, Any], *, peepholes: bool, directions: int) -> CellSpec:
    """The cell that the attributes describe."""
    if attributes.get("clip") is not None:
        raise _refuse(node, f"clip has no place in our cells (got {attributes['clip']}); export the model without it")
    if attributes.get("direction", "forward") not in ("forward", "bidirectional"):
        raise _refuse(
            node, f"direction must be forward or bidirectional (got {attributes['direction']!r}); turn the sequences"
        )
    unknown = sorted(attributes.keys() - _ATTRIBUTES - {"clip"})
    if unknown:
        raise _refuse(node, f"the attribute {unknown[0]} is not known")
    if node.op_type == "RNN":
        (inner,) = _functions(node, attributes, ("tanh",), directions)
        return CellSpec(cell="rnn", input_activation=inner)
    gate, inner, outer = _functions(node, attributes, ("logistic", "tanh", "tanh"), directions)
    if gate != "logistic":
        raise _refuse(node, f"the activation of the gates must be Sigmoid (got {FUNCTIONS[gate]})")
    coupled = attributes.get("input_forget", 0) == 1
    return CellSpec(coupled=coupled, peepholes=peepholes, input_activation=inner, output_activation=outer)


def _functions(
    node: Any, attributes: Mapping[str, Any], default: tuple[Activation, ...], directions: int
) -> tuple[Activation, ...]:
    """The activations by our names, the same in both directions."""
    given: list[str] = attributes.get("activations") or [FUNCTIONS[name] for name in default] * directions
    strange = [name for name in given if name.lower() not in _OURS]
    if strange:
        raise _refuse(node, f"activations must be among {', '.join(FUNCTIONS.values())} (got {strange[0]})")
    ours: list[Activation] = [_OURS[name.lower()] for name in given]
    each: list[tuple[Activation, ...]] = [
        tuple(ours[at : at + len(default)]) for at in range(0, len(ours), len(default))
    ]
    if len(given) != directions * len(default) or len(set(each)) != 1:
        raise _refuse(node, f"activations must be {len(default)}, the same in each direction (got {', '.join(given)})")
    if "identity" in each[0]:
        slopes, offsets = (attributes.get(f"activation_{name}", []) for name in ("alpha", "beta"))
        if any(value != 1 for value in slopes) or any(value != 0 for value in offsets):
            raise _refuse(node, f"Affine must be 1·z + 0 (got activation_alpha {slopes}, activation_beta {offsets})")
    return each[0]


def _state(
    node: Any,
    named: Mapping[str, str],
    constants: Mapping[str, Any],
    directions: int,
    hidden_size: int,
    *,
    batch_first: bool,
) -> tuple[Array, ...] | None:
    """The initial state where constants give it; what one of the two leaves out is zero."""
    given = {name: constants[name] for name in _STATES[node.op_type] if name in named}
    values = [value for value in given.values() if value is not None]
    if not values:
        return None
    if len(values) < len(given):
        raise _refuse(node, "initial_h and initial_c must both be constants, or both come from the graph")
    parts = [given.get(name, np.zeros_like(values[0])) for name in _STATES[node.op_type]]
    parts = [np.ascontiguousarray(part.swapaxes(0, 1)) if batch_first and part.ndim == 3 else part for part in parts]
    for part in parts:
        if part.ndim != 3 or (part.shape[0], part.shape[2]) != (directions, hidden_size):
            raise _refuse(node, f"a state must have {directions} directions and {hidden_size} units ({part.shape})")
    return tuple(parts)


def _joined(graph: Source, each: list[tuple[Any, OnnxLayer]]) -> list[OnnxLayer]:
    """Nodes that follow each other as the layers of one stack."""
    stacks: list[tuple[Any, OnnxLayer]] = []
    for node, layer in each:
        before = next(
            (at for at, (last, stack) in enumerate(stacks) if _follows(graph, last, stack, node, layer)), None
        )
        if before is None:
            stacks.append((node, layer))
        else:
            stacks[before] = (node, _on_top(stacks[before][1], layer))
    return [stack for _, stack in stacks]


def _follows(graph: Source, last: Any, stack: OnnxLayer, node: Any, layer: OnnxLayer) -> bool:
    """Whether a node does nothing but take the features of the last layer of a stack on."""
    if not last.output or not last.output[0] or stack.batch_first or layer.batch_first:
        return False
    alike = replace(layer.spec, input_size=stack.spec.input_size, num_layers=stack.spec.num_layers)
    theirs, ours = list(stack.nodes.values())[-1], next(iter(layer.nodes.values()))
    return (
        alike == stack.spec
        and layer.spec.input_size == stack.spec.feature_size
        and theirs.get("sequence_lens") == ours.get("sequence_lens")
        and ("initial_h" in theirs) == ("initial_h" in ours)
        and _same_lengths(stack.lengths, layer.lengths)
        and _same_batch(stack.state, layer.state)
        and _reaches(graph, node.input[0], last.output[0])
    )


def _same_lengths(first: Integers | None, second: Integers | None) -> bool:
    return first is second or (first is not None and second is not None and np.array_equal(first, second))


def _same_batch(first: tuple[Array, ...] | None, second: tuple[Array, ...] | None) -> bool:
    return first is second or (first is not None and second is not None and first[0].shape[1:] == second[0].shape[1:])


def _reaches(graph: Source, x: str, y: str) -> bool:
    """Whether ``x [T, B, D·H]`` is ``y [T, D, B, H]`` with the directions side by side, read by nobody else."""
    path = list(_path(graph, x, y))
    return bool(path) and all(graph.is_read_once(name) for name in (x, *path))


def _path(graph: Source, x: str, y: str) -> Iterator[str]:
    """The tensors from ``x`` back to ``y``, none where something else is done on the way."""
    last = graph.maker(x)
    if last is None:
        return
    attributes = graph.attributes(last)
    if last.op_type == "Squeeze":
        axes = graph.constant(last.input[1]) if len(last.input) > 1 else np.asarray(attributes.get("axes", ()))
        if last.input[0] == y and axes is not None and axes.tolist() == [1]:
            yield y
    if last.op_type == "Reshape" and not attributes.get("allowzero", 0):
        turned, shape = graph.maker(last.input[0]), graph.constant(last.input[1])
        if turned is None or shape is None or turned.op_type != "Transpose" or turned.input[0] != y:
            return
        if graph.attributes(turned).get("perm") == [0, 2, 1, 3] and shape.tolist()[:2] == [0, 0] and shape.size == 3:
            yield from (last.input[0], y)


def _on_top(stack: OnnxLayer, layer: OnnxLayer) -> OnnxLayer:
    """The stack with one layer more."""
    spec = replace(stack.spec, num_layers=stack.spec.num_layers + 1)
    behind = f"_l{stack.spec.num_layers}"
    weights = {**stack.weights, **{name.replace("_l0", behind): array for name, array in layer.weights.items()}}
    state = None
    if stack.state is not None and layer.state is not None:
        state = tuple(np.concatenate(parts) for parts in zip(stack.state, layer.state, strict=True))
    return replace(
        stack,
        nodes={**stack.nodes, **layer.nodes},
        spec=spec,
        weights={name: weights[name] for name in module_shapes(spec)},
        state=state,
    )
