"""ONNX Runtime gives our numbers for every cell that the operators can express; every other is refused by name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest

from peephole.conversion.onnx_export import layer_model
from peephole.conversion.onnx_graph import write_model
from peephole.conversion.onnx_operator import ALWAYS_OPEN, refusals, refused_fields
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError, MissingDependencyError
from peephole.spec import VARIANTS, CellSpec, RecurrentSpec
from tests.cells import ALL_CELLS
from tests.conversion.modules import module, run
from tests.conversion.pages import refused, table
from tests.conversion.sessions import LENGTHS, Session, close, noise, stack, states_of, weights_of

NO_GATES = CellSpec(input_gate=False, forget_gate=False, output_gate=False)


def _said_of(name: str) -> set[str]:
    """What the page says is refused of a cell of ``tests.cells``."""
    cell = ALL_CELLS[name]
    found = set[str]() if name == "everything_at_once" else refused(table("variant")[name.partition("-")[0]])
    if cell.peepholes and cell.cells_per_block > 1:
        found |= refused(table("besides")["several cells per block with peepholes"])
    if cell.proj_size:
        found |= refused(table("besides")["projection"])
    return found


@pytest.mark.parametrize("name", [name for name in ALL_CELLS if name != "everything_at_once"])
def test_the_page_says_what_is_refused(name: str) -> None:
    spec = stack(ALL_CELLS[name])
    assert set(refusals(spec)) == _said_of(name)
    if not _said_of(name):
        return
    with pytest.raises(ArgumentError, match="must be able to express") as caught:
        layer_model(spec, weights_of(spec))
    assert all(field in str(caught.value) for field in _said_of(name))


def test_the_page_lists_every_variant() -> None:
    assert list(table("variant")) == list(VARIANTS)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("name", [name for name, cell in ALL_CELLS.items() if not refusals(cell)])
def test_onnx_runtime_gives_the_same(name: str, bidirectional: bool) -> None:
    spec = stack(ALL_CELLS[name], bidirectional=bidirectional, num_layers=2)
    weights = weights_of(spec)
    session = Session(layer_model(spec, weights, lengths=True, initial_state=True))
    ours = module(spec, weights)
    for lengths in LENGTHS:
        x, states = noise(max(lengths), len(lengths), 4), states_of(spec, len(lengths))
        expected = run(ours, x, states, lengths=lengths)
        found = session(input=x, lengths=np.array(lengths), **states)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            close(found[key], array, "onnx_runtime_float32")


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("name", ["lstm", "no_forget_gate", "coupled_peephole", "rnn"])
def test_nothing_optional_is_needed(name: str, bias: bool) -> None:
    spec = stack(VARIANTS[name].spec, bidirectional=True, bias=bias)
    weights = weights_of(spec)
    session = Session(layer_model(spec, weights, batch_first=True))
    assert session.inputs == ["input"]
    ours = module(spec, weights, batch_first=True)
    for shape in ((2, 5, 4), (1, 1, 4), (4, 3, 4)):
        x = noise(*shape)
        expected = run(ours, x)
        for key, array in session(input=x).items():
            close(array, expected[key], "onnx_runtime_float32")


@pytest.mark.parametrize("units", [1, 5, 37])
def test_an_always_open_gate_is_exactly_one(units: int) -> None:
    for dtype in (np.float32, np.float64):
        assert 1 / (1 + np.exp(-dtype(ALWAYS_OPEN))) == 1
    spec = RecurrentSpec(cell=NO_GATES, input_size=4, hidden_size=units)
    model = layer_model(spec, weights_of(spec))
    wide_open = onnx.ModelProto()
    wide_open.CopyFrom(model)
    bias = next(entry for entry in wide_open.graph.initializer if entry.name == "B_l0")
    values = cast("np.ndarray[Any, Any]", onnx.numpy_helper.to_array(bias))
    assert (values == ALWAYS_OPEN).sum() == 3 * units
    bias.CopyFrom(onnx.numpy_helper.from_array(np.where(values == ALWAYS_OPEN, np.float32(1000), values), "B_l0"))
    x = noise(6, 3, 4)
    one, other = Session(model)(input=x), Session(wide_open)(input=x)
    for key, array in one.items():
        np.testing.assert_array_equal(array, other[key])


@pytest.mark.parametrize("name", ["coupled", "coupled_peephole", "coupled-3_cells"])
def test_coupled_gates_are_right_where_input_forget_is_not_known(name: str) -> None:
    spec = stack(ALL_CELLS[name], bidirectional=True)
    model = layer_model(spec, weights_of(spec))
    x = noise(5, 3, 4)
    expected = Session(model)(input=x)
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    node.attribute.remove(next(entry for entry in node.attribute if entry.name == "input_forget"))
    for key, array in Session(model)(input=x).items():
        close(array, expected[key], "onnx_runtime_float32")


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
def test_float64_is_valid_onnx_that_onnx_runtime_refuses(bidirectional: bool) -> None:
    spec = stack(CellSpec(), bidirectional=bidirectional)
    weights = weights_of(spec, dtype="float64")
    model, x = layer_model(spec, weights), noise(5, 3, 4, dtype="float64")
    with pytest.raises(Exception, match="does not support double"):
        Session(model)(input=x)
    rounded = {name: array.astype(np.float32) for name, array in weights.items()}
    found = Session(layer_model(spec, weights, dtype="float32"))(input=x.astype(np.float32))
    for key, array in Session(layer_model(spec, rounded))(input=x.astype(np.float32)).items():
        np.testing.assert_array_equal(found[key], array)


def test_float64_keeps_every_bit() -> None:
    import onnx.reference

    spec = stack(CellSpec())
    weights, x = weights_of(spec, dtype="float64"), noise(5, 3, 4, dtype="float64")
    evaluator = cast(Any, onnx.reference.ReferenceEvaluator)(layer_model(spec, weights))
    expected = run(module(spec, weights), x)
    for key, array in zip(("output", "h_n", "c_n"), evaluator.run(None, {"input": x}), strict=True):
        assert array.dtype == np.float64
        close(array, expected[key], "onnx_reference_float64")


@dataclass(frozen=True)
class _Later:
    """A spec with a field that came after the export was written."""

    known: int
    unheard_of: bool = False


def test_what_the_export_has_never_heard_of_is_refused() -> None:
    assert refused_fields(_Later(1), frozenset({"known"}), {}) == {}
    assert list(refused_fields(_Later(1, unheard_of=True), frozenset({"known"}), {})) == ["unheard_of"]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("input_size", [4, 6, 12])
def test_residual_stacks_give_the_same(input_size: int, bidirectional: bool) -> None:
    sizes: dict[str, Any] = {"input_size": input_size, "hidden_size": 6, "num_layers": 3}
    spec = RecurrentSpec(cell=CellSpec(peepholes=True), **sizes, bidirectional=bidirectional, residual=True)
    weights = weights_of(spec)
    session, ours = Session(layer_model(spec, weights, lengths=True)), module(spec, weights)
    x, lengths = noise(5, 3, input_size), [5, 0, 2]
    expected = run(ours, x, lengths=lengths)
    for key, array in session(input=x, lengths=np.array(lengths)).items():
        close(array, expected[key], "onnx_runtime_float32")


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_padding_changes_nothing(residual: bool) -> None:
    spec = RecurrentSpec(input_size=6, hidden_size=6, num_layers=2, residual=residual)
    session = Session(layer_model(spec, weights_of(spec), lengths=True))
    x, lengths = noise(5, 3, 6), np.array([5, 0, 2])
    expected = session(input=x, lengths=lengths)
    x[lengths[1] :, 1], x[lengths[2] :, 2] = np.nan, np.inf
    for key, array in session(input=x, lengths=lengths).items():
        np.testing.assert_array_equal(array, expected[key])


def test_weights_that_do_not_fit_are_refused() -> None:
    spec = stack(CellSpec())
    good = weights_of(spec)
    with pytest.raises(ArgumentError, match="missing 'bias_hh_l0'; unknown 'more'"):
        layer_model(spec, {**{name: q for name, q in good.items() if name != "bias_hh_l0"}, "more": good["bias_hh_l0"]})
    with pytest.raises(ArgumentError, match=r"weight_hh_l0 must have the shape \[24, 6\] \(got \[6, 24\]\)"):
        layer_model(spec, {**good, "weight_hh_l0": good["weight_hh_l0"].T})
    with pytest.raises(ArgumentTypeError, match="got float16"):
        layer_model(spec, {name: q.astype(np.float16) for name, q in good.items()})
    with pytest.raises(ArgumentError, match="dtype must be"):
        layer_model(spec, good, dtype=cast(Any, "float16"))


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    spec = stack(CellSpec())
    model = layer_model(spec, weights_of(spec))
    file = tmp_path / "layer.onnx"
    write_model(file, model)
    before = file.read_bytes()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ArgumentError, match="no valid ONNX"):
        write_model(file, model)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ArgumentError, match="the folder of path must exist"):
        write_model(tmp_path / "nowhere" / "layer.onnx", model)


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    spec = stack(CellSpec())
    with pytest.raises(ArtifactError, match="taken cannot be written"):
        write_model(tmp_path / "taken", layer_model(spec, weights_of(spec)))
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_without_onnx_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    spec = stack(CellSpec())
    with pytest.raises(MissingDependencyError, match=r"pip install peephole\[onnx\]"):
        layer_model(spec, weights_of(spec))


def test_a_graph_has_no_shape_of_a_call_in_it() -> None:
    spec = stack(CellSpec(), bidirectional=True, num_layers=2)
    model = layer_model(spec, weights_of(spec), lengths=True, initial_state=True)
    free = {dim.dim_param for entry in model.graph.input for dim in entry.type.tensor_type.shape.dim} - {""}
    assert free == {"time", "batch"}
