"""Recurrent layers of Keras 3, as configurations and arrays, from and to ours.

====================  =====================================================
Keras                 here
====================  =====================================================
``kernel``            ``weight_ih``, transposed: ``[I, 4H]`` to ``[4H, I]``
``recurrent_kernel``  ``weight_hh``, transposed
``bias``              ``bias_ih``, with ``bias_hh`` zero; back: their sum
gates i, f, c, o      i, f, g, o, in the same order
====================  =====================================================

A layer is given as its class, what ``get_config()`` says and what ``get_weights()`` holds, so that Keras need not be
there. What the other side cannot express is refused by name. What only says how weights were drawn or how the loop is
run (initialisers, ``seed``, ``unit_forget_bias``, ``unroll``) changes no result and is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from peephole.conversion.keras_rules import LEAVE_OUT, Array, KerasLayer, check_config, for_inference
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import Activation, CellSpec, RecurrentSpec
from peephole.weights import cells, misfit, module_shapes, suffix

_ACTIVATIONS: Mapping[str, Activation] = {
    "tanh": "tanh",
    "sigmoid": "logistic",
    "relu": "relu",
    "linear": "identity",
}
_CLASSES = {"lstm": "LSTM", "rnn": "SimpleRNN"}
_KERAS_ACTIVATIONS = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}


class Converted(NamedTuple):
    """A stack of ours.

    Attributes:
        spec: its cell and sizes.
        arrays: every parameter under its module name, in the dtype it came in.
        dropout: probability of dropout between the layers, in training.

    Example:
        >>> import numpy as np
        >>> from peephole.conversion import keras_rules, keras_weights
        >>> weights = [np.zeros((3, 8)), np.zeros((8, 8)), np.zeros(8)]
        >>> converted = keras_weights.from_keras([keras_rules.KerasLayer("SimpleRNN", {"units": 8}, weights)])
        >>> converted.spec.cell.cell, sorted(converted.arrays)
        ('rnn', ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0'])
    """

    spec: RecurrentSpec
    arrays: dict[str, Array]
    dropout: float


class _Read(NamedTuple):
    """One layer that has been checked: ``[forward]`` or ``[forward, backward]`` weights."""

    where: str
    cell: CellSpec
    hidden_size: int
    bias: bool
    bidirectional: bool
    return_sequences: bool
    directions: list[Sequence[Array]]


def from_keras(layers: Sequence[KerasLayer], *, inference_only: bool = False) -> Converted:
    """One stack of ours from the recurrent layers of Keras that stand one upon the other.

    Args:
        layers: ``LSTM`` or ``SimpleRNN`` layers, or ``Bidirectional`` ones of them, alike in all but their first size,
            and where there is ``Dropout``, one of the same rate between every two.
        inference_only: the stack will not be trained on: dropout, regularizers, constraints and ``trainable`` are
            left out.

    Raises:
        ArgumentError: for what has no counterpart here, named with its layer, and for weights that do not fit.
        ArgumentTypeError: for weights that are neither float32 nor float64.

    Example:
        >>> import numpy as np
        >>> from peephole.conversion import keras_rules, keras_weights
        >>> weights = [np.zeros((3, 32)), np.zeros((8, 32)), np.zeros(32)]  # kernel, recurrent_kernel, bias
        >>> converted = keras_weights.from_keras([keras_rules.KerasLayer("LSTM", {"units": 8}, weights)])
        >>> converted.spec.hidden_size, converted.arrays["weight_ih_l0"].shape
        (8, (32, 3))
    """
    named = [(f"layers[{place}]", told) for place, told in enumerate(layers)]
    if inference_only:
        named = [(where, for_inference(told)) for where, told in named if told.class_name != "Dropout"]
    stack = [_read(where, told) for where, told in named if told.class_name != "Dropout"]
    if not stack:
        raise ArgumentError(f"from_keras: layers must hold at least one recurrent layer (got {len(layers)} layers)")
    first = stack[0]
    spec = RecurrentSpec(
        cell=first.cell,
        input_size=int(first.directions[0][0].shape[0]),
        hidden_size=first.hidden_size,
        num_layers=len(stack),
        bidirectional=first.bidirectional,
        bias=first.bias,
    )
    for below, layer in pairwise(stack):
        _check_stacked(below, layer)
    arrays: dict[str, Array] = {}
    for layer, direction in cells(spec):
        _take(stack[layer], spec, layer, direction, arrays)
    return Converted(spec, arrays, _dropout_between(named))


def to_keras(
    spec: RecurrentSpec, arrays: Mapping[str, Array], *, dropout: float = 0.0, return_sequences: bool = True
) -> list[KerasLayer]:
    """The layers of Keras that do the same as one stack of ours.

    Args:
        spec: the stack.
        arrays: every parameter under its module name, all float32 or all float64.
        dropout: probability of dropout between the layers; ``Dropout`` layers then stand between them.
        return_sequences: whether the last layer gives its output at every step, or that of the last one alone.

    Returns:
        Layers with weights, the first to run first. Their ``config`` names what is not Keras' default.

    Raises:
        ArgumentError: for what Keras' layers cannot express, by name, and for missing, extra or misshapen arrays.
        ArgumentTypeError: for arrays that are neither float32 nor float64.

    Example:
        >>> import numpy as np
        >>> from peephole import spec, weights
        >>> from peephole.conversion import keras_weights
        >>> stack = spec.body_spec("lstm", 3, hidden_size=8)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.module_shapes(stack).items()}
        >>> (layer,) = keras_weights.to_keras(stack, zeros)
        >>> layer.class_name, [array.shape for array in layer.weights]
        ('LSTM', [(3, 32), (8, 32), (32,)])
    """
    _check_expressible(spec)
    problem = misfit(arrays, module_shapes(spec))
    if problem:
        raise ArgumentError(f"to_keras: the arrays do not fit their spec: {problem}")
    dtype = _dtype_of("to_keras: arrays", list(arrays.values()))
    made: list[KerasLayer] = []
    for layer in range(spec.num_layers):
        if layer and dropout:
            made.append(KerasLayer("Dropout", {"rate": dropout, "dtype": dtype}))
        every = return_sequences or layer < spec.num_layers - 1
        class_name, config = _keras_config(spec, dtype, return_sequences=every)
        weights = [_keras_weights(spec, arrays, suffix(layer, side)) for side in range(spec.num_directions)]
        made.append(KerasLayer(class_name, config, [array for one in weights for array in one]))
    return made


def lengths_from_mask(mask: object) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The lengths of sequences that Keras' mask of time steps describes.

    Args:
        mask: ``[B, T]`` bool, True where a step is valid.

    Returns:
        ``[B]`` int64, for ``lengths=``.

    Raises:
        ArgumentTypeError: for what is no ``[B, T]`` array of bool.
        ArgumentError: where a valid step follows one that is not: in front, or a hole.

    Example:
        >>> from peephole import nn
        >>> nn.lengths_from_mask([[True, True, True], [True, False, False]]).tolist()
        [3, 1]
    """
    valid = np.asarray(mask)
    if valid.dtype != np.bool_ or valid.ndim != 2:
        raise ArgumentTypeError(
            f"lengths_from_mask: mask must be [B, T] of bool (got shape {list(valid.shape)} of {valid.dtype})"
        )
    again = np.argwhere(~valid[:, :-1] & valid[:, 1:])
    if len(again):
        row, step = (int(place) for place in again[0])
        raise ArgumentError(
            f"lengths_from_mask: the valid steps of a sequence must come first (got sequence {row}, where step "
            f"{step + 1} is valid and step {step} is not); pad sequences at the end (padding='post')"
        )
    return valid.sum(axis=1)


def _read(where: str, told: KerasLayer) -> _Read:
    """Check a recurrent layer and take its parts."""
    where = f"{where} ({told.class_name})"
    check_config(where, told)
    if told.class_name != "Bidirectional":
        return _read_one(where, told)
    forwards = _inner(where, told.config.get("layer"), went_back=False)
    backwards = _inner(where, told.config.get("backward_layer", told.config.get("layer")), went_back=True)
    half = len(told.weights) // 2
    one = _read_one(f"{where}.layer", forwards._replace(weights=told.weights[:half]))
    other = _read_one(f"{where}.backward_layer", backwards._replace(weights=told.weights[half:]))
    _check_alike(one, other)
    return one._replace(where=where, bidirectional=True, directions=[*one.directions, *other.directions])


def _inner(where: str, told: object, *, went_back: bool) -> KerasLayer:
    """A layer inside of a Bidirectional; the one that runs backwards as if it ran forwards."""
    if not isinstance(told, Mapping) or not {"class_name", "config"} <= told.keys():
        raise ArgumentError(f"from_keras: {where}: config must describe the layer within (got {told!r})")
    described = cast("Mapping[str, Any]", told)
    config = dict(described["config"])
    if went_back and config.get("go_backwards"):
        config["go_backwards"] = False
    return KerasLayer(described["class_name"], config)


def _read_one(where: str, told: KerasLayer) -> _Read:
    config = told.config
    check_config(where, told)
    if told.class_name not in ("LSTM", "SimpleRNN"):
        raise ArgumentError(f"from_keras: {where}: the layer within must be LSTM or SimpleRNN (got {told.class_name})")
    activation = config.get("activation", "tanh")
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ArgumentError(
            f"from_keras: {where}: activation must be one of {', '.join(_ACTIVATIONS)} (got {activation!r})"
        )
    ours = _ACTIVATIONS[activation]
    cell = CellSpec(input_activation=ours, output_activation=ours)
    if told.class_name == "SimpleRNN":
        cell = CellSpec(cell="rnn", input_activation=ours, recurrent_dropout=config.get("recurrent_dropout", 0.0))
    read = _Read(
        where=where,
        cell=cell,
        hidden_size=config["units"],
        bias=config.get("use_bias", True),
        bidirectional=False,
        return_sequences=config.get("return_sequences", False),
        directions=[told.weights],
    )
    _check_weights(read)
    return read


def _check_weights(read: _Read) -> None:
    """``kernel``, ``recurrent_kernel`` and ``bias`` of one direction."""
    weights, names = read.directions[0], ("kernel", "recurrent_kernel", "bias")[: 2 + read.bias]
    if not weights:
        raise ArgumentError(f"from_keras: {read.where}: the layer has no weights yet; call it once, or build it")
    if len(weights) != len(names):
        raise ArgumentError(f"from_keras: {read.where}: weights must be {', '.join(names)} (got {len(weights)} arrays)")
    rows = len(read.cell.rows) * read.hidden_size
    features = weights[0].shape[0] if weights[0].ndim == 2 else 0
    for name, array, shape in zip(names, weights, ((features, rows), (read.hidden_size, rows), (rows,)), strict=False):
        if array.shape != shape or not features:
            raise ArgumentError(
                f"from_keras: {read.where}: {name} must have the shape {list(shape)} (got {list(array.shape)})"
            )
    _dtype_of(f"from_keras: {read.where}: weights", weights)


def _dtype_of(owner: str, arrays: Sequence[Array]) -> str:
    dtypes = sorted({str(array.dtype) for array in arrays})
    if dtypes not in (["float32"], ["float64"]):
        raise ArgumentTypeError(f"{owner} must be all float32 or all float64 (got {', '.join(dtypes)})")
    return dtypes[0]


def _check_alike(one: _Read, other: _Read) -> None:
    """One stack, and one layer of two directions, has one kind of cell, one size and one dtype."""
    pairs = {
        "the class": tuple(_CLASSES[read.cell.cell] for read in (one, other)),
        "units": (one.hidden_size, other.hidden_size),
        "activation": tuple(_KERAS_ACTIVATIONS[read.cell.input_activation] for read in (one, other)),
        "recurrent_dropout": (one.cell.recurrent_dropout, other.cell.recurrent_dropout),
        "use_bias": (one.bias, other.bias),
        "Bidirectional": (one.bidirectional, other.bidirectional),
        "dtype": tuple(str(read.directions[0][0].dtype) for read in (one, other)),
    }
    for name, (here, there) in pairs.items():
        if here != there:
            raise ArgumentError(
                f"from_keras: {other.where}: {name} must be that of {one.where}, {here!r} (got {there!r}); "
                "convert layers that differ one by one"
            )


def _check_stacked(below: _Read, layer: _Read) -> None:
    _check_alike(below, layer)
    if not below.return_sequences:
        raise ArgumentError(f"from_keras: {below.where}: return_sequences must be True below another layer (got False)")
    wanted, got = below.hidden_size * len(below.directions), layer.directions[0][0].shape[0]
    if wanted != got:
        raise ArgumentError(
            f"from_keras: {layer.where}: the layer must take the {wanted} features of {below.where} (got {got})"
        )


def _dropout_between(named: Sequence[tuple[str, KerasLayer]]) -> float:
    """The one rate of the ``Dropout`` layers between the recurrent ones."""
    drops = [told.class_name == "Dropout" for _, told in named]
    rates: set[float] = set()
    for place, (where, told) in enumerate(named):
        if not drops[place]:
            continue
        check_config(f"{where} (Dropout)", told)
        if place in (0, len(named) - 1) or drops[place - 1]:
            raise ArgumentError(
                f"from_keras: {where} (Dropout): dropout must stand alone between two recurrent layers; "
                f"leave it out of layers and apply it yourself, or {LEAVE_OUT}"
            )
        rates.add(float(told.config["rate"]))
    if sum(drops) not in (0, len(named) - sum(drops) - 1):
        rates.add(0.0)
    if len(rates) > 1:
        raise ArgumentError(
            "from_keras: Dropout must have one rate between all recurrent layers "
            f"(got {', '.join(map(str, sorted(rates)))}); convert the layers one by one, or {LEAVE_OUT}"
        )
    return rates.pop() if rates else 0.0


def _take(read: _Read, spec: RecurrentSpec, layer: int, direction: int, arrays: dict[str, Array]) -> None:
    """One cell's arrays, copied under their names here."""
    weights, behind = read.directions[direction], suffix(layer, direction)
    if weights[0].shape[0] != spec.layer_input_size(layer):
        raise ArgumentError(
            f"from_keras: {read.where}: both directions must take {spec.layer_input_size(layer)} features "
            f"(got {weights[0].shape[0]})"
        )
    arrays["weight_ih" + behind] = np.ascontiguousarray(weights[0].T)
    arrays["weight_hh" + behind] = np.ascontiguousarray(weights[1].T)
    if read.bias:
        arrays["bias_ih" + behind] = weights[2].copy()
        arrays["bias_hh" + behind] = np.zeros_like(weights[2])


def _check_expressible(spec: RecurrentSpec) -> None:
    rnn, keras = spec.cell.cell == "rnn", _CLASSES[spec.cell.cell]
    own = {"cell", "input_activation", "output_activation", "recurrent_dropout_on"}
    cell_fields = own | {"recurrent_dropout"} if rnn else own
    stack_fields = {"kind", "cell", "input_size", "hidden_size", "num_layers", "bidirectional", "bias"}
    for described, known in ((spec.cell, cell_fields), (spec, stack_fields)):
        for field in fields(described):
            value = getattr(described, field.name)
            if field.name not in known and field.default is not MISSING and value != field.default:
                raise ArgumentError(
                    f"to_keras: Keras' {keras} cannot express {field.name} (got {field.name}={value!r}); "
                    "peephole.nn.save_layer keeps it"
                )
    if not rnn and spec.cell.input_activation != spec.cell.output_activation:
        raise ArgumentError(
            "to_keras: Keras' LSTM has one activation, so that output_activation must be input_activation "
            f"(got {spec.cell.output_activation!r} and {spec.cell.input_activation!r})"
        )


def _keras_config(spec: RecurrentSpec, dtype: str, *, return_sequences: bool) -> tuple[str, dict[str, Any]]:
    rnn, class_name = spec.cell.cell == "rnn", _CLASSES[spec.cell.cell]
    config: dict[str, Any] = {
        "units": spec.hidden_size,
        "activation": _KERAS_ACTIVATIONS[spec.cell.input_activation],
        "use_bias": spec.bias,
        "return_sequences": return_sequences,
        "zero_output_for_mask": return_sequences,  # the output behind an end is 0, as here
        "dtype": dtype,
        **({"recurrent_dropout": spec.cell.recurrent_dropout} if rnn else {"recurrent_activation": "sigmoid"}),
    }
    if not spec.bidirectional:
        return class_name, config
    sides = {
        side: {"module": "keras.layers", "class_name": class_name, "config": {**config, "go_backwards": back}}
        for side, back in (("layer", False), ("backward_layer", True))
    }
    return "Bidirectional", {**sides, "merge_mode": "concat", "dtype": dtype}


def _keras_weights(spec: RecurrentSpec, arrays: Mapping[str, Array], behind: str) -> list[Array]:
    weights = [np.ascontiguousarray(arrays[name + behind].T) for name in ("weight_ih", "weight_hh")]
    return [*weights, arrays["bias_ih" + behind] + arrays["bias_hh" + behind]] if spec.bias else weights
