"""Which options of Keras' recurrent layers mean the same here, and what to do about those that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from peephole.errors import ArgumentError

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


class KerasLayer(NamedTuple):
    """A layer of Keras.

    Attributes:
        class_name: ``"LSTM"``, ``"SimpleRNN"``, ``"Bidirectional"`` or, between such layers, ``"Dropout"``.
        config: what ``layer.get_config()`` gives; an option that is left out has Keras' default.
        weights: what ``layer.get_weights()`` gives.

    Example:
        >>> import numpy as np
        >>> from peephole.conversion.keras_rules import KerasLayer
        >>> weights = [np.zeros((3, 32)), np.zeros((8, 32)), np.zeros(32)]
        >>> KerasLayer("LSTM", {"units": 8, "return_sequences": True}, weights).class_name
        'LSTM'
    """

    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array] = ()


class _Rule(NamedTuple):
    """The one value of an option that has a meaning here, and what to do about another."""

    value: object
    advice: str


LEAVE_OUT = "pass inference_only=True to leave out what acts in training alone"
_TRAINING = {
    "dropout": _Rule(
        0.0, f"Keras' dropout of the input has one mask for all steps; drop features before the layer, or {LEAVE_OUT}"
    ),
    "trainable": _Rule(True, f"freeze the converted layer with requires_grad_(False), and {LEAVE_OUT}"),
    **{
        name: _Rule(None, f"add it to the loss, or clip after each step, and {LEAVE_OUT}")
        for name in (
            *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer"),
            *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
        )
    },
}
_RUNNING = {
    "stateful": _Rule(False, "set layer.stateful = False and hand the state on as hx"),
    "go_backwards": _Rule(False, "turn the input round in time; only the second direction of a Bidirectional runs so"),
}
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "LSTM": {
        **_TRAINING,
        **_RUNNING,
        "recurrent_activation": _Rule("sigmoid", "the gates here are logistic; train the layer with sigmoid"),
        "recurrent_dropout": _Rule(
            0.0, f"Keras draws a mask for each gate of an LSTM, Peephole one for all; {LEAVE_OUT}"
        ),
    },
    "SimpleRNN": {**_TRAINING, **_RUNNING},
    "Bidirectional": {
        "merge_mode": _Rule("concat", "two directions stand side by side here; convert the two layers one by one"),
        "trainable": _TRAINING["trainable"],
    },
    "Dropout": {"noise_shape": _Rule(None, f"dropout between layers is drawn for every element here; {LEAVE_OUT}")},
}
_OTHERS = {
    "GRU": "the GRU is no cell of this family; train an LSTM",
    "Masking": "pass the other layers as a list, and lengths=lengths_from_mask(mask) to what comes out",
}
_NO_RESULT = {
    *("name", "dtype", "units", "activation", "use_bias", "return_sequences", "return_state", "zero_output_for_mask"),
    *("unroll", "seed", "unit_forget_bias", "kernel_initializer", "recurrent_initializer", "bias_initializer"),
}
_KNOWN = {
    "LSTM": {*_NO_RESULT, *_RULES["LSTM"]},
    "SimpleRNN": {*_NO_RESULT, *_RULES["SimpleRNN"], "recurrent_dropout"},
    "Bidirectional": {"name", "dtype", "layer", "backward_layer", *_RULES["Bidirectional"]},
    "Dropout": {"name", "dtype", "trainable", "rate", "seed", *_RULES["Dropout"]},
}
_NEEDED = {"LSTM": "units", "SimpleRNN": "units", "Dropout": "rate"}
_ACTS_IN_TRAINING = {**{name: rule.value for name, rule in _TRAINING.items()}, "recurrent_dropout": 0.0}


def for_inference(told: KerasLayer) -> KerasLayer:
    """The layer without what acts in training alone."""
    config = {name: _ACTS_IN_TRAINING.get(name, value) for name, value in told.config.items()}
    for name in ("layer", "backward_layer"):
        inner = config.get(name)
        if isinstance(inner, Mapping) and "config" in inner:
            own = cast("Mapping[str, Any]", inner)
            config[name] = {**own, "config": for_inference(KerasLayer("", own["config"])).config}
    return told._replace(config=config)


def check_config(where: str, told: KerasLayer) -> None:
    """Look that every option of a layer is known and has a meaning here.

    Args:
        where: what the message calls the layer.
        told: the layer.

    Raises:
        ArgumentError: for another class, an unknown option, or a value that has no counterpart.
    """
    if told.class_name not in _RULES:
        raise ArgumentError(
            f"from_keras: {where}: the layer must be LSTM, SimpleRNN, Bidirectional of one of them, or Dropout between "
            f"two (got {told.class_name}); {_OTHERS.get(told.class_name, 'pass the recurrent layers alone, as a list')}"
        )
    needed = _NEEDED.get(told.class_name)
    if needed is not None and needed not in told.config:
        raise ArgumentError(f"from_keras: {where}: config must have {needed} (got {', '.join(told.config)})")
    unknown = sorted(told.config.keys() - _KNOWN[told.class_name])
    if unknown:
        raise ArgumentError(f"from_keras: {where}: options that are not known here: {', '.join(unknown)}")
    for name, (value, advice) in _RULES[told.class_name].items():
        if told.config.get(name, value) != value:
            raise ArgumentError(f"from_keras: {where}: {name} must be {value!r} (got {told.config[name]!r}); {advice}")
