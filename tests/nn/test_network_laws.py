"""Every input into every body under every readout: gradients, padding, layouts, saving, and the runtime's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from peephole import artifact
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import Network
from peephole.spec import KINDS, EmbeddingSpec, LinearSpec, NetworkSpec, body_spec
from tests.nn.cases import close, gradients, gradients_are_right, noise, set_seed, total
from tests.nn.networks import LENGTHS, NETWORKS, STEPS, VOCABULARY, batch, network, predicted

every_network = pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
EMBEDDED = NETWORKS["embedding, residual, last"]


@every_network
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradients_are_those_of_finite_differences(spec: NetworkSpec, lengths: Any) -> None:
    made = network(spec)
    x = batch(spec, gradient=True)
    named = dict(made.named_parameters())

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(made, dict(zip(named, values, strict=True)), (x,), {"lengths": lengths})

    assert gradients_are_right(run, (x, *named.values()))


@every_network
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_the_runtime_says_the_same(spec: NetworkSpec, lengths: Any) -> None:
    made = network(spec)
    x = batch(spec)
    close(predicted(made, x, lengths), made(x, lengths=lengths), "nn_kernels_float64")


@every_network
def test_padding_changes_neither_results_nor_gradients(spec: NetworkSpec) -> None:
    made = network(spec)
    clean, dirty = batch(spec), batch(spec).clone()
    for row, length in enumerate(LENGTHS):
        clean[length:, row] = 0
        dirty[length:, row] = 99 if spec.vocabulary is not None else torch.nan
    results = [made(x, lengths=LENGTHS) for x in (clean, dirty)]
    close(results[1], results[0], "nn_same_bits")
    both = [gradients(total(y), made.parameters()) for y in results]
    close(both[1], both[0], "nn_same_bits")
    for row, length in enumerate(LENGTHS):
        if length:
            alone = made(clean[:length, row : row + 1])
            shown = results[0][:length, row] if spec.readout == "every" else results[0][row]
            close(alone[..., 0, :], shown, "nn_order_of_sums")


@every_network
def test_an_empty_sequence_shows_the_head_zeros(spec: NetworkSpec) -> None:
    made = network(spec)
    y = made(batch(spec), lengths=LENGTHS)
    shown = y[:, 1] if spec.readout == "every" else y[1]
    close(shown, made.head.bias.expand_as(shown), "nn_same_bits")
    if spec.readout != "every":
        close(made(batch(spec, steps=0)), made.head.bias.expand(len(LENGTHS), -1), "nn_same_bits")


@every_network
def test_batch_first_is_the_same_transposed(spec: NetworkSpec) -> None:
    x = batch(spec)
    expected = network(spec)(x, lengths=LENGTHS)
    got = network(spec, batch_first=True)(x.transpose(0, 1), lengths=LENGTHS)
    close(got, expected.transpose(0, 1) if spec.readout == "every" else expected, "nn_same_bits")


@every_network
def test_a_single_sequence_is_a_batch_of_one(spec: NetworkSpec) -> None:
    for made in (network(spec), network(spec, batch_first=True)):
        x = batch(spec, rows=1)
        y = made(x.transpose(0, 1) if made.batch_first else x, lengths=[3])
        if spec.readout == "every":
            y = y.transpose(0, 1) if made.batch_first else y
        close(made(x[:, 0], lengths=[3]), y[..., 0, :], "nn_order_of_sums")


@pytest.mark.parametrize("spec", [one for name, one in NETWORKS.items() if "perceptron" in name], ids=str)
def test_a_perceptron_takes_samples_without_time_as_one_step(spec: NetworkSpec) -> None:
    made = network(spec)
    x = batch(spec)[0]
    step = made(x.unsqueeze(0))
    close(made(x), step[0] if spec.readout == "every" else step, "nn_same_bits")
    close(made(x[1]), made(x)[1], "nn_order_of_sums")


@every_network
def test_saving_and_loading_keeps_the_bits(spec: NetworkSpec, tmp_path: Path) -> None:
    made = network(spec)
    artifact.save(tmp_path / "model", spec, made.to_arrays())
    loaded = artifact.load(tmp_path / "model")
    assert loaded.network == spec
    set_seed(9)
    other = Network(spec, dtype=torch.float64)
    other.load_arrays(loaded.weights)
    close(other(batch(spec)), made(batch(spec)), "nn_same_bits")


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_network_is_one_argument(kind: str) -> None:
    """Document 000 compares MLP, RNN and LSTM in the same places."""
    spec = NetworkSpec(
        input=EmbeddingSpec(num_embeddings=VOCABULARY, embedding_dim=3),
        body=body_spec(kind, 3, hidden_size=6, num_layers=2),
        output_size=2,
        readout="mean",
    )
    made = network(spec).eval()
    x = batch(spec)
    y = made(x, lengths=LENGTHS)
    assert y.shape == (3, 2)
    close(predicted(made, x, LENGTHS), y, "nn_kernels_float64")


Y, IDS = noise(STEPS, 3, 3), batch(EMBEDDED)
TOO_LARGE = IDS.index_fill(0, torch.tensor(2), 5)
LINEAR, PERCEPTRON = NETWORKS["linear, residual, last"], NETWORKS["linear, perceptron, last"]
BAD_INPUTS: dict[str, tuple[NetworkSpec, Any, dict[str, Any], type[Exception], str]] = {
    "floats for an embedding": (
        EMBEDDED,
        Y,
        {},
        ArgumentTypeError,
        "must be whole numbers .got torch.float64",
    ),
    "truths for an embedding": (EMBEDDED, IDS > 1, {}, ArgumentTypeError, "whole numbers .got torch.bool"),
    "a list": (EMBEDDED, [1, 2], {}, ArgumentTypeError, "a tensor of whole numbers .got list"),
    "one-hot": (
        EMBEDDED,
        torch.eye(5, dtype=torch.int64)[IDS],
        {},
        ArgumentError,
        r"be \[time, batch\], or \[time\]",
    ),
    "too large": (
        EMBEDDED,
        IDS.index_fill(0, torch.tensor(2), 5),
        {},
        ArgumentError,
        "4 .got 5 at step 2 of sequence 0",
    ),
    "negative": (
        EMBEDDED,
        IDS - 4,
        {},
        ArgumentError,
        "must hold whole numbers from 0 to .* = 4 .got -",
    ),
    "whole numbers for features": (
        LINEAR,
        IDS[..., None].expand(-1, -1, 3),
        {},
        ArgumentTypeError,
        "dtype of the param",
    ),
    "wrong features": (LINEAR, Y[..., :1], {}, ArgumentError, "last axis of input must be input_size=3"),
    "packed": (
        LINEAR,
        torch.nn.utils.rnn.pack_padded_sequence(Y, torch.tensor([4, 2, 1])),
        {},
        ArgumentTypeError,
        "pass the padded batch and its lengths=",
    ),
    "four axes": (PERCEPTRON, Y[None], {}, ArgumentError, r"\[batch, features\], or \[time, batch, features\] for seq"),
    "lengths of a sample": (PERCEPTRON, Y[0, 0], {"lengths": [1]}, ArgumentError, r"got shape \(3,\)"),
    "lengths of samples": (PERCEPTRON, Y[0], {"lengths": [1, 1, 1]}, ArgumentError, "each of the 1 sequences"),
    "too long": (EMBEDDED, IDS, {"lengths": [5, 1, 1]}, ArgumentError, "lengths must lie between 0 and .* 4"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_clear_error(case: str) -> None:
    spec, x, options, kind, message = BAD_INPUTS[case]
    with pytest.raises(kind, match=message) as error:
        network(spec)(x, **options)
    assert str(error.value).startswith("Network: ")
    assert "\n" not in str(error.value)


def test_a_perceptron_has_no_state() -> None:
    with pytest.raises(ArgumentError, match="hx belongs to a recurrent body"):
        network(PERCEPTRON).run(Y, (noise(1, 3, 3),))


def test_small_and_large_whole_numbers_are_taken() -> None:
    made = network(EMBEDDED)
    for dtype in (torch.uint8, torch.int32):
        close(made(IDS.to(dtype)), made(IDS), "nn_same_bits")


def test_an_unused_vector_is_left_alone_by_the_gradient() -> None:
    made = network(EMBEDDED)
    ids = torch.tensor([[1, 1], [3, 4]])
    (gradient,) = gradients(total(made(ids, lengths=[2, 1])), [made.get_parameter("input.weight")])
    assert cast(Any, gradient.any(1)).tolist() == [False, True, False, True, False]


def test_an_input_that_does_not_fit_its_body_is_refused() -> None:
    body = body_spec("lstm", 4)
    for start in (EmbeddingSpec(num_embeddings=9, embedding_dim=3), LinearSpec(input_size=4, output_size=3)):
        with pytest.raises(ArgumentError, match=r"as many features as the body takes \(got 3 and 4\)"):
            NetworkSpec(input=start, body=body, output_size=1)


@pytest.mark.parametrize(
    "name", ["embedding, residual, max", "linear, both directions, mean", "embedding, perceptron, every"]
)
def test_a_network_compiles_to_one_graph(name: str) -> None:
    made = network(NETWORKS[name])
    compiled = cast(Any, torch).compile(made, fullgraph=True, backend="aot_eager")
    x, lengths = batch(made.spec), torch.tensor(LENGTHS)
    close(compiled(x), made(x), "nn_kernels_float64")
    close(compiled(x, lengths=lengths), made(x, lengths=lengths), "nn_kernels_float64")
