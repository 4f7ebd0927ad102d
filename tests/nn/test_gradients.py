"""The kernels' hand-derived gradients are those of autograd and of finite differences."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from peephole.nn import LSTM, RNN, autograd, reference
from peephole.nn.cell import CellEngine, CellState
from peephole.nn.stack import cell_names, run_stack
from peephole.spec import VARIANTS, CellSpec
from tests.cells import ALL_CELLS
from tests.nn.cases import (
    LENGTHS,
    LSTM_VARIANTS,
    RNN_VARIANTS,
    carry_back,
    close,
    gradients,
    gradients_are_right,
    layer,
    noise,
    set_seed,
    state_of,
    tensors,
    total,
)

CASES = [*itertools.product(LSTM_VARIANTS, (1, 3)), *((name, 1) for name in RNN_VARIANTS)]


def _run(engine: CellEngine, made: LSTM | RNN, x: Tensor, hx: Any, *, lengths: Tensor | None, training: bool) -> Any:
    """Outputs, final states, gates and cells of every step."""
    set_seed(42)  # the same masks for both engines
    parts: list[Tensor] = tensors(hx)
    parameters = dict(made.named_parameters())
    run = run_stack(
        made.spec,
        [{letter: parameters[name] for letter, name in own} for own in cell_names(made.spec)],
        x,
        [CellState(*(q[at] for q in parts)) for at in range(parts[0].shape[0])],
        engine=engine,
        lengths=lengths,
        training=training,
        dropout=0.0,
        want_states=True,
    )
    states = [[q for q in (cell.gates, cell.c) if q is not None] for cell in run.runs]
    return run.output, [[q for q in state if q is not None] for state in run.final], states


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize(("name", "cells_per_block"), CASES)
def test_kernels_equal_autograd(
    name: str, cells_per_block: int, bidirectional: bool, ragged: bool, dtype: torch.dtype
) -> None:
    made = layer(name, bidirectional=bidirectional, cells_per_block=cells_per_block, dtype=dtype)
    lengths = torch.tensor(LENGTHS) if ragged else None
    norm = "_layer_norm" if VARIANTS[name].spec.layer_norm else ""
    tolerance = "nn_kernels_float64" if dtype == torch.float64 else f"nn_kernels{norm}_float32"
    for training in (False, True) if VARIANTS[name].spec.has_masks else (False,):
        x = noise(5, 3, 4, dtype=dtype, gradient=True)
        hx = state_of(made, 3, gradient=True)
        wanted = [x, *tensors(hx), *made.parameters()]
        expected = _run(reference.run_layer, made, x, hx, lengths=lengths, training=training)
        actual = _run(autograd.run_layer, made, x, hx, lengths=lengths, training=training)
        close(actual, expected, tolerance)
        close(gradients(total(actual), wanted), gradients(total(expected), wanted), tolerance)


@pytest.mark.parametrize(
    "name", ["lstm", "peephole", "coupled_peephole", "layer_norm", "full_gate_recurrence", "zoneout", "truncated"]
)
def test_projection_equals_autograd(name: str) -> None:
    made = layer(name, bidirectional=True, num_layers=2, cells_per_block=2, proj_size=3)
    x, hx = noise(5, 3, 4, gradient=True), state_of(made, 3, gradient=True)
    wanted = [x, *tensors(hx), *made.parameters()]
    runs = [
        _run(engine, made, x, hx, lengths=torch.tensor(LENGTHS), training=True)
        for engine in (autograd.run_layer, reference.run_layer)
    ]
    close(runs[0], runs[1], "nn_kernels_float64")
    close(gradients(total(runs[0]), wanted), gradients(total(runs[1]), wanted), "nn_kernels_float64")


EXACT = [name for name, one in VARIANTS.items() if not one.spec.truncated]


@pytest.mark.parametrize(
    ("name", "training"),
    [*((name, False) for name in EXACT), *((name, True) for name in EXACT if VARIANTS[name].spec.has_masks)],
)
def test_gradcheck_of_the_layer(name: str, training: bool) -> None:
    made = layer(name, input_size=2, hidden_size=2, bidirectional=True).train(training)
    names = [key for key, _ in made.named_parameters()]
    x, hx = noise(3, 2, 2, gradient=True), state_of(made, 2, gradient=True)
    states = tensors(hx)

    def run(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        set_seed(42)
        parts, values = others[: len(states)], others[len(states) :]
        start = parts if isinstance(made, LSTM) else parts[0]
        arguments = {"lengths": [3, 2], "return_states": True}
        outcome = functional_call(made, dict(zip(names, values, strict=True)), (x, start), arguments)
        return tuple(tensors(outcome))

    assert gradients_are_right(run, (x, *states, *made.parameters()))


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_gradients_flow_in_eval_mode(cell: CellSpec) -> None:
    """To every parameter, and the same as in training where nothing is random."""
    kind = LSTM if cell.cell == "lstm" else RNN
    made = kind(4, 6, 2, bidirectional=True, variant=cell, dtype=torch.float64).eval()
    x = noise(5, 3, 4, gradient=True)
    wanted = [x, *made.parameters()]
    found = gradients(total(made(x)), wanted)
    assert all(bool(q.any()) and bool(q.isfinite().all()) for q in found)
    if not cell.has_masks:
        close(found, gradients(total(made.train()(x)), wanted), "nn_same_bits")


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
def test_the_same_seed_gives_the_same_bits(cell: CellSpec) -> None:
    kind = LSTM if cell.cell == "lstm" else RNN
    made = kind(4, 6, 2, bidirectional=True, dropout=0.3, variant=cell, dtype=torch.float64)
    x = noise(5, 3, 4, gradient=True)

    def run() -> list[Tensor]:
        set_seed(3)
        outcome = made(x, lengths=LENGTHS, return_states=True)
        return [*tensors(outcome), *gradients(total(outcome), [x, *made.parameters()])]

    close(run(), run(), "nn_same_bits")


@pytest.mark.parametrize("name", ["lstm", "layer_norm_peephole", "rnn"])
def test_gradients_that_are_not_needed_are_left_out(name: str) -> None:
    made = layer(name)
    x = noise(5, 3, 4, gradient=True)
    (everything,) = torch.autograd.grad(total(made(x)), [x])
    for parameter in made.parameters():
        parameter.requires_grad_(False)
    output = made(x)
    (alone,) = torch.autograd.grad(total(output), [x])
    close(alone, everything, "nn_same_bits")
    assert not made(noise(5, 3, 4))[0].requires_grad
    with torch.no_grad():
        assert not made(x)[0].requires_grad


@pytest.mark.parametrize("name", list(VARIANTS))
def test_results_without_a_graph_are_the_same_bits(name: str) -> None:
    made = layer(name, bidirectional=True).eval()
    x = noise(5, 3, 4)
    with_graph = made(x, lengths=LENGTHS, return_states=True)
    with torch.no_grad():
        without = made(x, lengths=LENGTHS, return_states=True)
        without_states = made(x, lengths=LENGTHS)
    close(without, with_graph, "nn_same_bits")
    close(without_states, with_graph[:2], "nn_same_bits")


@pytest.mark.parametrize("part", ["output", "h_n", "c_n", "g", "c"])
def test_an_error_on_one_result_alone_is_carried_back(part: str) -> None:
    made = layer("peephole")
    x = noise(5, 3, 4, gradient=True)
    found: list[Tensor] = []
    for engine in (autograd.run_layer, reference.run_layer):
        output, (state,), ((gates, c),) = _run(engine, made, x, state_of(made, 3), lengths=None, training=False)
        chosen = {"output": output, "h_n": state[0], "c_n": state[1], "g": gates, "c": c}[part]
        found.append(torch.autograd.grad(chosen.square().sum(), x)[0])
    close(found[0], found[1], "nn_kernels_float64")


def test_tensors_of_any_layout_are_taken() -> None:
    made = layer("lstm")
    assert isinstance(made, LSTM)
    x = noise(3, 5, 4).transpose(0, 1)
    wide = noise(5, 3, 8)[..., ::2]
    for strided in (x, wide):
        close(made(strided), made(strided.contiguous()), "nn_same_bits")
    with torch.no_grad():
        made.weight_hh_l0 = torch.nn.Parameter(cast(Tensor, made.weight_hh_l0).t().contiguous().t())
    output = made(wide)[0]
    carry_back(output.sum())  # the upstream error is an expanded scalar


def test_a_weight_changed_between_forward_and_backward_is_noticed() -> None:
    made = layer("lstm")
    output = made(noise(5, 3, 4))[0]
    with torch.no_grad():
        cast(Tensor, made.weight_hh_l0).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        carry_back(output.sum())


@pytest.mark.parametrize("name", ["truncated", "lstm1997", "elman"])
def test_truncated_error_reaches_the_past_through_the_carousel_alone(name: str) -> None:
    made = layer(name)
    x = noise(5, 3, 4, gradient=True)
    output = made(x)[0]
    (dx,) = torch.autograd.grad(output[-1].sum(), x)
    assert bool(dx[-1].abs().sum() > 0)
    through_the_past = bool(dx[:-1].abs().sum() > 0)
    assert through_the_past is (name != "elman")
