"""What is read from an ONNX file is what stands there, to the bit; what our cells cannot do is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest

from peephole.conversion.onnx_export import layer_model
from peephole.conversion.onnx_import import OnnxLayer, read_layers
from peephole.conversion.onnx_operator import refusals
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.spec import VARIANTS, CellSpec, RecurrentSpec
from tests.cells import CELLS
from tests.conversion.modules import module, run
from tests.conversion.sessions import close, noise, stack, weights_of

_onnx = cast(Any, onnx)
HAS_ALL_GATES = [
    name
    for name, cell in CELLS.items()
    if not refusals(cell) and cell.cells_per_block == 1 and (cell.cell == "rnn" or {"i", "o"} <= {*cell.gates})
    and (cell.coupled or cell.cell == "rnn" or "f" in cell.gates)
]  # fmt: skip
WRITTEN_AS_AN_EQUAL = [name for name, cell in CELLS.items() if not refusals(cell) and name not in HAS_ALL_GATES]


def _model(cell: CellSpec | None = None, **options: Any) -> Any:
    spec = stack(cell or CellSpec(), **options)
    return layer_model(spec, weights_of(spec))


def _node(model: Any, at: int = 0) -> Any:
    return [node for node in model.graph.node if node.op_type in ("LSTM", "RNN")][at]


def _set(model: Any, name: str, value: object) -> Any:
    """The model with one attribute of its first node changed."""
    node = _node(model)
    for entry in [entry for entry in node.attribute if entry.name == name]:
        node.attribute.remove(entry)
    node.attribute.append(_onnx.helper.make_attribute(name, value))
    return model


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("name", HAS_ALL_GATES)
def test_there_and_back_keeps_every_bit(name: str, bidirectional: bool, bias: bool) -> None:
    spec = stack(CELLS[name], bidirectional=bidirectional, num_layers=3, bias=bias)
    weights = weights_of(spec, dtype="float64")
    (found,) = read_layers(layer_model(spec, weights, lengths=True, initial_state=True))
    of_use = spec.cell.replace(truncated=False, recurrent_dropout=0.0, recurrent_dropout_on="hidden")
    assert found.spec == RecurrentSpec(
        cell=of_use, input_size=4, hidden_size=6, num_layers=3, bidirectional=bidirectional, bias=bias
    )
    assert list(found.weights) == list(weights)
    for key, array in weights.items():
        assert found.weights[key].dtype == array.dtype
        np.testing.assert_array_equal(found.weights[key], array)


@pytest.mark.parametrize("name", WRITTEN_AS_AN_EQUAL)
def test_what_is_written_as_an_equal_comes_back_as_one(name: str) -> None:
    spec = stack(CELLS[name], bidirectional=True)
    weights, x = weights_of(spec, dtype="float64"), noise(5, 3, 4, dtype="float64")
    (found,) = read_layers(layer_model(spec, weights))
    assert found.spec.cell.cells_per_block == 1
    expected = run(module(spec, weights), x, lengths=[5, 1, 3])
    for key, array in run(module(found.spec, found.weights), x, lengths=[5, 1, 3]).items():
        close(array, expected[key], "nn_order_of_sums")


def test_one_node_is_read_by_its_name() -> None:
    spec = stack(CellSpec(peepholes=True), bidirectional=True, num_layers=2)
    weights = weights_of(spec)
    model = layer_model(spec, weights)
    (found,) = read_layers(model, node="Y_l1")
    assert (list(found.nodes), found.spec.input_size, found.spec.num_layers) == (["Y_l1"], 12, 1)
    np.testing.assert_array_equal(found.weights["weight_ih_l0"], weights["weight_ih_l1"])
    with pytest.raises(ArgumentError, match="an LSTM or RNN node called 'Y_l2'"):
        read_layers(model, node="Y_l2")


def test_layers_whose_features_others_read_stay_apart() -> None:
    model = _model(num_layers=2)
    model.graph.output.append(_onnx.helper.make_tensor_value_info("features_l0", 1, None))
    assert [found.spec.num_layers for found in read_layers(model)] == [1, 1]


@pytest.mark.parametrize("change", ["another size", "another place", "another cell"])
def test_layers_with_something_between_stay_apart(change: str) -> None:
    model = _model(num_layers=2, bidirectional=True)
    if change == "another size":
        shape = next(entry for entry in model.graph.initializer if entry.name == "side_by_side")
        shape.CopyFrom(_onnx.numpy_helper.from_array(np.array([-1, 3, 12]), "side_by_side"))
    elif change == "another place":
        turned = next(node for node in model.graph.node if node.op_type == "Transpose")
        turned.attribute[0].CopyFrom(_onnx.helper.make_attribute("perm", [0, 2, 3, 1]))
    else:
        _set(model, "input_forget", 1)
    assert [found.spec.num_layers for found in read_layers(model)] == [1, 1]


def _with_states(model: Any, batch: int, *names: str) -> Any:
    """The model with constants for the initial state, and for the lengths where they are named."""
    node = _node(model)
    node.input.extend([""] * (8 - len(node.input)))
    for at, name in ((4, "lengths"), (5, "h"), (6, "c")):
        if name in names:
            array = np.arange(batch, dtype=np.int32) if name == "lengths" else noise(2, batch, 6, seed=at)
            model.graph.initializer.append(_onnx.numpy_helper.from_array(array, name))
            node.input[at] = name
    return model


@pytest.mark.parametrize("given", [("h", "c", "lengths"), ("c",), ("h",)], ids=" ".join)
def test_constant_states_and_lengths_are_given_back(given: tuple[str, ...]) -> None:
    (found,) = read_layers(_with_states(_model(bidirectional=True), 3, *given))
    assert found.state is not None
    for name, at, part in zip("hc", (5, 6), found.state, strict=True):
        np.testing.assert_array_equal(part, noise(2, 3, 6, seed=at) if name in given else np.zeros((2, 3, 6)))
    if "lengths" in given:
        np.testing.assert_array_equal(cast(Any, found.lengths), [0, 1, 2])
    else:
        assert found.lengths is None


def test_what_the_graph_makes_is_named() -> None:
    spec = stack(CellSpec())
    (found,) = read_layers(layer_model(spec, weights_of(spec), lengths=True, initial_state=True))
    assert found.state is None
    assert found.lengths is None
    assert found.nodes == {
        "Y_l0": {"X": "input", "sequence_lens": "sequence_lens", "initial_h": "h_0", "initial_c": "c_0"}
    }


@pytest.mark.parametrize("name", ["lstm", "rnn"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
def test_a_learned_state_comes_back(name: str, bidirectional: bool) -> None:
    sizes: dict[str, Any] = {"input_size": 4, "hidden_size": 6, "num_layers": 3, "bidirectional": bidirectional}
    spec = RecurrentSpec(cell=VARIANTS[name].spec, learned_state=True, **sizes)
    weights = weights_of(spec)
    (found,) = read_layers(layer_model(spec, weights, lengths=True))
    assert found.spec == spec
    assert [*found.nodes["Y_l0"]] == ["X", "sequence_lens"]
    for key, array in weights.items():
        np.testing.assert_array_equal(found.weights[key], array)


def test_nodes_of_one_name_are_told_apart() -> None:
    model = _model(num_layers=2)
    for at in range(2):
        _node(model, at).name = "LSTM"
    (found,) = read_layers(model)
    assert [*found.nodes] == ["Y_l0", "Y_l1"]
    with pytest.raises(ArgumentError, match=r"which 2 have\); name its first output, such as 'Y_l0'"):
        read_layers(model, node="LSTM")
    assert read_layers(model, node="Y_l1")[0].spec.input_size == 6


def test_weights_that_are_only_moved_about_are_constants() -> None:
    model = _model()
    (expected,) = read_layers(model)
    W = next(entry for entry in model.graph.initializer if entry.name == "W_l0")
    W.CopyFrom(_onnx.numpy_helper.from_array(_onnx.numpy_helper.to_array(W)[0].T.copy(), "W_turned"))
    model.graph.initializer.append(_onnx.numpy_helper.from_array(np.array([0]), "axis"))
    model.graph.node.insert(0, _onnx.helper.make_node("Transpose", ["W_turned"], ["W_flat"], perm=[1, 0]))
    model.graph.node.insert(1, _onnx.helper.make_node("Unsqueeze", ["W_flat", "axis"], ["W_l0"]))
    (found,) = read_layers(model)
    np.testing.assert_array_equal(found.weights["weight_ih_l0"], expected.weights["weight_ih_l0"])


def _computed(model: Any) -> Any:
    W = next(entry for entry in model.graph.initializer if entry.name == "W_l0")
    W.name = "before"
    model.graph.node.insert(0, _onnx.helper.make_node("Neg", ["before"], ["W_l0"]))
    return model


def _halved(model: Any) -> Any:
    for entry in model.graph.initializer:
        array = _onnx.numpy_helper.to_array(entry)
        entry.CopyFrom(_onnx.numpy_helper.from_array(array.astype(np.float16), entry.name))
    return model


def _misshapen(model: Any) -> Any:
    B = next(entry for entry in model.graph.initializer if entry.name == "B_l0")
    B.CopyFrom(_onnx.numpy_helper.from_array(_onnx.numpy_helper.to_array(B)[:, :-1].copy(), "B_l0"))
    return model


def _branched(model: Any) -> Any:
    inner = _onnx.helper.make_graph(list(model.graph.node), "branch", [], list(model.graph.output))
    made = _onnx.helper.make_node("If", ["yes"], ["y"], "choice", then_branch=inner, else_branch=inner)
    del model.graph.node[:]
    model.graph.node.append(made)
    return model


def _without(model: Any) -> Any:
    for node in model.graph.node:
        node.op_type = "GRU"
    return model


def _not_a_number(model: Any) -> Any:
    R = next(entry for entry in model.graph.initializer if entry.name == "R_l0")
    R.CopyFrom(_onnx.numpy_helper.from_array(np.full(list(R.dims), np.nan, np.float32), "R_l0"))
    return model


def _cut(model: Any) -> Any:
    del _node(model).input[2:]
    return model


SIGMOID = ["Sigmoid", "Tanh", "Tanh"]
REFUSED: dict[str, tuple[Any, str]] = {
    "reverse": (lambda: _set(_model(), "direction", "reverse"), "direction must be forward or bidirectional"),
    "clip": (lambda: _set(_model(), "clip", 3.0), r"clip has no place in our cells \(got 3.0\)"),
    "HardSigmoid": (lambda: _set(_model(), "activations", ["HardSigmoid", "Tanh", "Tanh"]), r"got HardSigmoid\)"),
    "gates of tanh": (lambda: _set(_model(), "activations", ["Tanh"] * 3), "of the gates must be Sigmoid"),
    "two directions": (
        lambda: _set(_model(bidirectional=True), "activations", [*SIGMOID, "Sigmoid", "Relu", "Tanh"]),
        "the same in each direction",
    ),
    "too few activations": (lambda: _set(_model(bidirectional=True), "activations", SIGMOID), "must be 3, the same"),
    "Affine": (
        lambda: _set(_model(VARIANTS["no_output_activation"].spec), "activation_alpha", [0.5]),
        r"Affine must be 1·z \+ 0",
    ),
    "an unknown attribute": (lambda: _set(_model(), "leaky", 1), "the attribute leaky is not known"),
    "computed weights": (lambda: _computed(_model()), "W must be a constant"),
    "another size": (lambda: _set(_model(), "hidden_size", 7), "R must be of 7 units and 1 directions"),
    "misshapen": (lambda: _misshapen(_model()), r"B must have the shape \[1, 48\] \(got \[1, 47\]\)"),
    "not a number": (lambda: _not_a_number(_model()), "R holds values that are NaN or infinite"),
    "no weights": (lambda: _cut(_model()), "it must have W and R"),
    "a state of another size": (lambda: _with_states(_model(), 3, "h"), "must have 1 directions and 6 units"),
    "in a branch": (lambda: _branched(_model()), "must stand in the main graph"),
    "none": (lambda: _without(_model()), r"must have an LSTM or RNN node \(got GRU"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_our_cells_cannot_do_is_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        read_layers(make())


def test_a_tensor_of_another_size_than_it_says_is_refused() -> None:
    model = _model()
    model.graph.initializer[0].raw_data = b"abc"
    with pytest.raises(ArtifactError, match=r"load_onnx: the tensor .* cannot be read"):
        read_layers(model)


def test_half_precision_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="got float16"):
        read_layers(_halved(_model()))


@pytest.mark.parametrize("content", [None, b"", b"no protobuf at all"], ids=["missing", "empty", "garbage"])
def test_what_is_no_onnx_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "layer.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"give the path of an \.onnx file"):
        read_layers(file)


def _torch_exported(tmp_path: Path) -> list[OnnxLayer]:
    """What is read from the file that torch's exporter makes of two of torch's own layers."""
    import torch

    layer = torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=True)
    file = tmp_path / "theirs.onnx"
    cast(Any, torch.onnx).export(layer.eval(), (torch.zeros(3, 5, 4),), file, dynamo=True, verbose=False)
    found = read_layers(file)
    for at, each in enumerate(found):
        for name, array in each.weights.items():
            own = name.replace("_l0", f"_l{at}")
            np.testing.assert_array_equal(array, layer.get_parameter(own).detach().numpy())
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_layers_of_torchs_exporter_are_read(tmp_path: Path) -> None:
    found = _torch_exported(tmp_path)
    assert [each.spec.bidirectional for each in found] == [True, True]
