"""What PyTorch's own tests check of the results of its recurrent modules, of theirs and ours side by side.

`docs/torch_behaviours.md` names the test of PyTorch behind each of these.
"""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from tests.nn.beside import CELLS, KINDS, LAYERS, hx_of, input_of, mapped, pair, same_pass
from tests.nn.cases import carry_back, close, gradients, gradients_are_right, noise, set_seed, tensors, total

BOTH = (False, True)


def _strided(q: Tensor) -> Tensor:
    """The same values, not next to each other in memory."""
    return torch.stack([torch.zeros_like(q), q], -1).select(-1, 1)


def _each(**choices: Any) -> list[dict[str, Any]]:
    """Every combination of arguments."""
    return [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]


@pytest.mark.parametrize("bias", BOTH)
@pytest.mark.parametrize("kind", CELLS)
def test_six_steps_of_a_cell_and_back(kind: str, bias: bool) -> None:
    theirs, ours = pair(kind, 4, 6, bias=bias)
    x, start = input_of(kind, gradient=True), hx_of(ours, gradient=True)
    ends: list[Any] = []
    for made in (theirs, ours):
        hx = start
        for _ in range(6):
            hx = made(x, hx)
        ends.append(hx)
    close(ends[1], ends[0], "nn_torch_float64")
    for end, made in zip(ends, (theirs, ours), strict=True):
        carry_back(total(end))
        made.input_gradient, x.grad = x.grad, None
    close(ours.input_gradient, theirs.input_gradient, "nn_torch_float64")
    close([q.grad for q in ours.parameters()], [q.grad for q in theirs.parameters()], "nn_torch_float64")


@pytest.mark.parametrize(
    "arguments",
    _each(bias=BOTH, batch_first=BOTH, bidirectional=BOTH, proj_size=(0, 2)),
    ids=lambda chosen: "-".join(str(int(value)) for value in chosen.values()),
)
def test_a_single_sequence_is_a_batch_of_one_in_an_lstm(arguments: dict[str, Any]) -> None:
    theirs, ours = pair("LSTM", 2, 3, 2, **arguments)
    _single_equals_batch(theirs, ours)


@pytest.mark.parametrize(
    "arguments",
    _each(nonlinearity=("relu", "tanh"), bias=BOTH, batch_first=BOTH, bidirectional=BOTH),
    ids=lambda chosen: "-".join(str(value) for value in chosen.values()),
)
def test_a_single_sequence_is_a_batch_of_one_in_an_rnn(arguments: dict[str, Any]) -> None:
    theirs, ours = pair("RNN", 2, 3, 2, **arguments)
    _single_equals_batch(theirs, ours)


def _single_equals_batch(theirs: Any, ours: Any) -> None:
    x, hx = noise(3, 2), hx_of(ours, 1)
    alone = mapped(lambda q: q.squeeze(1), hx)
    axis = 0 if ours.batch_first else 1
    output, final = ours(x.unsqueeze(axis), hx)
    close(ours(x, alone), [output.squeeze(axis), mapped(lambda q: q.squeeze(1), final)], "nn_same_bits")
    close(ours(x, alone), theirs(x, alone), "nn_torch_float64")
    close(ours(x), theirs(x), "nn_torch_float64")


@pytest.mark.parametrize("arguments", [{}, {"bias": False}, {"nonlinearity": "relu"}])
@pytest.mark.parametrize("kind", CELLS)
def test_a_single_row_is_a_batch_of_one_in_a_cell(kind: str, arguments: dict[str, Any]) -> None:
    if kind == "LSTMCell":
        arguments = {name: value for name, value in arguments.items() if name != "nonlinearity"}
    theirs, ours = pair(kind, 4, 6, **arguments)
    x, hx = input_of(kind), hx_of(ours)
    rows = [mapped(lambda q, at=at: q[at], hx) for at in range(3)]
    one_by_one = [tensors(ours(one, row)) for one, row in zip(x, rows, strict=True)]
    close([torch.stack(parts) for parts in zip(*one_by_one, strict=True)], tensors(ours(x, hx)), "nn_order_of_sums")
    close(ours(x[0], rows[0]), theirs(x[0], rows[0]), "nn_torch_float64")


@pytest.mark.parametrize("kind", KINDS)
def test_no_state_is_a_state_of_zeros(kind: str) -> None:
    for arguments in _with_projection(kind):
        theirs, ours = pair(kind, 4, 6, **arguments)
        x, hx = input_of(kind), hx_of(ours)
        close(ours(x), ours(x, mapped(torch.zeros_like, hx)), "nn_same_bits")
        close(ours(x), theirs(x), "nn_torch_float64")


def _with_projection(kind: str) -> list[dict[str, Any]]:
    if kind in CELLS:
        return [{}]
    both = [{"num_layers": 2}, {"num_layers": 2, "bidirectional": True}]
    return both + [{**one, "proj_size": 3} for one in both if kind == "LSTM"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_no_rows_goes_through_and_back(kind: str) -> None:
    theirs, ours = pair(kind, 3, 4)
    x = torch.zeros((0, 3) if kind in CELLS else (5, 0, 3), dtype=torch.float64, requires_grad=True)
    expected, actual = tensors(theirs(x)), tensors(ours(x))
    assert [q.shape for q in actual] == [q.shape for q in expected]
    carry_back(actual[0].sum())
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", BOTH)
def test_a_sequence_of_no_steps_leaves_the_state_where_torch_refuses(kind: str, bidirectional: bool) -> None:
    theirs, ours = pair(kind, 4, 6, bidirectional=bidirectional)
    x, hx = torch.ones(0, 3, 4, dtype=torch.float64), hx_of(ours)
    with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
        theirs(x, hx)
    output, final = ours(x, hx)
    assert output.shape == (0, 3, 12 if bidirectional else 6)
    close(final, hx, "nn_same_bits")


@pytest.mark.parametrize(
    "arguments",
    _each(bias=BOTH, bidirectional=BOTH, batch_first=BOTH),
    ids=lambda chosen: "-".join(str(int(value)) for value in chosen.values()),
)
@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
@pytest.mark.parametrize("dense", BOTH)
def test_passes_there_and_back_agree(kind: str, dense: bool, arguments: dict[str, Any]) -> None:
    more = {"proj_size": 3} if kind == "projected" else {}
    theirs, ours = pair("LSTM" if kind == "projected" else kind, 4, 6, 2, **arguments, **more)
    x, hx = noise(7, 3, 4), hx_of(ours)
    x = x.transpose(0, 1) if ours.batch_first else x
    if not dense:
        x, hx = _strided(x), mapped(_strided, hx)
    for q in (x, *tensors(hx)):
        q.requires_grad_()
    same_pass(theirs, ours, x, hx)


@pytest.mark.parametrize("lengths", [[7, 5, 5, 2, 1, 1], torch.tensor([7, 5, 5, 2, 1, 1])], ids=["list", "tensor"])
@pytest.mark.parametrize("arguments", _each(bidirectional=BOTH, batch_first=BOTH), ids=str)
@pytest.mark.parametrize("kind", [*LAYERS, "projected"])
def test_packed_passes_there_and_back_agree(kind: str, arguments: dict[str, Any], lengths: Any) -> None:
    more = {"proj_size": 3} if kind == "projected" else {}
    theirs, ours = pair("LSTM" if kind == "projected" else kind, 4, 6, 2, **arguments, **more)
    x = noise(6, 7, 4) if ours.batch_first else noise(7, 6, 4)
    hx, found = hx_of(ours, 6), list[list[Tensor]]()
    for made in (theirs, ours):
        given = x.clone().requires_grad_()
        packed = pack_padded_sequence(given, lengths, batch_first=made.batch_first)
        output, final = made(packed, hx)
        assert torch.equal(output.batch_sizes, packed.batch_sizes)
        found.append([output.data, *tensors(final)])
        found[-1] += gradients(total(found[-1]), [given, *made.parameters()])
    close(found[1], found[0], "nn_torch_float64")


@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_batch_equals_its_sequences_one_by_one(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    lengths = [6, 5, 5, 2, 1, 1]
    x = noise(6, 6, 4, gradient=True)
    for made in (theirs, ours):
        output, final = made(pack_padded_sequence(x, torch.tensor(lengths)))
        padded, ends = pad_packed_sequence(output)
        alone = [made(x[:length, at : at + 1]) for at, length in enumerate(lengths)]
        assert torch.equal(ends, torch.tensor(lengths))
        for at, (own, state) in enumerate(alone):
            close(padded[: lengths[at], at : at + 1], own, "nn_order_of_sums")
            close([q[:, at : at + 1] for q in tensors(final)], tensors(state), "nn_order_of_sums")
        one_by_one = sum((own.sum() for own, _ in alone), torch.zeros((), dtype=x.dtype))
        wanted = [x, *made.parameters()]
        close(gradients(padded.sum(), wanted), gradients(one_by_one, wanted), "nn_torch_float64")


@pytest.mark.parametrize("kind", LAYERS)
def test_packed_indices_are_kept(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    packed = pack_padded_sequence(noise(5, 3, 4), torch.tensor([2, 5, 3]), enforce_sorted=False)
    expected, actual = (cast(PackedSequence, made(packed)[0]) for made in (theirs, ours))
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert torch.equal(getattr(actual, name), getattr(expected, name))


@pytest.mark.parametrize("kind", LAYERS)
def test_back_again_and_again_gives_the_same_gradients(kind: str) -> None:
    for made in pair(kind, 4, 6, 2):
        x = input_of(kind, gradient=True)
        output = made(x)[0].sum()
        found = [torch.autograd.grad(output, [x, *made.parameters()], retain_graph=True) for _ in range(4)]
        for again in found[1:]:
            close(again, found[0], "nn_same_bits")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_on_one_result_alone_is_carried_back(kind: str) -> None:
    theirs, ours = pair(kind, 4, 6)
    x, hx = input_of(kind, gradient=True), hx_of(ours, gradient=True)
    wanted = [x, *tensors(hx)]
    for at in range(len(tensors(ours(x, hx)))):
        close(
            gradients(total(tensors(ours(x, hx))[at]), [*wanted, *ours.parameters()]),
            gradients(total(tensors(theirs(x, hx))[at]), [*wanted, *theirs.parameters()]),
            "nn_torch_float64",
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_the_derivative(kind: str) -> None:
    _, ours = pair(kind, 4, 3)
    names = [name for name, _ in ours.named_parameters()]
    x = noise(*((2, 4) if kind in CELLS else (3, 2, 4)), gradient=True)
    hx = hx_of(ours, 2, gradient=True)
    states = tensors(hx)

    def run(x: Tensor, *rest: Tensor) -> Any:
        state = rest[: len(states)]
        weights = dict(zip(names, rest[len(states) :], strict=True))
        given = state if isinstance(hx, tuple) else state[0]
        return tuple(tensors(torch.func.functional_call(ours, weights, (x, given))))

    assert gradients_are_right(run, [x, *states, *ours.parameters()])


@pytest.mark.parametrize("train", BOTH)
@pytest.mark.parametrize("dropout", [0, 0.276, 0.731, 1])
def test_dropout_acts_between_the_layers_alone(dropout: float, train: bool) -> None:
    settings: dict[str, Any] = {"bias": False, "nonlinearity": "relu"}
    for made in pair("RNN", 10, 1000, 2, dropout=dropout, **settings):
        made.train(train)
        with torch.no_grad():
            for weight in made.parameters():
                weight.fill_(1)
            output, h = made(torch.ones(1, 1, 10, dtype=torch.float64), torch.zeros(2, 1, 1000, dtype=torch.float64))
        value = float(output[0, 0, 0])
        assert output.min() == output.max() == h[1, 0, 0] == h[1].min() == h[1].max()
        assert h[0].min() == h[0].max() == 10
        if not train or dropout == 0:
            assert value == 10_000
        elif dropout == 1:
            assert value == 0
        else:  # so many of 1000 units were kept, each scaled by 1/(1 − p)
            assert 8_000 < value < 12_000
            kept = value * (1 - dropout) / 10
            assert abs(kept - round(kept)) < 1e-6


@pytest.mark.parametrize("train", BOTH)
@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_can_be_changed_on_the_way(kind: str, train: bool) -> None:
    theirs, ours = (made.train(train) for made in pair(kind, 4, 6, 2, dropout=0))
    x = input_of(kind)
    for dropout in (0, 0.5, 0, 0.7, 0.2, 1, 0.2, 0):
        theirs.dropout = ours.dropout = dropout
        set_seed(1)
        expected = theirs(x)
        set_seed(1)
        close(ours(x), expected, "nn_torch_float64")
        twice = [ours(x)[0] for _ in range(2)]
        assert torch.equal(*twice) == (dropout in (0, 1) or not train)


@pytest.mark.parametrize("kind", KINDS)
def test_no_argument_is_changed_by_a_pass(kind: str) -> None:
    _, ours = pair(kind, 4, 6)
    x, hx = input_of(kind, gradient=True), hx_of(ours, gradient=True)
    given = [x, *tensors(hx)]
    before = [(q.clone(), q._version) for q in given]
    carry_back(total(ours(x, hx)))
    for q, (values, version) in zip(given, before, strict=True):
        assert torch.equal(q, values)
        assert q._version == version


@pytest.mark.parametrize("kind", KINDS)
def test_non_contiguous_arguments_and_parameters_change_nothing(kind: str) -> None:
    _, ours = pair(kind, 4, 6)
    x, hx = input_of(kind), hx_of(ours)
    expected = ours(x, hx)
    wanted = [(name, q.detach()) for name, q in ours.named_parameters()]
    with torch.no_grad():
        for name, values in wanted:
            getattr(ours, name).set_(_strided(values))
    assert not any(q.is_contiguous() for q in ours.parameters())
    actual = ours(_strided(x), mapped(_strided, hx))
    close(actual, expected, "nn_order_of_sums")
    carry_back(total(actual))
    assert all(q.grad is not None and bool(q.grad.isfinite().all()) for q in ours.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_train_and_eval_differ_by_dropout_alone(kind: str) -> None:
    _, ours = pair(kind, 4, 6)
    x = input_of(kind)
    close(ours.train()(x), ours.eval()(x), "nn_same_bits")
    if kind in LAYERS:
        _, dropping = pair(kind, 4, 6, 2, dropout=0.5)
        assert not torch.equal(dropping.train()(x)[0], dropping.eval()(x)[0])
