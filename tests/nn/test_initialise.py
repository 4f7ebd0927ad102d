"""Every named initialisation is what its paper says, for every cell."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError, PeepholeError
from peephole.nn import INITIALISATIONS, LSTM, RNN, initialise
from peephole.spec import CellSpec
from peephole.weights import row_slices
from tests.cells import ALL_CELLS
from tests.nn.cases import close, noise, set_seed
from tests.tolerances import TOLERANCES

LSTM_CELLS = {name: cell for name, cell in ALL_CELLS.items() if cell.cell == "lstm"}
WITH_FORGET_GATE = {name: cell for name, cell in LSTM_CELLS.items() if cell.forget_gate}
X64 = torch.float64
FOR_EVERY_CELL = [name for name, one in INITIALISATIONS.items() if not one.activations]


def made_of(cell: CellSpec, input_size: int = 5, hidden_size: int = 12, **arguments: Any) -> LSTM | RNN:
    """A bidirectional stack of two layers of the cell, float64 unless told otherwise."""
    defaults: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": torch.float64, "variant": cell}
    return (LSTM if cell.cell == "lstm" else RNN)(input_size, hidden_size, **(defaults | arguments))


def of_kind(layer: LSTM | RNN, *kinds: str) -> dict[str, Tensor]:
    """Parameters whose name begins with one of the kinds."""
    return {name: q.detach() for name, q in layer.named_parameters() if name.startswith(kinds)}


def gate_blocks(layer: LSTM | RNN, q: Tensor) -> Iterator[Tensor]:
    """Each gate's rows."""
    yield from (q[rows] for rows in row_slices(layer.spec.cell, layer.hidden_size).values())


def products(q: Tensor) -> Tensor:
    """The inner products of the rows or of the columns, whichever are fewer."""
    return q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q


def is_orthogonal(q: Tensor) -> bool:
    """Whether the fewer of rows and columns are orthonormal."""
    allowed = TOLERANCES["nn_orthogonal_float64" if q.dtype == torch.float64 else "nn_orthogonal_float32"]
    return torch.allclose(products(q), torch.eye(min(q.shape), dtype=q.dtype), rtol=0, atol=allowed)


def deviation_is(q: Tensor, expected: float) -> bool:
    """Whether the deviation of the draws is the expected one within what chance allows."""
    allowed = TOLERANCES["random_sigmas"] * expected / math.sqrt(2 * q.numel())
    return abs(float(q.square().mean().sqrt()) - expected) < allowed


def glorot_bound(q: Tensor) -> float:
    """``√(6 / (fan in + fan out))``."""
    return math.sqrt(6 / sum(q.shape))


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_the_default_is_torchs_draw_in_torchs_order(cell: CellSpec) -> None:
    set_seed(3)
    made = made_of(cell)
    set_seed(3)
    bound = 1 / math.sqrt(12)
    for name, q in made.named_parameters():
        if not name.startswith("norm_"):
            expected = torch.empty_like(q).uniform_(-bound, bound)
            close(q.detach(), expected, "nn_same_bits")


def is_zero(*groups: dict[str, Tensor]) -> bool:
    """Whether all of them are zero everywhere."""
    return not any(bool(q.any()) for group in groups for q in group.values())


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_what_every_scheme_shares(cell: CellSpec) -> None:
    for scheme in FOR_EVERY_CELL:
        made = made_of(cell, init=scheme, learned_state=True)
        forgets = INITIALISATIONS[scheme].forget_bias is not None and cell.forget_gate and cell.cell == "lstm"
        assert all(bool((q == 1).all()) for q in of_kind(made, "norm_gain").values())
        assert is_zero(of_kind(made, "h_0", "c_0", "r_0"))
        assert not any(is_zero({name: q}) for name, q in of_kind(made, "weight_ih", "weight_hh").items())
        assert is_zero(of_kind(made, "norm_shift")) is not (forgets and cell.layer_norm)
        if scheme != "torch":
            assert is_zero(of_kind(made, "bias_hh", "weight_peephole"))
            assert is_zero(of_kind(made, "bias_ih")) is not (forgets and not cell.layer_norm)


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_glorot_weights_have_the_fans_of_their_gate(cell: CellSpec) -> None:
    made = made_of(cell, 30, 60, init="glorot", num_layers=1)
    for q in of_kind(made, "weight_ih", "weight_hh").values():
        for block in gate_blocks(made, q):
            assert float(block.abs().max()) <= glorot_bound(block)
            assert deviation_is(block, math.sqrt(2 / sum(block.shape)))
    for q in of_kind(made, "weight_hr").values():
        assert float(q.abs().max()) <= glorot_bound(q)


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_orthogonal_recurrent_weights_are_orthogonal_gate_by_gate(cell: CellSpec) -> None:
    made = made_of(cell, init="orthogonal")
    for q in of_kind(made, "weight_hh").values():
        assert all(is_orthogonal(block) for block in gate_blocks(made, q))
    for q in of_kind(made, "weight_ih").values():
        assert all(float(block.abs().max()) <= glorot_bound(block) for block in gate_blocks(made, q))
    blocks = 12 // cell.cells_per_block
    for q in of_kind(made, "weight_gates").values():
        for rows in range(0, q.shape[0], blocks):
            assert all(is_orthogonal(q[rows : rows + blocks, at : at + blocks]) for at in range(0, len(q), blocks))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_orthogonal_weights_are_drawn_in_every_dtype(dtype: torch.dtype) -> None:
    set_seed(0)
    made = LSTM(4, 6, init="orthogonal", dtype=dtype)
    set_seed(0)
    (expected,) = of_kind(LSTM(4, 6, init="orthogonal"), "weight_hh").values()
    assert all(is_orthogonal(block) for block in gate_blocks(made, expected))
    close(list(of_kind(made, "weight_hh").values()), [expected.to(dtype)], "nn_same_bits")


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_lecun_weights_have_the_variance_of_their_fan_in(cell: CellSpec) -> None:
    made = made_of(cell, 30, 60, init="lecun", num_layers=1)
    for q in of_kind(made, "weight_ih", "weight_hh", "weight_hr").values():
        assert deviation_is(q, 1 / math.sqrt(q.shape[1]))


def test_irnn_begins_as_the_identity() -> None:
    made = RNN(40, 60, 2, nonlinearity="relu", init="irnn", dtype=torch.float64)
    for q in of_kind(made, "weight_hh").values():
        assert torch.equal(q, torch.eye(60, dtype=torch.float64))
    assert all(deviation_is(q, 0.001) for q in of_kind(made, "weight_ih").values())
    assert not any(bool(q.any()) for q in of_kind(made, "bias").values())
    h = noise(2, 3, 60).abs()
    assert torch.equal(made(torch.zeros(9, 3, 40, dtype=torch.float64), h)[1][0], h[0])  # nothing in, nothing forgotten


# Keras


def keras_looks_right(kernel: Tensor, recurrent: Tensor, bias: Tensor, *, forget: slice | None) -> None:
    """What Keras' defaults say of arrays in Keras' own layout, ``[I, K]``, ``[H, K]`` and ``[K]``."""
    assert float(kernel.abs().max()) <= glorot_bound(kernel)
    assert deviation_is(kernel, math.sqrt(2 / sum(kernel.shape)))
    assert is_orthogonal(recurrent)
    expected = torch.zeros_like(bias)
    if forget is not None:
        expected[forget] = 1
    assert torch.equal(bias, expected)


@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_keras_scheme_is_that_of_keras(name: str) -> None:
    keras = cast(Any, importlib.import_module("keras"))
    theirs = keras.layers.LSTM(24) if name == "lstm" else keras.layers.SimpleRNN(24)
    theirs.build((None, None, 30))
    ours = made_of(ALL_CELLS[name], 30, 24, num_layers=1, init="keras", dtype=torch.float32)
    state = of_kind(ours, "weight", "bias")
    in_keras = [state["weight_ih_l0"].T, state["weight_hh_l0"].T, state["bias_ih_l0"] + state["bias_hh_l0"]]
    forget = slice(24, 48) if name == "lstm" else None  # Keras has i f c o
    for arrays in (in_keras, [q.value.detach() for q in theirs.weights]):
        keras_looks_right(*arrays, forget=forget)


# Biases of the gates


def without_weights(layer: LSTM) -> None:
    """Leave nothing but what holds the gates' biases: with layer norm the shift, else the bias terms."""
    gone = ("weight", "bias") if layer.spec.cell.layer_norm else ("weight",)
    with torch.no_grad():
        for name, q in layer.named_parameters():
            if name.startswith(gone):
                q.zero_()


def gates_at_rest(layer: LSTM) -> Any:
    """The states of a layer whose gates see their bias alone."""
    without_weights(layer)
    with torch.no_grad():
        return layer.eval()(torch.zeros(2, 1, 5, dtype=torch.float64), return_states=True)[2]


@pytest.mark.parametrize("cell", WITH_FORGET_GATE.values(), ids=list(WITH_FORGET_GATE))
def test_the_forget_gate_rests_at_its_bias(cell: CellSpec) -> None:
    for scheme in ("torch", "orthogonal"):
        f = gates_at_rest(LSTM(5, 12, 2, bidirectional=True, variant=cell, init=scheme, forget_bias=1.5, dtype=X64)).f
        close(f, torch.sigmoid(torch.tensor(1.5, dtype=X64)).expand(f.shape), "nn_order_of_sums")


@pytest.mark.parametrize("cell", WITH_FORGET_GATE.values(), ids=list(WITH_FORGET_GATE))
def test_keras_scheme_has_a_forget_bias_that_can_be_told_otherwise(cell: CellSpec) -> None:
    for told, expected in ((None, 1.0), (0.0, 0.0)):
        f = gates_at_rest(LSTM(5, 12, variant=cell, init="keras", forget_bias=told, dtype=X64)).f
        close(f, torch.sigmoid(torch.tensor(expected, dtype=X64)).expand(f.shape), "nn_order_of_sums")


def test_a_forget_bias_changes_nothing_else() -> None:
    set_seed(0)
    plain = LSTM(4, 6, 2)
    set_seed(0)
    told = LSTM(4, 6, 2, forget_bias=1.0)
    for (name, q), other in zip(plain.named_parameters(), told.parameters(), strict=True):
        rest = [*range(6), *range(12, 24)] if name.startswith("bias") else slice(None)
        assert torch.equal(q[rest], other[rest])
        if name.startswith("bias"):
            assert bool((other[6:12] == float(name.startswith("bias_ih"))).all())


WITH_BOTH_GATES = {name: cell for name, cell in WITH_FORGET_GATE.items() if cell.input_gate}


@pytest.mark.parametrize("cell", WITH_BOTH_GATES.values(), ids=list(WITH_BOTH_GATES))
def test_chrono_forgets_at_time_scales_up_to_the_longest(cell: CellSpec) -> None:
    set_seed(1)
    states = gates_at_rest(LSTM(5, 600, variant=cell, chrono=50, dtype=X64))
    f, i = states.f[0, 0, 0], states.i[0, 0, 0]
    spans = f / (1 - f)  # exp(b_f)
    assert float(spans.min()) >= 1 - TOLERANCES["nn_odds"]
    assert float(spans.max()) <= 49 * (1 + TOLERANCES["nn_odds"])
    deviation = 48 / math.sqrt(12 * len(spans))  # of the mean of draws from U(1, 49)
    assert abs(float(spans.mean()) - 25) < TOLERANCES["random_sigmas"] * deviation
    close(i, 1 - f, "nn_order_of_sums")  # b_i = −b_f


def test_chrono_of_the_shortest_range_rests_half_open() -> None:
    f = gates_at_rest(LSTM(5, 12, chrono=2, dtype=X64)).f
    close(f, torch.full_like(f, 0.5), "nn_order_of_sums")


# The function and the layer


@pytest.mark.parametrize("scheme", FOR_EVERY_CELL)
def test_reset_parameters_draws_as_the_layer_was_told(scheme: str) -> None:
    made = LSTM(4, 6, 2, variant="full_gate_recurrence", init=scheme, forget_bias=2.0, learned_state=True)
    set_seed(5)
    made.reset_parameters()
    first = [q.detach().clone() for q in made.parameters()]
    other = LSTM(4, 6, 2, variant="full_gate_recurrence", learned_state=True)
    with torch.no_grad():
        other.get_parameter("h_0_l0").fill_(1)
    set_seed(5)
    initialise(other, scheme, forget_bias=2.0)
    close(list(other.parameters()), first, "nn_same_bits")


@pytest.mark.parametrize("scheme", FOR_EVERY_CELL)
def test_a_generator_of_ones_own_leaves_torchs_alone(scheme: str) -> None:
    made, other = LSTM(4, 6, chrono=9), LSTM(4, 6)
    before = torch.random.get_rng_state()
    for one in (made, other):
        initialise(one, scheme, chrono=9, generator=torch.Generator().manual_seed(4))
    assert torch.equal(torch.random.get_rng_state(), before)
    close(list(made.parameters()), list(other.parameters()), "nn_same_bits")


@pytest.mark.parametrize("scheme", FOR_EVERY_CELL)
def test_a_layer_without_memory_is_described_all_the_same(scheme: str) -> None:
    made = LSTM(4, 6, variant="full_gate_recurrence", init=scheme, forget_bias=1.0, device="meta", learned_state=True)
    assert all(q.is_meta for q in made.parameters())


def test_what_was_told_is_shown() -> None:
    assert "init='keras', forget_bias=2.0" in repr(LSTM(4, 6, init="keras", forget_bias=2.0))
    assert "chrono=100" in repr(LSTM(4, 6, chrono=100))
    assert "learned_state=True" in repr(RNN(4, 6, learned_state=True))
    assert repr(LSTM(4, 6)) == "LSTM(4, 6)"


REFUSED: list[tuple[dict[str, Any], type[PeepholeError], str]] = [
    ({"init": "xavier"}, ArgumentError, r"init must be one of torch, glorot, .* \(got 'xavier'\)"),
    ({"init": ["glorot"]}, ArgumentError, r"init must be one of .* \(got \['glorot'\]\)"),
    ({"init": "irnn"}, ArgumentError, r"init='irnn' is for an RNN of units relu \(got an LSTM\); use peephole.nn.RNN"),
    ({"forget_bias": "1"}, ArgumentTypeError, r"forget_bias must be a number or None \(got '1'\)"),
    ({"forget_bias": True}, ArgumentTypeError, "forget_bias must be a number or None"),
    ({"forget_bias": math.nan}, ArgumentError, r"forget_bias must be finite \(got nan\)"),
    ({"forget_bias": 1.0, "chrono": 9}, ArgumentError, "forget_bias and chrono both set the bias of the forget gate"),
    ({"chrono": 1}, ArgumentError, r"chrono must be the longest range in steps, at least 2 \(got 1\)"),
    ({"forget_bias": 1.0, "bias": False}, ArgumentError, r"forget_bias needs bias terms \(got bias=False\)"),
    (
        {"forget_bias": 1.0, "variant": "lstm1997"},
        ArgumentError,
        r"forget_bias sets the bias of the forget gate \(got a cell without forget gate\); leave forget_bias out",
    ),
    (
        {"chrono": 9, "variant": "no_input_gate"},
        ArgumentError,
        r"chrono sets the bias of the input and the forget gate \(got a cell without input gate\)",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), REFUSED)
def test_what_has_no_meaning_is_refused(arguments: dict[str, Any], kind: type[PeepholeError], message: str) -> None:
    with pytest.raises(kind, match=f"^LSTM: {message}"):
        cast(Any, LSTM)(4, 6, **arguments)
    told = {name: value for name, value in arguments.items() if name in ("forget_bias", "chrono")}
    rest = {name: value for name, value in arguments.items() if name in ("bias", "variant")}
    with pytest.raises(kind, match=f"^initialise: {message}"):
        cast(Any, initialise)(LSTM(4, 6, **rest), arguments.get("init", "torch"), **told)


def test_a_bias_goes_to_the_norm_where_there_are_no_bias_terms() -> None:
    f = gates_at_rest(LSTM(5, 12, layer_norm=True, bias=False, forget_bias=1.0, dtype=X64)).f
    close(f, torch.sigmoid(torch.ones_like(f)), "nn_order_of_sums")


def test_an_rnn_has_no_gate_to_bias_and_irnn_wants_rectified_units() -> None:
    with pytest.raises(ArgumentError, match="initialise: forget_bias sets the bias of the forget gate"):
        initialise(RNN(4, 6), forget_bias=1.0)
    with pytest.raises(ArgumentError, match=r"RNN: init='irnn' is for .* units relu \(got nonlinearity='tanh'\)"):
        RNN(4, 6, init="irnn")


def test_only_layers_of_peephole_are_initialised() -> None:
    with pytest.raises(ArgumentError, match=r"of peephole.nn alone \(got torch's: it\); convert it"):
        initialise(torch.nn.LSTM(4, 6))
    with pytest.raises(ArgumentError, match=r"of peephole.nn alone \(got torch's: 1\)"):
        initialise(torch.nn.Sequential(LSTM(4, 6), torch.nn.GRU(6, 6)))
    with pytest.raises(ArgumentError, match=r"must be or hold a recurrent layer or cell .* \(got Linear without any\)"):
        initialise(torch.nn.Linear(4, 6))
    with pytest.raises(ArgumentTypeError, match=r"initialise: module must be a torch.nn.Module \(got str\)"):
        initialise(cast(Any, "lstm"))
    with pytest.raises(ArgumentTypeError, match=r"initialise: generator must be a torch.Generator \(got int\)"):
        initialise(LSTM(4, 6), generator=cast(Any, 3))
    with pytest.raises(ArgumentError, match=r"generator must be on the device of the parameters, meta \(got cpu\)"):
        initialise(LSTM(4, 6, device="meta"), generator=torch.Generator())
