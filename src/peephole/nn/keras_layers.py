"""Recurrent layers of Keras into layers of ours, and back."""

from __future__ import annotations

import importlib
import warnings
from typing import Any, cast

import torch

from peephole.conversion import keras_weights
from peephole.conversion.keras_rules import KerasLayer
from peephole.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from peephole.nn.building import build_layer, tensors_of
from peephole.nn.lstm import LSTM
from peephole.nn.rnn import RNN
from peephole.weights import module_shapes


def from_keras(layer: object, *, inference_only: bool = False, device: torch.device | str | None = None) -> LSTM | RNN:
    """A layer that does what a recurrent layer of Keras 3 does, with its weights.

    Args:
        layer: a ``keras.layers.LSTM`` or ``SimpleRNN``, a ``Bidirectional`` of one of them, a list of such layers that
            stand one upon the other (``Dropout`` of one rate between them), or a ``Sequential`` of nothing else.
        inference_only: the layer will not be trained on: dropout, regularizers, constraints and ``trainable`` are left
            out, where some of them would be refused.
        device: where the parameters are made; the CPU if left out.

    Returns:
        :class:`LSTM` or :class:`RNN` with ``batch_first=True``, in the dtype of the weights. ``bias_hh`` is zero.

    Raises:
        ArgumentError: for what has no counterpart here, by name.
        ArgumentTypeError: for what is no layer of Keras, and for weights that are neither float32 nor float64.

    Example:
        >>> import keras  # without a backend beside torch: KERAS_BACKEND=torch
        >>> from peephole import nn
        >>> layer = keras.layers.LSTM(8, return_sequences=True)
        >>> layer.build((None, None, 3))
        >>> nn.from_keras(layer)
        LSTM(3, 8, batch_first=True)
    """
    converted = keras_weights.from_keras(
        [_told(one, place) for place, one in enumerate(_layers(layer))], inference_only=inference_only
    )
    tensors = {name: torch.from_numpy(array).to(device or "cpu") for name, array in converted.arrays.items()}  # pyright: ignore[reportUnknownMemberType]
    return build_layer(converted.spec, tensors, {"batch_first": True, "dropout": converted.dropout})


def to_keras(layer: LSTM | RNN, *, return_sequences: bool = True) -> list[Any]:
    """The layers of Keras 3 that do what a layer does, with its weights.

    Args:
        layer: of a cell that Keras has.
        return_sequences: whether the last layer gives its output at every step, or that of the last one alone.

    Returns:
        The layers, the first to run first, for ``keras.Sequential([...])``; with ``dropout`` there are ``Dropout``
        layers between them.

    Raises:
        ArgumentError: for what Keras' layers cannot express, by name.
        ArgumentTypeError: for another module, and for parameters that are neither float32 nor float64.
        MissingDependencyError: where Keras cannot be imported.

    Example:
        >>> import keras  # without a backend beside torch: KERAS_BACKEND=torch
        >>> from peephole import nn
        >>> model = keras.Sequential(nn.to_keras(nn.LSTM(3, 8, num_layers=2, batch_first=True)))
        >>> [type(layer).__name__ for layer in model.layers], tuple(model.compute_output_shape((2, 7, 3)))
        (['LSTM', 'LSTM'], (2, 7, 8))
    """
    given = cast(object, layer)
    if not isinstance(given, (LSTM, RNN)):
        raise ArgumentTypeError(f"to_keras: layer must be a peephole.nn.LSTM or RNN (got {type(given).__name__})")
    tensors = tensors_of(given, module_shapes(given.spec))
    dtype = next(iter(tensors.values())).dtype
    if dtype not in (torch.float32, torch.float64):
        raise ArgumentTypeError(f"to_keras: layer must be float32 or float64 (got {dtype}); convert it with .float()")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    told = keras_weights.to_keras(given.spec, arrays, dropout=given.dropout, return_sequences=return_sequences)
    return _made(told)


def _layers(layer: object) -> list[object]:
    if isinstance(layer, (list, tuple)):
        return list(cast("list[object]", layer))
    if not hasattr(layer, "layers"):
        return [layer]
    if type(layer).__name__ != "Sequential":
        raise ArgumentError(
            f"from_keras: a model must be a Sequential (got {type(layer).__name__}); "
            "pass its recurrent layers as a list, the first to run first"
        )
    return list(cast(Any, layer).layers)


def _told(layer: object, place: int) -> KerasLayer:
    if isinstance(layer, type) or not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        got = f"the class {layer.__name__}" if isinstance(layer, type) else type(layer).__name__
        raise ArgumentTypeError(f"from_keras: layers[{place}] must be a layer of Keras (got {got})")
    made = cast(Any, layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that Keras' way from torch to NumPy 2 is an old one
        weights = made.get_weights()
    return KerasLayer(type(layer).__name__, made.get_config(), weights)


def _made(layers: list[KerasLayer]) -> list[Any]:
    try:
        keras = cast(Any, importlib.import_module("keras"))
    except ImportError as error:
        raise MissingDependencyError(
            f"to_keras: keras must be installed, with the backend that KERAS_BACKEND names ({error}); "
            "pip install keras, and set KERAS_BACKEND=torch"
        ) from error
    made: list[Any] = []
    for told in layers:
        described = {"module": "keras.layers", "class_name": told.class_name, "config": dict(told.config)}
        layer = keras.layers.deserialize(described)
        if told.weights:
            layer.build((None, None, told.weights[0].shape[0]))
            layer.set_weights(list(told.weights))
        made.append(layer)
    return made
