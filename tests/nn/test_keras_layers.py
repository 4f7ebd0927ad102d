"""Keras' own layers, run by Keras on torch, and ours made from them, and ours made into layers of Keras."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from peephole import nn
from peephole.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from peephole.spec import ACTIVATIONS
from tests.nn.cases import carry_back, noise, set_seed
from tests.tolerances import TOLERANCES

B, T, F, H = 3, 5, 4, 6
LENGTHS = [5, 1, 3]
MASK = torch.arange(T) < torch.tensor(LENGTHS).unsqueeze(1)


@pytest.fixture(scope="session")
def keras() -> Any:
    """Imported once for all, for it takes seconds."""
    return importlib.import_module("keras")


KINDS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "no_bias": {"use_bias": False},
    "no_forget_bias": {"unit_forget_bias": False, "bias_initializer": "random_normal"},
    "unrolled": {"unroll": True},
    "lstm_relu": {"activation": "relu"},
    "lstm_sigmoid": {"activation": "sigmoid"},
    "lstm_linear": {"activation": None},
    "rnn": {},
    "rnn_relu": {"activation": "relu"},
    "rnn_recurrent_dropout": {"recurrent_dropout": 0.5, "bias_initializer": "random_normal"},
    "float64": {"dtype": "float64"},
}
WAYS = pytest.mark.parametrize("both_ways", [False, True], ids=["forwards", "both_ways"])
STACKED = pytest.mark.parametrize("layers", [1, 2])


def theirs(keras: Any, kind: str, *, both_ways: bool, layers: int) -> list[Any]:
    """Layers of Keras, built; the last one tells its states."""
    set_seed(0)
    made: list[Any] = []
    for place in range(layers):
        last = {"return_state": place == layers - 1, "return_sequences": True}
        make = keras.layers.SimpleRNN if kind.startswith("rnn") else keras.layers.LSTM
        layer = make(H, **KINDS[kind], **last)
        layer = keras.layers.Bidirectional(layer, dtype=layer.dtype) if both_ways else layer
        layer.build((None, None, F if place == 0 else H * (1 + both_ways)))
        made.append(layer)
    return made


def run(layers: list[Any], x: Tensor, *, mask: Tensor | None = None, state: Any = None) -> tuple[Tensor, list[Tensor]]:
    """Output and final states of the last layer; ``state`` goes into the only one."""
    given = {} if state is None else {"initial_state": state}
    for layer in layers[:-1]:
        x = layer(x, mask=mask)
    y, *states = layers[-1](x, mask=mask, **given)
    return y, states


def state_of_last(final: Any, *, both_ways: bool) -> list[Tensor]:
    """The final states of our last layer in Keras' order: those of each direction together."""
    parts = [final] if isinstance(final, Tensor) else final
    return [part[direction] for direction in ((-2, -1) if both_ways else (-1,)) for part in parts]


def drawn(dtype: torch.dtype) -> Tensor:
    return noise(B, T, F, dtype=dtype, seed=1)


def assert_close(got: Tensor, wanted: Tensor) -> None:
    tolerance = TOLERANCES["nn_keras"]
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@STACKED
@WAYS
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_states_are_those_of_keras(keras: Any, kind: str, both_ways: bool, layers: int) -> None:
    made = theirs(keras, kind, both_ways=both_ways, layers=layers)
    ours = nn.from_keras(made)
    x = drawn(ours.get_parameter("weight_ih_l0").dtype)
    wanted, states = run(made, x)
    output, final = ours.eval()(x)
    assert_close(output, wanted)
    for got, state in zip(state_of_last(final, both_ways=both_ways), states, strict=True):
        assert_close(got, state)


@STACKED
@WAYS
@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_masked_steps_are_steps_behind_the_end(keras: Any, kind: str, both_ways: bool, layers: int) -> None:
    made = theirs(keras, kind, both_ways=both_ways, layers=layers)
    ours, x = nn.from_keras(made), drawn(torch.float32)
    wanted, states = run(made, x, mask=MASK)
    output, final = ours(x, lengths=nn.lengths_from_mask(MASK))
    assert_close(output, wanted * MASK.unsqueeze(-1))  # without zero_output_for_mask Keras repeats the last one
    for got, state in zip(state_of_last(final, both_ways=both_ways), states, strict=True):
        assert_close(got, state)
    assert_close(_through(nn.to_keras(ours), x, MASK), output)
    h_n: Tensor = final if isinstance(final, Tensor) else final[0]
    ends = torch.cat(list(h_n[-1 - both_ways :]), -1)
    assert_close(_through(nn.to_keras(ours, return_sequences=False), x, MASK), ends)


def _through(layers: list[Any], x: Tensor, mask: Tensor | None = None) -> Tensor:
    for layer in layers:
        x = layer(x, mask=mask)
    return x


@WAYS
@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_the_initial_state_is_hx(keras: Any, kind: str, both_ways: bool) -> None:
    made = theirs(keras, kind, both_ways=both_ways, layers=1)
    ours, x = nn.from_keras(made), drawn(torch.float32)
    state = [noise(1 + both_ways, B, H, dtype=torch.float32, seed=2 + k) for k in range(1 if kind == "rnn" else 2)]
    wanted, _ = run(made, x, state=state_of_last(tuple(state), both_ways=both_ways))
    assert_close(ours(x, tuple(state) if kind == "lstm" else state[0])[0], wanted)


@WAYS
@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_gradients_are_those_of_keras(keras: Any, kind: str, both_ways: bool) -> None:
    made = theirs(keras, kind, both_ways=both_ways, layers=2)
    ours, x = nn.from_keras(made), drawn(torch.float32)
    carry_back(run(made, x)[0].square().sum())
    carry_back(ours(x)[0].square().sum())
    wanted = [variable.value.grad for layer in made for variable in layer.trainable_weights]
    got = [q.grad for name, q in ours.named_parameters() if not name.startswith("bias_hh") and q.grad is not None]
    assert len(got) == len(wanted) == 6 * (1 + both_ways)
    for mine, other in zip(got, wanted, strict=True):
        assert_close(mine, other.t() if other.dim() == 2 else other)


@STACKED
@WAYS
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_our_layers_run_in_keras(keras: Any, cell: str, activation: Any, both_ways: bool, layers: int) -> None:
    set_seed(0)
    sizes: dict[str, Any] = {"num_layers": layers, "bidirectional": both_ways, "dtype": torch.float64}
    ours = (
        nn.RNN(F, H, nonlinearity=activation, **sizes)
        if cell == "rnn"
        else nn.LSTM(F, H, input_activation=activation, output_activation=activation, **sizes)
    )
    made = nn.to_keras(ours)
    x = drawn(torch.float64)
    output = ours(x.transpose(0, 1))[0].transpose(0, 1)
    assert_close(_through(made, x), output)
    last = nn.to_keras(ours, return_sequences=False)
    ends = [output[:, -1, :H], output[:, 0, H:]] if both_ways else [output[:, -1]]
    assert_close(_through(last, x), torch.cat(ends, -1))
    again = nn.from_keras(made)
    assert again.spec == ours.spec
    assert_close(again(x)[0], output)
    assert keras.Sequential(made)(x).shape == output.shape


def test_a_sequential_goes_there_and_back_with_its_dropout(keras: Any) -> None:
    model = keras.Sequential(
        [
            keras.layers.Input((None, F)),
            keras.layers.LSTM(H, return_sequences=True),
            keras.layers.Dropout(0.25),
            keras.layers.LSTM(H),
        ]
    )
    ours = nn.from_keras(model)
    assert (ours.num_layers, ours.dropout, ours.batch_first) == (2, 0.25, True)
    back = nn.to_keras(ours, return_sequences=False)
    assert [type(layer).__name__ for layer in back] == ["LSTM", "Dropout", "LSTM"]
    x = drawn(torch.float32)
    assert_close(keras.Sequential(back)(x), model(x))
    assert_close(ours.eval()(x)[0][:, -1], model(x))


def test_the_weights_are_copies(keras: Any) -> None:
    made = theirs(keras, "lstm", both_ways=False, layers=1)
    ours = nn.from_keras(made)
    with torch.no_grad():
        for q in ours.parameters():
            q.zero_()
    assert all(float(variable.value.detach().abs().sum()) > 0 for variable in made[0].weights)
    back = nn.to_keras(ours)
    with torch.no_grad():
        ours.get_parameter("weight_ih_l0").fill_(1.0)
    assert float(back[0].weights[0].value.detach().abs().sum()) == 0


def test_recurrent_dropout_of_a_simple_rnn_is_one_mask_for_all_steps_as_here(keras: Any) -> None:
    """``h = d ⊙ h⁻`` from 1: after ``t`` steps every unit is 0, or ``1 / (1 − 1/2)`` to the power of ``t``."""
    layer = keras.layers.SimpleRNN(
        64,
        activation=None,
        use_bias=False,
        kernel_initializer="zeros",
        recurrent_initializer="identity",
        recurrent_dropout=0.5,
        return_sequences=True,
    )
    layer.build((None, None, F))
    ours, x = nn.from_keras(layer), drawn(torch.float32)
    first = torch.ones(1, B, 64)
    for output in (layer(x, initial_state=[first[0]], training=True), ours.train()(x, first)[0]):
        kept = output[:, 0] > 0
        assert 0 < int(kept.sum()) < kept.numel()
        for step in range(T):
            assert torch.equal(output[:, step], kept * 2.0 ** (step + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrent_activation": "hard_sigmoid"}, "recurrent_activation must be 'sigmoid' .got 'hard_sigmoid'"),
        ({"activation": "gelu"}, "activation must be one of .*got 'gelu'"),
        ({"activation": "leaky_relu"}, "activation must be one of .*got 'leaky_relu'"),
        ({"dropout": 0.2}, "dropout must be 0.0 .got 0.2"),
        ({"recurrent_dropout": 0.2}, "recurrent_dropout must be 0.0 .got 0.2"),
        ({"stateful": True}, "stateful must be False"),
        ({"go_backwards": True}, "go_backwards must be False"),
        ({"kernel_regularizer": "l2"}, "kernel_regularizer must be None"),
        ({"recurrent_constraint": "max_norm"}, "recurrent_constraint must be None"),
        (
            {"dtype": "bfloat16", "recurrent_initializer": "zeros"},
            "weights must be all float32 or all float64 .got bfloat16",
        ),
    ],
)
def test_an_option_of_a_real_layer_is_refused_by_name(keras: Any, options: dict[str, Any], message: str) -> None:
    layer = keras.layers.LSTM(H, **options)
    layer.build((B, T, F))
    with pytest.raises((ArgumentError, ArgumentTypeError), match=rf"^from_keras: layers\[0\] \(LSTM\): {message}"):
        nn.from_keras(layer)


def test_other_layers_and_models_are_refused_by_name(keras: Any) -> None:
    gru = keras.layers.GRU(H)
    both = keras.layers.Bidirectional(keras.layers.GRU(H))
    for layer in (gru, both):
        layer.build((B, T, F))
        with pytest.raises(ArgumentError, match=r"got GRU.*no cell of this family"):
            nn.from_keras(layer)
    lstm = keras.layers.LSTM(H, return_sequences=True)
    with pytest.raises(ArgumentError, match=r"\(LSTM\): the layer has no weights yet; call it once, or build it"):
        nn.from_keras(lstm)
    inputs = keras.layers.Input((T, F))
    with pytest.raises(ArgumentError, match=r"a model must be a Sequential \(got Functional\)"):
        nn.from_keras(keras.Model(inputs, lstm(inputs)))
    with pytest.raises(ArgumentError, match=r"layers\[0\] \(Masking\).*lengths_from_mask"):
        nn.from_keras(keras.Sequential([inputs, keras.layers.Masking(), lstm]))
    summed = keras.layers.Bidirectional(keras.layers.LSTM(H), merge_mode="sum")
    summed.build((B, T, F))
    with pytest.raises(ArgumentError, match=r"merge_mode must be 'concat' \(got 'sum'\)"):
        nn.from_keras(summed)


def test_a_layer_that_is_regularised_is_taken_for_inference(keras: Any) -> None:
    layer = keras.layers.LSTM(H, dropout=0.1, recurrent_dropout=0.2, kernel_regularizer="l2", return_sequences=True)
    both = keras.layers.Bidirectional(layer)
    x = drawn(torch.float32)
    wanted = both(x, training=False)
    assert_close(nn.from_keras(both, inference_only=True)(x)[0], wanted)


@pytest.mark.parametrize("wrong", [torch.nn.LSTM(F, H), "lstm", None, nn.LSTM])
def test_what_is_no_layer_of_keras_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentTypeError, match=r"from_keras: layers\[0\] must be a layer of Keras \(got "):
        nn.from_keras(wrong)


def test_what_is_no_layer_of_ours_is_refused() -> None:
    wrong: Any = torch.nn.LSTM(F, H)
    with pytest.raises(ArgumentTypeError, match=r"to_keras: layer must be a peephole.nn.LSTM or RNN \(got LSTM\)"):
        nn.to_keras(wrong)
    with pytest.raises(ArgumentTypeError, match=r"to_keras: layer must be float32 or float64 \(got torch.float16\)"):
        nn.to_keras(nn.LSTM(F, H, dtype=torch.float16))
    with pytest.raises(ArgumentError, match="to_keras: Keras' LSTM cannot express peepholes"):
        nn.to_keras(nn.LSTM(F, H, variant="peephole"))


def test_without_keras_the_way_back_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingDependencyError, match=r"^to_keras: keras must be installed, .*KERAS_BACKEND"):
        nn.to_keras(nn.LSTM(F, H))
