"""The recurrent operators of ONNX, ``LSTM`` and ``RNN``: what they can express, and our weights in their layout.

::

    ONNX                     ours
    W [D, 4H, I]             weight_ih of each direction, gates in the order i, o, f, g (ONNX calls g "c")
    R [D, 4H, H]             weight_hh
    B [D, 8H]                bias_ih, then bias_hh
    P [D, 3H]                weight_peephole, in the order i, o, f
    input_forget = 1         coupled
    activations              σ, φ_in, φ_out

The equations of both are the same (https://onnx.ai/onnx/operators/onnx__LSTM.html): the peephole of the output gate
sees the new cell. What the operators have no word for is written as what is equal to it, or refused by name:

- A gate that the cell lacks is 1. It becomes a gate of zero weights whose bias is 40: ``σ(40) = 1 − 4·10⁻¹⁸`` is 1
  in float32 and in float64.
- Cells that share their gates become cells with a gate each, of the same weights.
- The rows of a coupled forget gate, which nobody has to look at, are those of the input gate with their sign turned,
  for ``σ(−z) = 1 − σ(z)``: who does not know ``input_forget`` computes the same.

Nothing here needs the package ``onnx``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from peephole.artifact import Array
from peephole.errors import ArgumentError
from peephole.spec import Activation, CellSpec, RecurrentSpec
from peephole.weights import row_slices, suffix

GATES = ("i", "o", "f", "g")
"""The order of the operator's stacked rows, by our names."""

PEEPHOLES = ("i", "o", "f")
"""The order of its peepholes."""

FUNCTIONS: Mapping[Activation, str] = MappingProxyType(
    {"tanh": "Tanh", "logistic": "Sigmoid", "relu": "Relu", "identity": "Affine"}
)
"""Our activations by the operator's names; ``Affine`` is ``α z + β`` with ``α = 1`` and ``β = 0``."""

ALWAYS_OPEN = 40.0
"""The bias of a gate that is 1."""

_WRITTEN = frozenset(
    {"cell", "input_gate", "forget_gate", "output_gate", "coupled", "peepholes", "cells_per_block"}
    | {"input_activation", "output_activation"}
    | {"kind", "input_size", "hidden_size", "num_layers", "bidirectional", "bias"}
    | {"residual", "learned_state"}
)
_IN_TRAINING_ALONE = frozenset({"recurrent_dropout", "recurrent_dropout_on", "truncated"})
_NO_WORD = {
    "full_gate_recurrence": "its gates do not see those of the step before",
    "layer_norm": "it normalises nothing",
    "proj_size": "it does not project h",
    "zoneout_hidden": "in use a unit is a mix of its old and new value, which it cannot keep",
    "zoneout_cell": "in use a cell is a mix of its old and new value, which it cannot keep",
    "peepholes": "its peepholes are diagonal, so a gate cannot see several cells (cells_per_block above 1)",
}


def refusals(spec: CellSpec | RecurrentSpec) -> dict[str, str]:
    """What of a spec the operators cannot express, by the name of the field, each with the reason.

    A field that this module has never heard of is refused too, unless it has its default.

    Example:
        >>> from peephole.conversion import onnx_operator
        >>> from peephole.spec import variant
        >>> onnx_operator.refusals(variant("layer_norm_peephole"))
        {'layer_norm': 'it normalises nothing'}
    """
    cell = spec.cell if isinstance(spec, RecurrentSpec) else spec
    found = refused_fields(spec, _WRITTEN | _IN_TRAINING_ALONE, _NO_WORD)
    if isinstance(spec, RecurrentSpec):
        found |= refused_fields(cell, _WRITTEN | _IN_TRAINING_ALONE, _NO_WORD)
    if cell.peepholes and cell.cells_per_block > 1:
        found["peepholes"] = _NO_WORD["peepholes"]
    return found


def refused_fields(spec: Any, written: frozenset[str], reasons: Mapping[str, str]) -> dict[str, str]:
    """The fields of a frozen spec that are neither among the written ones nor at their default.

    Args:
        spec: any frozen dataclass.
        written: names of the fields that an export writes.
        reasons: why others are not written, by name.

    Returns:
        The reason for each refused field, by its name.

    Example:
        >>> from peephole.conversion.onnx_operator import refused_fields
        >>> from peephole.spec import CellSpec
        >>> written, reasons = frozenset({"peepholes"}), {"layer_norm": "no word for it"}
        >>> refused_fields(CellSpec(layer_norm=True, peepholes=True), written, reasons)
        {'layer_norm': 'no word for it'}
    """
    found: dict[str, str] = {}
    for entry in fields(spec):
        default = None if entry.default is MISSING else entry.default
        if entry.name not in written and getattr(spec, entry.name) != default:
            found[entry.name] = reasons.get(entry.name, "the export does not know how to write it")
    return found


def check_expressible(owner: str, spec: RecurrentSpec) -> None:
    """Refuse by name what the operators cannot express.

    Args:
        owner: who is named in the error.
        spec: the stack.

    Raises:
        ArgumentError: naming every such field and why.

    Example:
        >>> from peephole.conversion import onnx_operator
        >>> from peephole.spec import VARIANTS, body_spec
        >>> onnx_operator.check_expressible("export", body_spec("coupled_peephole", 3))  # nothing to refuse
    """
    found = refusals(spec)
    if found:
        told = "; ".join(f"{name}={_value_of(spec, name)!r}: {reason}" for name, reason in found.items())
        raise ArgumentError(
            f"{owner}: ONNX's {operator_of(spec.cell)} operator must be able to express the network (got {told}); "
            "peephole.runtime runs it without torch"
        )


def _value_of(spec: RecurrentSpec, name: str) -> object:
    return getattr(spec, name) if hasattr(spec, name) else getattr(spec.cell, name)


def operator_of(cell: CellSpec) -> str:
    """``"LSTM"`` or ``"RNN"``.

    Example:
        >>> from peephole.conversion import onnx_operator
        >>> from peephole.spec import variant
        >>> onnx_operator.operator_of(variant("peephole")), onnx_operator.operator_of(variant("elman"))
        ('LSTM', 'RNN')
    """
    return "RNN" if cell.cell == "rnn" else "LSTM"


def operator_attributes(spec: RecurrentSpec) -> dict[str, Any]:
    """The attributes of a node of the stack: size, direction, coupled gates, activations.

    Example:
        >>> from peephole.conversion import onnx_operator
        >>> from peephole.spec import body_spec
        >>> onnx_operator.operator_attributes(body_spec("rnn_relu", 3, hidden_size=8))
        {'hidden_size': 8, 'direction': 'forward', 'activations': ['Relu']}
    """
    cell = spec.cell
    attributes: dict[str, Any] = {
        "hidden_size": spec.hidden_size,
        "direction": "bidirectional" if spec.bidirectional else "forward",
    }
    if cell.coupled:
        attributes["input_forget"] = 1
    functions = [FUNCTIONS[cell.input_activation]]
    if cell.cell == "lstm":
        functions = ["Sigmoid", *functions, FUNCTIONS[cell.output_activation]]
    functions *= spec.num_directions
    attributes["activations"] = functions
    if "Affine" in functions:
        # one for every function: whether α is taken by all in turn or only by those that have one, it is 1
        attributes |= {"activation_alpha": [1.0] * len(functions), "activation_beta": [0.0] * len(functions)}
    return attributes


def operator_arrays(
    spec: RecurrentSpec, weights: Mapping[str, Array], layer: int, *, prefix: str = ""
) -> dict[str, Array]:
    """``W``, ``R`` and, where there are any, ``B`` and ``P`` of one layer, out of arrays under their module names.

    Args:
        spec: a stack that the operators can express.
        weights: arrays under the names of :func:`peephole.weights.module_shapes`.
        layer: which layer, from 0.
        prefix: what stands before the names.

    Returns:
        The operator's inputs by name, the first axis of each being the direction.

    Example:
        >>> import numpy as np
        >>> from peephole.conversion import onnx_operator
        >>> from peephole import spec, weights
        >>> stack = spec.body_spec("coupled_peephole", 3, hidden_size=8)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.module_shapes(stack).items()}
        >>> {name: array.shape for name, array in onnx_operator.operator_arrays(stack, zeros, 0).items()}
        {'W': (1, 32, 3), 'R': (1, 32, 8), 'B': (1, 64), 'P': (1, 24)}
    """
    each = [_cell_arrays(spec, weights, prefix, suffix(layer, at)) for at in range(spec.num_directions)]
    return {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}


def _cell_arrays(spec: RecurrentSpec, weights: Mapping[str, Array], prefix: str, behind: str) -> dict[str, Array]:
    cell, hidden_size = spec.cell, spec.hidden_size
    W, R = (weights[f"{prefix}{name}{behind}"] for name in ("weight_ih", "weight_hh"))
    zeros = np.zeros(W.shape[0], W.dtype)
    biases = [weights[f"{prefix}{name}{behind}"] if spec.bias else zeros for name in ("bias_ih", "bias_hh")]
    if cell.cell == "rnn":
        return {"W": W, "R": R} | ({"B": np.concatenate(biases)} if spec.bias else {})
    arrays = {"W": _rows(cell, W, hidden_size), "R": _rows(cell, R, hidden_size)}
    open_gates = _rows(cell, zeros, hidden_size, missing=ALWAYS_OPEN)
    if spec.bias or open_gates.any():
        of_input, of_state = (_rows(cell, bias, hidden_size) for bias in biases)
        arrays["B"] = np.concatenate([of_input + open_gates, of_state])
    if cell.peepholes:
        by_gate = dict(zip(cell.gates, weights[f"{prefix}weight_peephole{behind}"], strict=True))
        arrays["P"] = _in_order(cell, by_gate, PEEPHOLES, np.zeros(hidden_size, W.dtype))
    return arrays


def _rows(cell: CellSpec, stacked: Array, hidden_size: int, *, missing: float = 0.0) -> Array:
    """Our stacked rows in the operator's order, a gate's for each of its cells."""
    by_gate = {
        name: stacked[rows] if name == "g" else np.repeat(stacked[rows], cell.cells_per_block, axis=0)
        for name, rows in row_slices(cell, hidden_size).items()
    }
    return _in_order(cell, by_gate, GATES, np.full((hidden_size, *stacked.shape[1:]), missing, stacked.dtype))


def _in_order(cell: CellSpec, by_gate: Mapping[str, Array], order: tuple[str, ...], missing: Array) -> Array:
    if cell.coupled:
        by_gate = {**by_gate, "f": -by_gate["i"]}
    return np.concatenate([by_gate.get(name, missing) for name in order])


def module_arrays(cell: CellSpec, arrays: Mapping[str, Array], layer: int) -> dict[str, Array]:
    """The inverse of :func:`operator_arrays` for a cell that has what the operator has.

    Args:
        cell: the cell, of one cell per block and with all three gates.
        arrays: ``W``, ``R`` and, where there are any, ``B`` and ``P``.
        layer: which layer the names shall say.

    Returns:
        Arrays under their module names. Rows of a coupled forget gate mean nothing and are left out.

    Example:
        >>> import numpy as np
        >>> from peephole.conversion import onnx_operator
        >>> from peephole import spec, weights
        >>> stack = spec.body_spec("coupled_peephole", 3, hidden_size=8)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.module_shapes(stack).items()}
        >>> back = onnx_operator.module_arrays(stack.cell, onnx_operator.operator_arrays(stack, zeros, 0), 0)
        >>> {name: array.shape for name, array in back.items()} == weights.module_shapes(stack)
        True
    """
    named: dict[str, Array] = {}
    for direction, W in enumerate(arrays["W"]):
        parts = {"weight_ih": W, "weight_hh": arrays["R"][direction]}
        if "B" in arrays:
            parts["bias_ih"], parts["bias_hh"] = np.split(arrays["B"][direction], 2)
        if cell.cell == "lstm":
            parts = {name: _ours(part, GATES, cell.rows) for name, part in parts.items()}
        if "P" in arrays:
            rows = _ours(arrays["P"][direction], PEEPHOLES, cell.gates)
            parts["weight_peephole"] = rows.reshape(len(cell.gates), -1)
        named |= {name + suffix(layer, direction): np.ascontiguousarray(part) for name, part in parts.items()}
    return named


def _ours(stacked: Array, order: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    by_gate = dict(zip(order, np.split(stacked, len(order)), strict=True))
    return np.concatenate([by_gate[name] for name in wanted])
