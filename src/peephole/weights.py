"""Names and shapes of a cell's parameters, and of a whole network's.

A cell's parameters carry the glossary's letters; those of a torch module or an artifact carry the names of
``torch.nn.LSTM``, with the layer and the direction behind. This file is the one place that knows both.

=========  =====================  ================  ==============================================================
letter     module                 shape             what
=========  =====================  ================  ==============================================================
``W``      ``weight_ih``          ``[K, I]``        input weights; rows stacked in the order i, f, g, o
``R``      ``weight_hh``          ``[K, P]``        recurrent weights, rows as in ``W`` (``P = H`` without projection)
``b``      ``bias_ih + bias_hh``  ``[K]``           bias; two terms in the module, as torch has them, one here
``p``      ``weight_peephole``    ``[gates, H]``    peepholes, rows i, f, o of the gates that are there
``S``      ``weight_gates``       ``[G, G]``        full gate recurrence, ``G = gates·N``, rows and columns i, f, o
``W_p``    ``weight_hr``          ``[P, H]``        projection
``gain``   ``norm_gain``          ``[K + H]``       layer norm: rows as in ``W``, then the cell (RNN: ``[K]``)
``shift``  ``norm_shift``         ``[K + H]``       layer norm: the same
``h``      ``h_0``                ``[P]``           learned state before the first step (``learned_state``): hidden
``c``      ``c_0``                ``[H]``           the same: the memory cells
``r``      ``r_0``                ``[G]``           the same: the gates of the step before, with full gate recurrence
=========  =====================  ================  ==============================================================

A gate has one row per block (``N`` rows), the candidate one per cell (``H`` rows): ``K = gates·N + H``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from peephole.spec import (
    CellSpec,
    EmbeddingSpec,
    EncoderDecoderSpec,
    LinearSpec,
    MLPSpec,
    NetworkSpec,
    RecurrentSpec,
    whole_state_size,
)

MODULE_NAMES: Mapping[str, tuple[str, ...]] = {
    "W": ("weight_ih",),
    "R": ("weight_hh",),
    "b": ("bias_ih", "bias_hh"),
    "p": ("weight_peephole",),
    "S": ("weight_gates",),
    "W_p": ("weight_hr",),
    "gain": ("norm_gain",),
    "shift": ("norm_shift",),
}
"""Letter of the glossary to the names in a torch module; ``b`` is the sum of its two."""

STATE_NAMES: Mapping[str, str] = {"h": "h_0", "c": "c_0", "r": "r_0"}
"""Part of a state to the name that its learned value has in a torch module."""


class Shaped(Protocol):
    """An array or a tensor, as far as its shape goes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        ...


def row_count(spec: CellSpec, hidden_size: int) -> int:
    """``K``, the stacked rows of ``W``: ``N`` for each gate and ``H`` for the candidate."""
    return len(spec.gates) * (hidden_size // spec.cells_per_block) + hidden_size


def row_slices(spec: CellSpec, hidden_size: int) -> dict[str, slice]:
    """Where each of ``i, f, g, o`` that the cell has stands among the stacked rows."""
    slices: dict[str, slice] = {}
    start = 0
    for name in spec.rows:
        size = hidden_size if name == "g" else hidden_size // spec.cells_per_block
        slices[name] = slice(start, start + size)
        start += size
    return slices


def cell_shapes(spec: CellSpec, input_size: int, hidden_size: int, *, bias: bool = True) -> dict[str, tuple[int, ...]]:
    """Shapes of one layer's and one direction's parameters, by letter, in the order of the table above."""
    rows = row_count(spec, hidden_size)
    gate_rows = rows - hidden_size
    norm_rows = rows if spec.cell == "rnn" else rows + hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "W": (rows, input_size),
        "R": (rows, spec.proj_size or hidden_size),
    }
    if bias:
        shapes["b"] = (rows,)
    if spec.peepholes:
        shapes["p"] = (len(spec.gates), hidden_size)
    if spec.full_gate_recurrence:
        shapes["S"] = (gate_rows, gate_rows)
    if spec.proj_size:
        shapes["W_p"] = (spec.proj_size, hidden_size)
    if spec.layer_norm:
        shapes["gain"] = (norm_rows,)
        shapes["shift"] = (norm_rows,)
    return shapes


def suffix(layer: int, direction: int) -> str:
    """What torch puts behind a name: ``_l0``, ``_l0_reverse``, ``_l1``."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def cells(spec: RecurrentSpec) -> Iterator[tuple[int, int]]:
    """Every ``(layer, direction)`` of a stack, in torch's order."""
    for layer in range(spec.num_layers):
        for direction in range(spec.num_directions):
            yield layer, direction


def module_shapes(spec: RecurrentSpec) -> dict[str, tuple[int, ...]]:
    """Every parameter of a stack by its module name, in torch's order; a learned state behind its cell's weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, direction in cells(spec):
        by_letter = cell_shapes(spec.cell, spec.layer_input_size(layer), spec.hidden_size, bias=spec.bias)
        for letter, shape in by_letter.items():
            for name in MODULE_NAMES[letter]:
                shapes[name + suffix(layer, direction)] = shape
        if spec.learned_state:
            for part, size in spec.cell.state_sizes(spec.hidden_size).items():
                shapes[STATE_NAMES[part] + suffix(layer, direction)] = (size,)
    return shapes


def learned_names(spec: RecurrentSpec) -> tuple[tuple[str, ...], ...]:
    """The module names of the learned state: for each part that the cell has, those of every layer and direction."""
    if not spec.learned_state:
        return ()
    parts = spec.cell.state_sizes(spec.hidden_size)
    return tuple(tuple(STATE_NAMES[part] + suffix(*cell) for cell in cells(spec)) for part in parts)


def mlp_shapes(spec: MLPSpec) -> dict[str, tuple[int, ...]]:
    """Every parameter of a perceptron's hidden layers by its module name (``weight_l0``, ``bias_l0`` …)."""
    shapes: dict[str, tuple[int, ...]] = {}
    size_in = spec.input_size
    for layer, size in enumerate(spec.hidden_sizes):
        shapes[f"weight_l{layer}"] = (size, size_in)
        if spec.bias:
            shapes[f"bias_l{layer}"] = (size,)
        size_in = size
    return shapes


def network_shapes(spec: NetworkSpec | EncoderDecoderSpec) -> dict[str, tuple[int, ...]]:
    """Every tensor of a network by the name it has in an artifact: ``input.*``, ``body.*``, ``head.*``, in order."""
    if isinstance(spec, EncoderDecoderSpec):
        return encoder_decoder_shapes(spec)
    body = mlp_shapes(spec.body) if isinstance(spec.body, MLPSpec) else module_shapes(spec.body)
    return {
        **{f"input.{name}": shape for name, shape in input_shapes(spec.input).items()},
        **{f"body.{name}": shape for name, shape in body.items()},
        "head.weight": (spec.output_size, spec.body.feature_size),
        "head.bias": (spec.output_size,),
    }


def encoder_decoder_shapes(spec: EncoderDecoderSpec) -> dict[str, tuple[int, ...]]:
    """Every tensor of an encoder-decoder by the name it has in an artifact.

    ``source.*``, ``encoder.*``, ``bridge.weight`` and ``bridge.bias`` where the state is mapped, ``target.*``,
    ``decoder.*``, ``attention.weight_query``, ``attention.weight_key`` and ``attention.weight_score``, ``head.*``.
    """
    encoder = mlp_shapes(spec.encoder) if isinstance(spec.encoder, MLPSpec) else module_shapes(spec.encoder)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {"source": input_shapes(spec.source), "encoder": encoder}
    if spec.maps_state:
        shapes["bridge"] = _linear_shapes(whole_state_size(spec.encoder), whole_state_size(spec.decoder))
    shapes |= {"target": input_shapes(spec.target), "decoder": module_shapes(spec.decoder)}
    if spec.attention:
        shapes["attention"] = {
            "weight_query": (spec.attention_size, spec.decoder.feature_size),
            "weight_key": (spec.attention_size, spec.encoder.feature_size),
            "weight_score": (spec.attention_size,),
        }
    shapes["head"] = _linear_shapes(spec.head_size, spec.output_size)
    return {f"{part}.{name}": shape for part, of_part in shapes.items() for name, shape in of_part.items()}


def _linear_shapes(size_in: int, size_out: int) -> dict[str, tuple[int, ...]]:
    return {"weight": (size_out, size_in), "bias": (size_out,)}


def input_shapes(spec: EmbeddingSpec | LinearSpec | None) -> dict[str, tuple[int, ...]]:
    """Every parameter of what a network begins with: ``weight``, one row a number, or ``weight`` and ``bias``."""
    if isinstance(spec, EmbeddingSpec):
        return {"weight": (spec.num_embeddings, spec.embedding_dim)}
    return {} if spec is None else _linear_shapes(spec.input_size, spec.output_size)


def cell_weights(
    tensors: Mapping[str, np.ndarray[Any, Any]], spec: RecurrentSpec, layer: int, direction: int, *, prefix: str = ""
) -> dict[str, np.ndarray[Any, Any]]:
    """One cell's parameters by letter, out of arrays under their module names; the two bias terms are added."""
    by_letter = cell_shapes(spec.cell, spec.layer_input_size(layer), spec.hidden_size, bias=spec.bias)
    behind = suffix(layer, direction)
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for letter in by_letter:
        parts = [tensors[prefix + name + behind] for name in MODULE_NAMES[letter]]
        weights[letter] = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return weights


def learned_state(
    tensors: Mapping[str, np.ndarray[Any, Any]], spec: RecurrentSpec, layer: int, direction: int, *, prefix: str = ""
) -> dict[str, np.ndarray[Any, Any]]:
    """One cell's learned state by part (``h``, ``c``, ``r``), ``[size]`` each; empty where the stack learns none."""
    parts = spec.cell.state_sizes(spec.hidden_size) if spec.learned_state else ()
    behind = suffix(layer, direction)
    return {part: tensors[prefix + STATE_NAMES[part] + behind] for part in parts}


def misfit(arrays: Mapping[str, Shaped], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What keeps arrays from being those of a layer or network, in a few words; None where nothing does.

    Args:
        arrays: by name, of NumPy or torch.
        shapes: those that there must be, of :func:`module_shapes` or :func:`network_shapes`; no others may be there.
    """
    missing = [name for name in shapes if name not in arrays]
    extra = [name for name in arrays if name not in shapes]
    if missing or extra:
        parts = [f"{what} {_some(names)}" for what, names in (("missing", missing), ("unknown", extra)) if names]
        return "; ".join(parts)
    for name, shape in shapes.items():
        if tuple(arrays[name].shape) != shape:
            return f"{name} must have the shape {list(shape)} (got {list(arrays[name].shape)})"
    return None


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
