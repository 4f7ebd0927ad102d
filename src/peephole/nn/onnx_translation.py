"""Our layers inside of a user's model, for ``torch.onnx.export``: the operator of a layer as a node of ONNX.

``torch.onnx.export(model, …, dynamo=True, custom_translation_table=onnx_translations())`` meets a layer as the one
node ``peephole::recurrent_layer`` (:mod:`peephole.nn.operator`) and asks here what stands for it. The parameters are
tensors of the exporter's then, not arrays: their rows are picked and put into the operator's order by nodes of the
graph, as the exporter itself does it for ``torch.nn.LSTM``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from peephole.conversion.onnx_graph import INT32, onnx_package
from peephole.conversion.onnx_operator import (
    ALWAYS_OPEN,
    GATES,
    PEEPHOLES,
    check_expressible,
    operator_attributes,
    operator_of,
)
from peephole.errors import ArgumentError, MissingDependencyError
from peephole.nn.calls import FINAL, HIDDEN, MASKS, STATE
from peephole.nn.operator import Cell, described, output_names
from peephole.spec import RecurrentSpec
from peephole.weights import row_count, row_slices

_OWNER = "torch.onnx.export"


class _Direction(NamedTuple):
    """One direction of a layer: its description, and the exporter's tensors by their letters."""

    cell: Cell
    tensors: Mapping[str, Any]


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What ``torch.onnx.export`` needs to know of our layers, for its argument ``custom_translation_table``.

    What ONNX's operators cannot express, gates and states of every step, and a model in training whose masks are drawn
    are refused by name, as :class:`~peephole.errors.ArgumentError` inside of the exporter's own error.

    Raises:
        MissingDependencyError: where ``onnx`` or ``onnxscript`` is not installed.

    Example:
        >>> from peephole import nn
        >>> [str(operator) for operator in nn.onnx_translations()]
        ['peephole.recurrent_layer.default']
    """
    onnx_package(_OWNER)
    try:
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise MissingDependencyError(
            f"{_OWNER}: torch's exporter needs onnxscript, which is not installed; pip install peephole[onnx]"
        ) from error
    return {cast(Any, torch.ops).peephole.recurrent_layer.default: _recurrent_layer}


def _recurrent_layer(  # noqa: PLR0917 - the arguments are the operator's
    x: Any, variables: Sequence[Any], constants: Sequence[Any], cells: str, want_states: bool, keep: bool
) -> list[Any]:
    """The nodes that stand for one layer, and its outputs in their order."""
    layer = list(_directions(described(cells), variables, constants))
    first = layer[0].cell
    spec = RecurrentSpec(
        cell=first.spec, input_size=int(x.shape[2]), hidden_size=first.hidden_size, bidirectional=len(layer) == 2
    )
    _check(spec, layer, want_states=want_states)
    op = importlib.import_module("onnxscript").opset18
    lengths, before = layer[0].tensors.get("lengths"), _states(op, layer)
    lstm = spec.cell.cell == "lstm"
    ends = None if lengths is None else op.Cast(lengths, to=INT32)
    inputs = [x, *_weights(op, layer), ends, *before, *([_peepholes(op, layer)] if lstm else [])]
    raw, *after = getattr(op, operator_of(spec.cell))(*inputs, **operator_attributes(spec))
    if lengths is not None and before[0] is not None:
        # an empty sequence ends in the state that it began with; the operator leaves open what it gives there
        empty = op.Unsqueeze(op.Equal(lengths, _constant(op, np.int64(0))), [1])
        after = [op.Where(empty, *pair) for pair in zip(before, after, strict=True)]
    outputs: list[Any] = []
    for at in range(len(layer)):
        here = _constant(op, np.int64(at))
        y = op.Gather(raw, here, axis=1) if spec.bidirectional else op.Squeeze(raw, [1])
        own = {"y": y, HIDDEN: _constant(op, np.empty(0, _dtype(x)))}
        own |= {name: op.Gather(final, here, axis=0) for name, final in zip(FINAL, after, strict=False)}
        outputs += [own[name] for name in output_names(spec.cell, want_states=False)]
    return outputs


def _directions(cells: Sequence[Cell], variables: Sequence[Any], constants: Sequence[Any]) -> Iterator[_Direction]:
    rest, fixed = iter(variables), iter(constants)
    for cell in cells:
        own = {name: next(rest) for name in cell.variables}
        yield _Direction(cell, own | {name: next(fixed) for name in cell.constants})


def _check(spec: RecurrentSpec, layer: Sequence[_Direction], *, want_states: bool) -> None:
    check_expressible(_OWNER, spec)
    if want_states:
        raise ArgumentError(f"{_OWNER}: return_states must be False (got True); ONNX's operators show no gates")
    masks = [name for name in MASKS if name in layer[0].tensors]
    if masks:
        raise ArgumentError(f"{_OWNER}: the model must draw no masks (got {masks[0]}); call eval() first")


def _states(op: Any, layer: Sequence[_Direction]) -> list[Any]:
    """``[D, B, H]`` of ``h`` and, in an LSTM, of ``c``; None for zeros."""
    names = STATE[: 1 if layer[0].cell.spec.cell == "rnn" else 2]
    return [_stacked(op, [one.tensors.get(name) for one in layer]) for name in names]


def _weights(op: Any, layer: Sequence[_Direction]) -> list[Any]:
    """``W, R, B`` of all directions; None for no bias."""
    each = [(_rows(op, one, one.tensors["W"]), _rows(op, one, one.tensors["R"]), _bias(op, one)) for one in layer]
    return [_stacked(op, list(parts)) for parts in zip(*each, strict=True)]


def _bias(op: Any, one: _Direction) -> Any | None:
    """``[8H]`` (an RNN: ``[2H]``), a gate that the cell lacks being open; None where there is nothing to add."""
    spec, dtype = one.cell.spec, _dtype(one.tensors["W"])
    lacks_gates = spec.cell == "lstm" and not spec.coupled and len(spec.gates) < len(PEEPHOLES)
    if "b" not in one.tensors and not lacks_gates:
        return None
    zeros = np.zeros(row_count(spec, one.cell.hidden_size), dtype)
    first, second = (one.tensors.get(name, _constant(op, zeros)) for name in ("b", "b_h"))
    return op.Concat(_rows(op, one, first, missing=ALWAYS_OPEN), _rows(op, one, second), axis=0)


def _rows(op: Any, one: _Direction, stacked: Any, *, missing: float = 0.0) -> Any:
    """Our stacked rows in the operator's order, a gate's for each of its cells."""
    spec, hidden_size = one.cell.spec, one.cell.hidden_size
    if spec.cell == "rnn":
        return stacked
    by_gate: dict[str, Any] = {}
    for name, rows in row_slices(spec, hidden_size).items():
        cells = 1 if name == "g" else spec.cells_per_block
        each = [row for row in range(rows.start, rows.stop) for _ in range(cells)]
        by_gate[name] = op.Gather(stacked, _constant(op, np.array(each)), axis=0)
    behind = () if stacked.shape is None else tuple(stacked.shape)[1:]
    return _in_order(op, one, by_gate, GATES, np.full((hidden_size, *behind), missing, _dtype(one.tensors["W"])))


def _peepholes(op: Any, layer: Sequence[_Direction]) -> Any | None:
    """``P`` of all directions; None where the cell has none."""
    parts: list[Any] = []
    for one in layer:
        spec, weights = one.cell.spec, one.tensors.get("p")
        if weights is None:
            return None
        rows = {name: op.Gather(weights, _constant(op, np.int64(at)), axis=0) for at, name in enumerate(spec.gates)}
        parts.append(_in_order(op, one, rows, PEEPHOLES, np.zeros(one.cell.hidden_size, _dtype(weights))))
    return _stacked(op, parts)


def _in_order(
    op: Any, one: _Direction, by_gate: dict[str, Any], order: tuple[str, ...], missing: np.ndarray[Any, Any]
) -> Any:
    if one.cell.spec.coupled:
        by_gate["f"] = op.Neg(by_gate["i"])
    parts = [by_gate[name] if name in by_gate else _constant(op, missing) for name in order]
    return op.Concat(*parts, axis=0)


def _stacked(op: Any, parts: Sequence[Any]) -> Any | None:
    """One tensor for each direction as one; None where there are none."""
    if any(part is None for part in parts):
        return None
    each = [op.Unsqueeze(part, [0]) for part in parts]
    return each[0] if len(each) == 1 else op.Concat(*each, axis=0)


def _constant(op: Any, array: Any) -> Any:
    return op.Constant(value=importlib.import_module("onnxscript").ir.tensor(np.asarray(array)))


def _dtype(tensor: Any) -> np.dtype[Any]:
    """The dtype of a tensor of the exporter."""
    return np.dtype(tensor.dtype.numpy())
