"""Keras' layers as configurations and arrays: there and back, and what is refused by name. Keras itself: tests/nn."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from peephole.conversion.keras_rules import KerasLayer
from peephole.conversion.keras_weights import from_keras, lengths_from_mask, to_keras
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.spec import CellSpec, RecurrentSpec
from peephole.weights import module_shapes
from tests.cells import ALL_CELLS

KERAS_HAS = {"lstm", "logistic", "rnn", "rnn_logistic", "rnn_relu"}
"""The cells of the list that Keras has too."""


def arrays_of(spec: RecurrentSpec, dtype: str = "float32") -> dict[str, Any]:
    """Arrays all of whose elements differ."""
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in module_shapes(spec).items()}


def stack(cell: CellSpec | None = None, input_size: int = 3, hidden_size: int = 4, **others: Any) -> RecurrentSpec:
    return RecurrentSpec(cell=cell or CellSpec(), input_size=input_size, hidden_size=hidden_size, **others)


def told(spec: RecurrentSpec | None = None, **options: Any) -> KerasLayer:
    """The last layer of a stack, with other options."""
    spec = spec or stack()
    made = to_keras(spec, arrays_of(spec))[-1]
    return made._replace(config={**made.config, **options})


def inside(layer: KerasLayer, side: str, **options: Any) -> KerasLayer:
    """A Bidirectional, one of whose sides has other options."""
    inner = layer.config[side]
    return layer._replace(config={**layer.config, side: {**inner, "config": {**inner["config"], **options}}})


TWO_WAYS = stack(bidirectional=True)
STACKS = {
    "lstm": stack(),
    "stacked": stack(num_layers=3),
    "both_ways": TWO_WAYS,
    "stacked_both_ways": stack(num_layers=2, bidirectional=True),
    "no_bias": stack(num_layers=2, bias=False),
    "relu": stack(CellSpec(input_activation="relu", output_activation="relu")),
    "rnn": stack(CellSpec(cell="rnn", recurrent_dropout=0.25), num_layers=2, bidirectional=True),
    "rnn_identity": stack(CellSpec(cell="rnn", input_activation="identity")),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("spec", STACKS.values(), ids=STACKS)
def test_there_and_back_keeps_the_spec_and_every_weight(spec: RecurrentSpec, dropout: float, dtype: str) -> None:
    arrays = arrays_of(spec, dtype)
    back = from_keras(to_keras(spec, arrays, dropout=dropout))
    assert (back.spec, back.dropout) == (spec, dropout if spec.num_layers > 1 else 0.0)
    assert {name: array.shape for name, array in back.arrays.items()} == module_shapes(spec)
    for name, array in back.arrays.items():
        if name.startswith("bias_ih"):
            wanted = arrays[name] + arrays[name.replace("_ih", "_hh")]
        else:
            wanted = np.zeros_like(array) if name.startswith("bias_hh") else arrays[name]
        np.testing.assert_array_equal(array, wanted, err_msg=name)
        assert array.dtype == dtype


def test_what_is_taken_over_is_a_copy() -> None:
    layer = told()
    arrays = from_keras([layer]).arrays
    for array in layer.weights:
        array.fill(np.nan)
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("name", ALL_CELLS)
def test_a_cell_goes_to_keras_and_back_or_is_refused_by_name(name: str) -> None:
    cell = ALL_CELLS[name]
    spec = stack(cell, hidden_size=6)
    other = [field.name for field in dataclasses.fields(cell) if getattr(cell, field.name) != field.default]
    if name in KERAS_HAS:
        assert from_keras(to_keras(spec, arrays_of(spec))).spec == spec
        return
    with pytest.raises(ArgumentError, match=r"^to_keras: Keras' \w+ (cannot express|has one)") as refused:
        to_keras(spec, arrays_of(spec))
    assert any(field in str(refused.value) for field in other if field != "cell")


@pytest.mark.parametrize("option", ["residual", "learned_state"])
def test_a_stack_that_keras_has_not_is_refused_by_name(option: str) -> None:
    spec = dataclasses.replace(stack(), num_layers=2, **{option: True})
    with pytest.raises(ArgumentError, match=f"to_keras: Keras' LSTM cannot express {option}"):
        to_keras(spec, arrays_of(spec))


def test_two_activations_are_one_too_many_for_keras() -> None:
    spec = stack(CellSpec(output_activation="identity"))
    with pytest.raises(ArgumentError, match=r"to_keras: .*output_activation"):
        to_keras(spec, arrays_of(spec))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_ih_l0": None}, "missing 'weight_ih_l0'"),
        ({"weight_ih_l1": np.zeros((16, 4), np.float32)}, "unknown 'weight_ih_l1'"),
        ({"weight_ih_l0": np.zeros((16, 2), np.float32)}, r"weight_ih_l0 must have the shape \[16, 3\] \(got"),
    ],
)
def test_arrays_that_do_not_fit_are_told(change: dict[str, Any], message: str) -> None:
    arrays = {name: array for name, array in {**arrays_of(stack()), **change}.items() if array is not None}
    with pytest.raises(ArgumentError, match=message):
        to_keras(stack(), arrays)


@pytest.mark.parametrize("dtype", ["float16", "int64"])
def test_other_dtypes_are_refused_both_ways(dtype: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"to_keras: arrays must be all float32 .*{dtype}"):
        to_keras(stack(), arrays_of(stack(), dtype))
    layer = told()
    layer = layer._replace(weights=[array.astype(dtype) for array in layer.weights])
    with pytest.raises(ArgumentTypeError, match=rf"from_keras: layers\[0\] \(LSTM\): weights must be .*{dtype}"):
        from_keras([layer])


OPTIONS: dict[str, Any] = {
    "recurrent_activation": "hard_sigmoid",
    "dropout": 0.1,
    "recurrent_dropout": 0.1,
    "stateful": True,
    "go_backwards": True,
    "trainable": False,
    "activation": "gelu",
    "kernel_regularizer": {"class_name": "L2"},
    "recurrent_regularizer": {"class_name": "L2"},
    "bias_regularizer": {"class_name": "L2"},
    "activity_regularizer": {"class_name": "L2"},
    "kernel_constraint": {"class_name": "MaxNorm"},
    "recurrent_constraint": {"class_name": "MaxNorm"},
    "bias_constraint": {"class_name": "MaxNorm"},
}
IN_TRAINING_ALONE = OPTIONS.keys() - {"recurrent_activation", "stateful", "go_backwards", "activation"}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_without_a_counterpart_is_refused_by_name(option: str) -> None:
    wrong = told(**{option: OPTIONS[option]})
    with pytest.raises(ArgumentError, match=rf"^from_keras: layers\[0\] \(LSTM\): {option} must be "):
        from_keras([wrong])
    side = "layer" if option == "go_backwards" else "backward_layer"
    wrong = inside(told(TWO_WAYS), side, **{option: OPTIONS[option]})
    with pytest.raises(ArgumentError, match=rf"^from_keras: layers\[0\] \(Bidirectional\)\.\w+: {option} must be "):
        from_keras([wrong])


@pytest.mark.parametrize("option", sorted(IN_TRAINING_ALONE))
@pytest.mark.parametrize("spec", [stack(), TWO_WAYS], ids=["lstm", "both_ways"])
def test_for_inference_what_acts_in_training_alone_is_left_out(spec: RecurrentSpec, option: str) -> None:
    right = told(spec)
    wrong = (
        inside(right, "layer", **{option: OPTIONS[option]}) if spec.bidirectional else told(**{option: OPTIONS[option]})
    )
    dropout = KerasLayer("Dropout", {"rate": 0.5})
    got = from_keras([wrong, dropout], inference_only=True)
    assert (got.spec, got.dropout) == (spec, 0.0)
    for name, array in from_keras([right]).arrays.items():
        np.testing.assert_array_equal(got.arrays[name], array)


@pytest.mark.parametrize("option", sorted(OPTIONS.keys() - IN_TRAINING_ALONE))
def test_for_inference_the_rest_is_refused_still(option: str) -> None:
    with pytest.raises(ArgumentError, match=f"{option} must be "):
        from_keras([told(**{option: OPTIONS[option]})], inference_only=True)


@pytest.mark.parametrize("mode", ["sum", "mul", "ave", None])
def test_directions_that_do_not_stand_side_by_side_are_refused(mode: str | None) -> None:
    with pytest.raises(ArgumentError, match=rf"\(Bidirectional\): merge_mode must be 'concat' \(got {mode!r}\)"):
        from_keras([told(TWO_WAYS, merge_mode=mode)])


@pytest.mark.parametrize("name", ["GRU", "Dense", "Masking", "Embedding", "RNN", "ConvLSTM1D"])
def test_other_layers_are_refused_by_name(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"layers\[1\] \({name}\): the layer must be LSTM.*\(got {name}\)"):
        from_keras([told(), KerasLayer(name, {})])
    both = told(TWO_WAYS)
    both = both._replace(config={**both.config, "layer": {"class_name": name, "config": {}}})
    with pytest.raises(ArgumentError, match=rf"\(Bidirectional\).*\(got {name}\)"):
        from_keras([both])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "at least one recurrent layer"),
        ([KerasLayer("Dropout", {"rate": 0.1})], "at least one recurrent layer"),
        ([told(novel=1)], "options that are not known here: novel"),
        ([KerasLayer("LSTM", {}, told().weights)], "config must have units"),
        ([KerasLayer("Bidirectional", {"layer": 3})], "config must describe the layer within"),
        ([told()._replace(weights=[])], "no weights yet; call it once, or build it"),
        ([told()._replace(weights=told().weights[:2])], r"weights must be kernel, recurrent_kernel, bias \(got 2"),
        ([told(units=5)], r"kernel must have the shape \[3, 20\] \(got \[3, 16\]\)"),
        ([told(), told(return_sequences=False)], "must take the 4 features of .*got 3"),
        ([told(return_sequences=False), told(stack(input_size=4))], "return_sequences must be True below"),
        ([told(), told(stack(input_size=4, hidden_size=5))], r"units must be that of layers\[0\] \(LSTM\), 4 \(got 5"),
        ([told(), told(stack(CellSpec(cell="rnn"), input_size=4))], "the class must be that of .*'LSTM'"),
        ([told(), told(stack(input_size=4, bias=False))], "use_bias must be that of"),
        ([told(), told(stack(input_size=4, bidirectional=True))], "Bidirectional must be that of"),
        ([told(), told(stack(input_size=4), activation="relu")], "activation must be that of .*'tanh'.*'relu'"),
        ([inside(told(TWO_WAYS), "backward_layer", activation="relu")], "activation must be that of"),
    ],
)
def test_layers_that_make_no_stack_are_told(wrong: list[KerasLayer], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_keras(wrong)


HALF, TENTH = KerasLayer("Dropout", {"rate": 0.5}), KerasLayer("Dropout", {"rate": 0.1})
UPPER = told(stack(input_size=4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([HALF, told()], r"layers\[0\] \(Dropout\): dropout must stand alone between"),
        ([told(), HALF], r"layers\[1\] \(Dropout\): dropout must stand alone between"),
        ([told(), HALF, HALF, UPPER], r"layers\[2\] \(Dropout\): dropout must stand alone between"),
        ([told(), HALF, UPPER, TENTH, UPPER], r"one rate between all recurrent layers \(got 0.1, 0.5\)"),
        ([told(), UPPER, TENTH, UPPER], r"one rate between all recurrent layers \(got 0.0, 0.1\)"),
        ([told(), KerasLayer("Dropout", {"rate": 0.1, "noise_shape": [1]}), UPPER], r"noise_shape must be None"),
    ],
)
def test_dropout_elsewhere_than_between_the_layers_is_refused(wrong: list[KerasLayer], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_keras(wrong)


def test_a_mask_becomes_lengths() -> None:
    mask = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
    assert lengths_from_mask(mask).tolist() == [3, 1, 0, 2]
    assert lengths_from_mask(mask.tolist()).tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize("row", [[0, 1, 1], [1, 0, 1], [0, 0, 1]])
def test_a_mask_with_a_hole_is_refused(row: list[int]) -> None:
    with pytest.raises(ArgumentError, match=r"valid steps of a sequence must come first \(got sequence 1, where step"):
        lengths_from_mask(np.array([[1, 1, 1], row], bool))


@pytest.mark.parametrize("mask", [np.ones((2, 3)), np.ones(3, bool), [[1, 0]], None])
def test_what_is_no_mask_is_refused(mask: object) -> None:
    with pytest.raises(ArgumentTypeError, match=r"mask must be \[B, T\] of bool"):
        lengths_from_mask(mask)


def test_conversion_needs_neither_keras_nor_torch() -> None:
    code = "import sys, peephole.conversion.keras_weights; assert not {'keras', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
