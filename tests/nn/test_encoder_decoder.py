"""Encoder and decoder as one network: teacher forcing, free running, padding, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import EncoderDecoder
from peephole.spec import EncoderDecoderSpec, MLPSpec
from peephole.weights import network_shapes
from tests.encoder_decoders import ATTENTIVE, ENCODER_DECODERS, NUMBERS, RECURRENT, TOKENS, VOCABULARY
from tests.nn.cases import close, gradients, noise, total
from tests.nn.sequence_cases import fed, made


def derivatives_are_right(run: Callable[..., Tensor], network: EncoderDecoder) -> bool:
    """Whether the derivative by every parameter is that of differences, each in a direction drawn at random."""
    parameters = tuple(q.detach().requires_grad_() for q in network.parameters())
    return bool(cast(Any, torch.autograd).gradcheck(run, parameters, fast_mode=True))


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_parameters_have_the_names_and_shapes_of_the_artifact(name: str) -> None:
    network = made(name)
    shapes = {key: tuple(q.shape) for key, q in network.named_parameters()}
    assert shapes == network_shapes(ENCODER_DECODERS[name])


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_teacher_forcing_on_its_own_output_gives_what_free_running_gave(name: str) -> None:
    network, (source, _, given) = made(name), fed(name)
    encoded = network.encode(source, lengths=given["source_lengths"])
    start = given["start"]
    said = torch.zeros(3, dtype=torch.int64) if start is None else start
    state, outputs = encoded.state, list[Tensor]()
    for _ in range(6):
        step = network.decode(said.unsqueeze(0), encoded, state)
        outputs.append(step.outputs[0])
        state, said = step.state, step.outputs[0].argmax(-1) if start is None else step.outputs[0]
    ran = torch.stack(outputs)
    told = ran.argmax(-1) if start is None else ran
    forced = network(source, told, source_lengths=given["source_lengths"], start=start)
    close(forced, ran, "nn_order_of_sums")
    generated = network.generate(source, lengths=given["source_lengths"], start=start, max_steps=6)
    written = generated.sequences
    if start is not None:
        close(written, ran, "nn_order_of_sums")
    else:
        for row, length in enumerate(int(q) for q in generated.lengths):
            assert torch.equal(written[:length, row], told[:length, row])


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_padding_changes_nothing(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    together = network(source, target, **given)
    beyond = torch.arange(5)[:, None] >= torch.tensor(given["target_lengths"])
    if ENCODER_DECODERS[name].writes_tokens:  # what stands behind an end may be anything
        target = target.masked_fill(beyond, -100)
    else:
        target = target.masked_fill(beyond[..., None], torch.nan)
    if given["source_lengths"] is not None:
        behind = torch.arange(4)[:, None] >= torch.tensor(given["source_lengths"])
        whole = source.dtype == torch.int64
        source = source.masked_fill(behind, -7) if whole else source.masked_fill(behind[..., None], torch.nan)
    padded = network(source, target, **given)
    close(padded, together, "nn_same_bits")
    found = gradients(padded.square().sum(), network.parameters())
    assert all(bool(q.isfinite().all()) for q in found)
    for row, length in enumerate(given["target_lengths"]):
        part = slice(row, row + 1)
        ends = None if given["source_lengths"] is None else given["source_lengths"][row]
        start = None if given["start"] is None else given["start"][part]
        alone = network(source[part] if ends is None else source[:ends, part], target[:length, part], start=start)
        close(padded[:length, part], alone, "nn_order_of_sums")
        bias = cast(Tensor, network.head.bias).expand_as(padded[length:, row])
        close(padded[length:, row], bias, "nn_same_bits")


@pytest.mark.parametrize("name", ATTENTIVE)
def test_attention_is_a_mean_over_the_valid_steps(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    outputs, weights = network(source, target, **given, return_attention=True)
    close(outputs, network(source, target, **given), "nn_same_bits")
    assert weights.shape == (5, 3, 4)
    for row, (length, ends) in enumerate(zip(given["target_lengths"], given["source_lengths"], strict=True)):
        close(weights[:length, row].sum(-1), torch.ones(length, dtype=torch.float64), "nn_order_of_sums")
        assert not weights[length:, row].any()
        assert not weights[:, row, ends:].any()


def test_a_source_without_steps_gives_no_context() -> None:
    name = "handed over, two layers, attention"
    network, (source, target, _) = made(name), fed(name)
    _, weights = network(source, target, source_lengths=[4, 0, 2], return_attention=True)
    assert not weights[:, 1].any()
    assert bool(network(source, target, source_lengths=[4, 0, 2]).isfinite().all())


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_gradients_of_every_parameter_are_those_of_differences(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    names = [key for key, _ in network.named_parameters()]

    def run(*parameters: Tensor) -> Tensor:
        replaced = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(network, replaced, (source, target), given).flatten()

    assert derivatives_are_right(run, network)


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_everything_learns(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    loss = total(network(source, target, **given))
    for (key, _), gradient in zip(network.named_parameters(), gradients(loss, network.parameters()), strict=True):
        assert bool(gradient.any()), key


# Scheduled sampling


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_sampling_always_is_free_running_whatever_the_target(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    first, last = network(source, target, **given, sampling=1.0), network(source, target.flip(0), **given, sampling=1.0)
    close(first, last, "nn_same_bits")
    own = first.argmax(-1) if ENCODER_DECODERS[name].writes_tokens else first.detach()
    close(network(source, own, **given), first, "nn_order_of_sums")


@pytest.mark.parametrize("name", ["numbers", "both directions to rnn, attention"])
def test_sampling_by_a_seed_repeats_itself_and_mixes(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    given["target_lengths"] = None
    runs = [
        network(source, target, **given, sampling=0.5, generator=torch.Generator().manual_seed(seed))
        for seed in (3, 3, 4)
    ]
    close(runs[0], runs[1], "nn_same_bits")
    assert not torch.equal(runs[0], runs[2])


def test_so_rarely_that_it_never_happens_sampling_is_teacher_forcing() -> None:
    for name in ENCODER_DECODERS:
        network, (source, target, given) = made(name), fed(name)
        rare = network(source, target, **given, sampling=1e-12, generator=torch.Generator().manual_seed(0))
        close(rare, network(source, target, **given), "nn_order_of_sums")


@pytest.mark.parametrize("name", NUMBERS)
def test_the_gradient_flows_through_numbers_that_were_fed_back(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    names = [key for key, _ in network.named_parameters()]

    def run(*parameters: Tensor) -> Tensor:
        replaced = dict(zip(names, parameters, strict=True))
        arguments = {**given, "sampling": 1.0}
        return torch.func.functional_call(network, replaced, (source, target), arguments).flatten()

    assert derivatives_are_right(run, network)


# In and out


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_arrays_go_out_and_come_back(name: str) -> None:
    network, other, (source, target, given) = made(name), made(name, seed=1), fed(name)
    other.load_arrays(network.to_arrays())
    close(other(source, target, **given), network(source, target, **given), "nn_same_bits")
    with pytest.raises(ArgumentError, match=r"EncoderDecoder: .*missing 'head\.bias'"):
        other.load_arrays({key: q for key, q in network.to_arrays().items() if key != "head.bias"})
    with pytest.raises(ArgumentError, match=r"head.bias must have the shape"):
        other.load_arrays({**network.to_arrays(), "head.bias": np.zeros(9)})


def test_the_state_is_handed_over_as_it_is() -> None:
    network, (source, _, given) = made("handed over"), fed("handed over")
    encoded = network.encode(source, lengths=given["source_lengths"])
    vectors = cast("torch.nn.Embedding", network.source)(source)
    _, state = cast(Any, network.encoder)(vectors, lengths=given["source_lengths"])
    close(encoded.state, state, "nn_same_bits")


def test_the_bridge_maps_the_whole_last_state_to_the_whole_first_one() -> None:
    name = "rnn of two layers to lstm"
    network, (source, _, given) = made(name), fed(name)
    h, c = network.encode(source, lengths=given["source_lengths"]).state
    vectors = cast("torch.nn.Embedding", network.source)(source)
    _, last = cast(Any, network.encoder)(vectors, lengths=given["source_lengths"])
    mapped = cast("torch.nn.Linear", network.bridge)(torch.cat([last[0], last[1]], -1))
    close([h[0], c[0]], [mapped[:, :4], mapped[:, 4:]], "nn_same_bits")


def test_float32_and_integers_of_32_bits_are_taken() -> None:
    network, (source, target, given) = made("handed over", dtype=torch.float32), fed("handed over")
    outputs = network(source.int(), target.int(), **given)
    assert outputs.dtype == torch.float32
    close(outputs, network(source, target, **given), "nn_same_bits")


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_an_empty_batch_gives_an_empty_result(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    rows = source.dim() - 1 - source.is_floating_point()
    start = None if given["start"] is None else given["start"][:0]
    none = source.narrow(rows, 0, 0)
    assert network(none, target[:, :0], start=start).shape == (5, 0, network.spec.output_size)
    found = network.generate(none, max_steps=3, start=start, return_attention=name in ATTENTIVE)
    assert found.sequences.shape[:2] == ((0, 0) if name in TOKENS else (3, 0))
    assert found.attention is None or found.attention.shape[:2] == found.sequences.shape[:2]


@pytest.mark.parametrize("name", ["handed over, two layers, attention", "numbers"])
def test_teacher_forcing_compiles_to_one_graph(name: str) -> None:
    network, (source, target, given) = made(name), fed(name)
    lengths = {key: None if q is None else torch.tensor(q) for key, q in given.items() if key.endswith("lengths")}
    compiled = cast(Any, torch).compile(network, backend="eager", fullgraph=True)
    rest = {"start": given["start"]}
    close(compiled(source, target, **lengths, **rest), network(source, target, **lengths, **rest), "nn_order_of_sums")


# What is refused


def _refusals() -> dict[str, tuple[str, dict[str, Any], type[Exception], str]]:
    tokens, numbers, perceptron = "handed over", "numbers", "perceptron"
    zeros = torch.zeros
    long = torch.int64
    return {
        "no tensor": (tokens, {"source": [[1]]}, ArgumentTypeError, "source must be a tensor"),
        "numbers for tokens": (
            tokens,
            {"source": noise(4, 3)},
            ArgumentTypeError,
            "must be whole numbers",
        ),
        "axes of tokens": (tokens, {"source": zeros(4, 3, 1, dtype=long)}, ArgumentError, r"tokens \[time, batch\]"),
        "no steps": (tokens, {"target": zeros(0, 3, dtype=long)}, ArgumentError, "with at least one step"),
        "no steps of numbers": (numbers, {"source": noise(0, 3, 3)}, ArgumentError, "with at least one step"),
        "axes of a perceptron": (perceptron, {"source": noise(4, 3, 3)}, ArgumentError, r"must be \[batch, 3\]"),
        "features": (numbers, {"source": noise(4, 3, 9)}, ArgumentError, r"source must be \[time, batch, 3\]"),
        "dtype": (numbers, {"target": zeros(5, 3, 2)}, ArgumentTypeError, "target must have the dtype"),
        "unknown token": (
            tokens,
            {"source": torch.full((4, 3), 5)},
            ArgumentError,
            "source must .* = 4 .got 5",
        ),
        "negative token": (
            tokens,
            {"target": torch.full((5, 3), -1)},
            ArgumentError,
            "= 3 .got -1 at step 1",
        ),
        "batches": (tokens, {"target": zeros(5, 2, dtype=long), "target_lengths": None}, ArgumentError, "as many rows"),
        "lengths": (tokens, {"source_lengths": [4, 5, 1]}, ArgumentError, "source: lengths must lie between 0 and"),
        "count of lengths": (tokens, {"target_lengths": [1]}, ArgumentError, "target: lengths must hold one number"),
        "lengths of a perceptron": (perceptron, {"source_lengths": [1, 1, 1]}, ArgumentError, "recurrent encoder"),
        "start of tokens": (tokens, {"start": noise(3, 4)}, ArgumentError, "start belongs to a target of numbers"),
        "rows of start": (numbers, {"start": noise(2, 2)}, ArgumentError, "start must have a row for each of the 3"),
        "sampling as text": (tokens, {"sampling": "x"}, ArgumentError, "sampling must be a probability"),
        "generator": (tokens, {"generator": 3}, ArgumentTypeError, "must be a torch.Generator .got int"),
        "sampling": (tokens, {"sampling": 1.5}, ArgumentError, "sampling must be a probability"),
        "attention": (tokens, {"return_attention": True}, ArgumentError, "return_attention needs attention"),
    }


REFUSALS = _refusals()


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_told_in_one_sentence(case: str) -> None:
    name, changes, kind, message = REFUSALS[case]
    network, (source, target, given) = made(name), fed(name)
    with pytest.raises(kind, match=message):
        network(**{"source": source, "target": target, **given, **changes})


def test_sampling_is_refused_where_a_mask_is_drawn_once_a_sequence() -> None:
    spec = ENCODER_DECODERS["numbers"]
    cell = spec.decoder.cell.replace(recurrent_dropout=0.5)
    changed = EncoderDecoderSpec(
        encoder=spec.encoder, decoder=type(spec.decoder)(cell=cell, input_size=2, hidden_size=4), output_size=2
    )
    network = EncoderDecoder(changed, dtype=torch.float64)
    source, target, given = fed("numbers")
    with pytest.raises(ArgumentError, match="leave one of them out"):
        network(source, target, **given, sampling=0.5)
    assert network.eval()(source, target, **given, sampling=0.5).shape == (5, 3, 2)


def test_the_lists_hold_every_kind() -> None:
    assert {*TOKENS, *NUMBERS} == set(ENCODER_DECODERS)
    assert all(isinstance(ENCODER_DECODERS[name].encoder, MLPSpec) for name in set(ENCODER_DECODERS) - set(RECURRENT))
    assert all(ENCODER_DECODERS[name].output_size == VOCABULARY for name in TOKENS)
