"""A cell is one step of its layer, and the plain ones are torch's."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError, PeepholeError
from peephole.nn import LSTM, RNN, LSTMCell, RNNCell
from peephole.spec import VARIANTS, CellSpec
from tests.cells import EVERYTHING_AT_ONCE
from tests.nn.cases import close, gradients, gradients_are_right, noise, set_seed, state_of, tensors, total

CELLS: dict[str, CellSpec] = {name: one.spec for name, one in VARIANTS.items()} | {
    "everything_at_once": EVERYTHING_AT_ONCE,
    "projected": CellSpec(proj_size=2),
}


def _pair(spec: CellSpec, *, training: bool = True) -> tuple[LSTMCell | RNNCell, LSTM | RNN]:
    """A cell and a layer of the same parameters; those of a norm are moved off the identity."""
    settings: dict[str, Any] = {"variant": spec, "dtype": torch.float64}
    cell = LSTMCell(4, 6, **settings) if spec.cell == "lstm" else RNNCell(4, 6, **settings)
    layer = LSTM(4, 6, **settings) if spec.cell == "lstm" else RNN(4, 6, **settings)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if name.startswith("norm_"):
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    layer.load_state_dict({f"{name}_l0": q for name, q in cell.state_dict().items()})
    return cell.train(training), layer.train(training)


def _step_through(cell: LSTMCell | RNNCell, x: Tensor, state: Any, mask: Tensor | None = None) -> tuple[Tensor, Any]:
    outputs: list[Tensor] = []
    for one in x:
        state = cast(Any, cell)(one, state, mask=mask)
        outputs.append(tensors(state)[0])
    return torch.stack(outputs), state


def _first_layer(state: Any) -> Any:
    parts = [q[0] for q in tensors(state)]
    return parts[0] if isinstance(state, Tensor) else tuple(parts)


@pytest.mark.parametrize(
    ("theirs", "made", "arguments"),
    [
        (torch.nn.LSTMCell, LSTMCell, {}),
        (torch.nn.LSTMCell, LSTMCell, {"bias": False}),
        (torch.nn.RNNCell, RNNCell, {}),
        (torch.nn.RNNCell, RNNCell, {"nonlinearity": "relu"}),
    ],
)
def test_a_plain_cell_gives_torchs_bits_forward_and_backward(theirs: Any, made: Any, arguments: dict[str, Any]) -> None:
    cell, other = made(4, 6, **arguments), theirs(4, 6, **arguments)
    other.load_state_dict(cell.state_dict())
    x = noise(3, 4, dtype=torch.float32, gradient=True)
    ours, expected = (tensors(one(x, one(x))) for one in (cell, other))
    close(ours, expected, "nn_same_bits")
    gradient = gradients(total(ours[0]), [x, *cell.parameters()])
    close(gradient, gradients(total(expected[0]), [x, *other.parameters()]), "nn_same_bits")


@pytest.mark.parametrize("name", list(CELLS))
def test_stepping_a_cell_equals_the_layer_forward_and_backward(name: str) -> None:
    cell, layer = _pair(CELLS[name], training=False)
    x, hx = noise(5, 3, 4, gradient=True), state_of(layer, 3, gradient=True)
    expected, actual = layer(x, hx), _step_through(cell, x, _first_layer(hx))
    close([actual[0], *(q.unsqueeze(0) for q in tensors(actual[1]))], tensors(expected), "nn_order_of_sums")
    wanted = [x, *tensors(hx)]
    close(
        gradients(total(actual[0]), [*wanted, *cell.parameters()]),
        gradients(total(expected[0]), [*wanted, *layer.parameters()]),
        "nn_torch_float64",
    )


@pytest.mark.parametrize("name", list(CELLS))
def test_a_single_row_equals_a_batch_of_one(name: str) -> None:
    cell, layer = _pair(CELLS[name], training=False)
    x, hx = noise(1, 4), _first_layer(state_of(layer, 1))
    alone = _first_layer(hx)
    close([q.unsqueeze(0) for q in tensors(cell(x[0], alone))], tensors(cell(x, hx)), "nn_same_bits")
    close([q.unsqueeze(0) for q in tensors(cell(x[0]))], tensors(cell(x)), "nn_same_bits")


@pytest.mark.parametrize("name", list(CELLS))
def test_no_state_is_a_state_of_zeros(name: str) -> None:
    cell, layer = _pair(CELLS[name], training=False)
    hx = _first_layer(state_of(layer, 3))
    zeros = [torch.zeros_like(q) for q in tensors(hx)]
    close(
        cast(Any, cell)(noise(3, 4), zeros[0] if isinstance(cell, RNNCell) else zeros),
        cell(noise(3, 4)),
        "nn_same_bits",
    )


@pytest.mark.parametrize("name", list(CELLS))
def test_an_empty_batch_has_an_empty_state(name: str) -> None:
    cell, _ = _pair(CELLS[name], training=False)
    assert all(q.shape[0] == 0 for q in tensors(cell(noise(0, 4))))


@pytest.mark.parametrize("name", ["lstm", "full_gate_recurrence", "layer_norm_peephole", "rnn"])
def test_the_gradient_of_a_step_is_the_derivative(name: str) -> None:
    cell, layer = _pair(CELLS[name], training=False)
    hx = _first_layer(state_of(layer, 2, gradient=False))
    inputs = [noise(2, 4, gradient=True), *(q.requires_grad_() for q in tensors(hx))]

    def step(x: Tensor, *state: Tensor) -> Any:
        return cast(Any, cell)(x, state if isinstance(cell, LSTMCell) else state[0])

    assert gradients_are_right(step, inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_plain_cells_are_torchs(bias: bool, dtype: torch.dtype) -> None:
    tolerance = "nn_torch_float64" if dtype == torch.float64 else "nn_torch_float32"
    for made, torchs, own in (
        (LSTMCell, torch.nn.LSTMCell, {}),
        (RNNCell, torch.nn.RNNCell, {}),
        (RNNCell, torch.nn.RNNCell, {"nonlinearity": "relu"}),
    ):
        set_seed(3)
        theirs = cast(Any, torchs)(4, 6, bias, dtype=dtype, **own)
        set_seed(3)
        ours = cast(Any, made)(4, 6, bias, dtype=dtype, **own)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert all(torch.equal(q, theirs.state_dict()[name]) for name, q in ours.state_dict().items())
        x, h = noise(3, 4, dtype=dtype, gradient=True), noise(3, 6, seed=2, dtype=dtype, gradient=True)
        hx = (h, noise(3, 6, seed=4, dtype=dtype, gradient=True)) if made is LSTMCell else h
        expected, actual = theirs(x, hx), ours(x, hx)
        close(actual, expected, tolerance)
        wanted = [x, *tensors(hx)]
        close(
            gradients(total(actual), [*wanted, *ours.parameters()]),
            gradients(total(expected), [*wanted, *theirs.parameters()]),
            tolerance,
        )
        assert (ours.bias, ours.bias_ih is None) == (theirs.bias, theirs.bias_ih is None)


def test_positional_arguments_and_defaults_are_those_of_torch() -> None:
    for made, torchs in ((LSTMCell, torch.nn.LSTMCell), (RNNCell, torch.nn.RNNCell)):
        ours = inspect.signature(made).parameters.values()
        positional = [q for q in ours if q.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        theirs = list(inspect.signature(torchs).parameters.values())
        assert [q.name for q in positional] == [q.name for q in theirs]
        assert [q.default for q in positional if q.name != "nonlinearity"] == [
            q.default for q in theirs if q.name != "nonlinearity"
        ]
    assert RNNCell(3, 4).nonlinearity == torch.nn.RNNCell(3, 4).nonlinearity


def test_the_switches_of_a_cell_are_those_of_its_layer() -> None:
    for made, layer in ((LSTMCell, LSTM), (RNNCell, RNN)):
        of_the_layer = set(inspect.signature(layer).parameters)
        cells = inspect.signature(made).parameters.values()
        keyword = {q.name for q in cells if q.kind is inspect.Parameter.KEYWORD_ONLY}
        own = {field for field in CellSpec.__dataclass_fields__ if field != "cell"}
        beside = {"variant", "init", "forget_bias", "chrono"}
        assert keyword - {"proj_size"} == (own | beside) & of_the_layer - {"proj_size"}


def test_zoneout_draws_anew_at_every_step_and_as_the_layer_does() -> None:
    cell, layer = _pair(CellSpec(zoneout_hidden=0.5))
    x = noise(1, 200, 4)
    hx = state_of(layer, 200)
    set_seed(5)
    expected = layer(x, hx)[0][0]
    set_seed(5)
    close(_step_through(cell, x, _first_layer(hx))[0][0], expected, "nn_order_of_sums")
    first, second = (cast(Any, cell)(x[0], _first_layer(hx))[0] for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("spec", [VARIANTS["variational_dropout"].spec, VARIANTS["memory_dropout"].spec])
def test_recurrent_dropout_with_one_mask_a_sequence_equals_the_layer(spec: CellSpec) -> None:
    cell, layer = _pair(spec.replace(proj_size=3))
    x = noise(5, 3, 4)
    set_seed(5)
    expected = layer(x)[0]
    set_seed(5)
    mask = cell.draw_mask(3)
    close(_step_through(cell, x, None, mask)[0], expected, "nn_order_of_sums")
    single = cell.draw_mask()
    assert single is not None
    assert single.dim() == 1
    assert cell.eval().draw_mask(3) is None
    assert torch.isfinite(cast(Any, cell)(x[0], mask=cell.draw_mask(3))[0]).all()


@pytest.mark.parametrize(
    "arguments",
    [{"init": "orthogonal"}, {"init": "keras"}, {"forget_bias": 1.0}, {"chrono": 9, "variant": "layer_norm"}],
)
def test_first_weights_are_those_of_a_layer(arguments: dict[str, Any]) -> None:
    for made, layer in ((LSTMCell, LSTM), (RNNCell, RNN)):
        if made is RNNCell and "init" not in arguments:
            continue
        set_seed(3)
        expected = cast(Any, layer)(4, 6, **arguments)
        set_seed(3)
        cell = cast(Any, made)(4, 6, **arguments)
        assert all(torch.equal(q, expected.get_parameter(f"{name}_l0")) for name, q in cell.named_parameters())
        set_seed(4)
        expected.reset_parameters()
        set_seed(4)
        cell.reset_parameters()
        assert all(torch.equal(q, expected.get_parameter(f"{name}_l0")) for name, q in cell.named_parameters())


def test_equally_seeded_generators_draw_the_same() -> None:
    cell = LSTMCell(4, 6, zoneout_cell=0.5, recurrent_dropout=0.5)
    found: list[Tensor] = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(7)
        mask = cell.draw_mask(3, generator=generator)
        assert mask is not None
        found += [mask, *cell(torch.ones(3, 4), mask=mask, generator=generator)]
    close(found[:3], found[3:], "nn_same_bits")
    with pytest.raises(ArgumentTypeError, match="LSTMCell: generator must be a"):
        cell(torch.ones(3, 4), generator=cast(Any, 3))


def test_a_cell_without_recurrent_dropout_has_no_mask() -> None:
    assert LSTMCell(4, 6, variant="zoneout").draw_mask(3) is None
    assert RNNCell(4, 6).draw_mask() is None


@pytest.mark.parametrize("name", ["lstm", "peephole", "rnn"])
def test_a_compiled_cell_is_one_graph_and_gives_the_same(name: str) -> None:
    cell, _ = _pair(CELLS[name])
    compiled = cast(Any, torch).compile(cell, fullgraph=True, backend="aot_eager")
    x = noise(3, 4)
    close(tensors(compiled(x)), tensors(cell(x)), "nn_same_bits")
    wanted = list(cell.parameters())
    close(gradients(total(compiled(x)), wanted), gradients(total(cell(x)), wanted), "nn_order_of_sums")


X = torch.zeros(3, 4)
H = torch.zeros(3, 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LSTMCell(0, 6), "LSTMCell: input_size must be at least 1"),
        (lambda: RNNCell(4, cast(Any, 6.0)), "RNNCell: hidden_size must be a whole number"),
        (lambda: LSTMCell(4, 6, cast(Any, 1)), "LSTMCell: bias must be True or False"),
        (lambda: LSTMCell(4, 6, dtype=torch.int32), "LSTMCell: dtype must be a floating dtype"),
        (lambda: LSTMCell(4, 7, cells_per_block=2), "LSTMCell: hidden_size must be a multiple"),
        (lambda: LSTMCell(4, 6, proj_size=6), "LSTMCell: proj_size must be smaller"),
        (lambda: RNNCell(4, 6, nonlinearity=cast(Any, "sine")), "RNNCell: nonlinearity must be one of"),
        (lambda: LSTMCell(4, 6, variant="rnn"), "cell of the LSTM family .*; use peephole.nn.RNNCell"),
        (lambda: RNNCell(4, 6, variant="lstm"), "cell of the RNN family .*; use peephole.nn.LSTMCell"),
        (lambda: LSTMCell(4, 6)(X[None]), r"\(got shape \(1, 3, 4\)\); .*pass input\[t\], or use LSTM for"),
        (lambda: LSTMCell(4, 6)(X[:, :3]), r"last axis of input must be input_size=4 \(got shape \(3, 3\)\)"),
        (lambda: LSTMCell(4, 6)(X.double()), "LSTMCell: input must have the dtype of the parameters"),
        (lambda: LSTMCell(4, 6)(X.to("meta")), "LSTMCell: input must be on the device of the parameters"),
        (lambda: LSTMCell(4, 6)(cast(Any, X.numpy())), r"LSTMCell: input must be a tensor \(got ndarray\)"),
        (lambda: LSTMCell(4, 6)(X, cast(Any, H)), r"LSTMCell: hx must be the tuple \(h_0, c_0\)"),
        (lambda: LSTMCell(4, 6)(X, (H,)), r"hx must be the tuple \(h_0, c_0\) \(got 1 tensors\)"),
        (lambda: LSTMCell(4, 6)(X, (H, H[:2])), r"LSTMCell: c_0 must have the shape \(3, 6\) \(got \(2, 6\)\)"),
        (lambda: LSTMCell(4, 6)(X[0], (H, H)), r"LSTMCell: h_0 must have the shape \(6,\) \(got \(3, 6\)\)"),
        (lambda: LSTMCell(4, 6, variant="full_gate_recurrence")(X, (H, H)), r"the tuple \(h_0, c_0, r_0\)"),
        (lambda: RNNCell(4, 6)(X, cast(Any, (H,))), "RNNCell: hx must be the tensor h_0, not a tuple"),
        (lambda: RNNCell(4, 6)(X, H.double()), "RNNCell: h_0 must have the dtype of the parameters"),
        (lambda: RNNCell(4, 6, recurrent_dropout=0.5)(X), "recurrent_dropout=0.5 needs a mask in training"),
        (lambda: RNNCell(4, 6, recurrent_dropout=0.5)(X, mask=H[0]), r"mask must have the shape \(3, 6\)"),
        (lambda: RNNCell(4, 6, recurrent_dropout=0.5).eval()(X, mask=H), "mask belongs to recurrent dropout in train"),
        (lambda: LSTMCell(4, 6)(X, mask=H), r"got one with recurrent_dropout=0.0 and training=True\)"),
        (lambda: RNNCell(4, 6).draw_mask(0), "RNNCell: batch_size must be at least 1"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(PeepholeError, match=message) as caught:
        call()
    assert isinstance(caught.value, (ArgumentError, ArgumentTypeError))
    assert "\n" not in str(caught.value)


def test_representation_names_what_is_not_the_default() -> None:
    assert repr(LSTMCell(3, 5, bias=False)) == repr(torch.nn.LSTMCell(3, 5, bias=False))
    assert repr(RNNCell(3, 5)) == repr(torch.nn.RNNCell(3, 5))
    assert repr(RNNCell(3, 5, nonlinearity="relu")) == "RNNCell(3, 5, nonlinearity='relu')"
    assert repr(LSTMCell(3, 6, init="keras")) == "LSTMCell(3, 6, init='keras')"
    assert repr(LSTMCell(3, 6, peepholes=True, proj_size=2)) == "LSTMCell(3, 6, proj_size=2, peepholes=True)"
