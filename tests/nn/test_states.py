"""``return_states=True`` shows what happened inside, and can be learnt from."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from peephole.nn import LSTM, RNN, States
from peephole.spec import VARIANTS, CellSpec
from tests.cells import CELLS, EVERYTHING_AT_ONCE
from tests.nn.cases import LSTM_VARIANTS, close, gradients, gradients_are_right, layer, noise, set_seed, tensors, total

LSTM_CELLS = {name: cell for name, cell in CELLS.items() if cell.cell == "lstm"} | {"everything": EVERYTHING_AT_ONCE}


@pytest.mark.parametrize(("name", "cells"), [*itertools.product(LSTM_VARIANTS, (1, 3))])
def test_states_obey_the_equations_of_the_cell(name: str, cells: int) -> None:
    made = layer(name, cells_per_block=cells, num_layers=2, bidirectional=True).eval()
    output, (h_n, c_n, *_), states = made(noise(5, 3, 4), return_states=True)
    assert isinstance(states, States)
    blocks = 6 // cells
    assert [q.shape for q in states] == [(4, 5, 3, size) for size in (blocks, blocks, 6, blocks, 6, 6)]
    close(torch.cat([states.h[2], states.h[3]], -1), output, "nn_same_bits")
    for states_at, last in ((states.h, h_n), (states.c, c_n)):
        close([states_at[::2, -1], states_at[1::2, 0]], [last[::2], last[1::2]], "nn_same_bits")
    cell = VARIANTS[name].spec
    for gate, there in (("i", cell.input_gate), ("f", cell.forget_gate), ("o", cell.output_gate)):
        assert bool((getattr(states, gate) == 1).all()) is not there
    if not cell.has_masks:
        i, f = (q.repeat_interleave(cells, -1) for q in (states.i, states.f))
        forward = f[0, 1:] * states.c[0, :-1] + i[0, 1:] * states.g[0, 1:]
        close(forward, states.c[0, 1:], "nn_order_of_sums")


def test_states_are_differentiable_and_exact() -> None:
    made = layer("peephole", input_size=2, hidden_size=2, num_layers=2)
    x = noise(3, 2, 2, gradient=True)

    def states(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(made(x, return_states=True)[2])

    assert gradients_are_right(states, [x])


@pytest.mark.parametrize("cell", LSTM_CELLS.values(), ids=list(LSTM_CELLS))
def test_each_state_alone_carries_its_gradient(cell: CellSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error on one of i f g o c h and on nothing else: by the kernels as by autograd."""
    set_seed(0)
    made = LSTM(4, 6, 2, bidirectional=True, variant=cell, dtype=torch.float64).eval()
    x = noise(5, 3, 4, gradient=True)
    wanted = [x, *made.parameters()]
    learnt = {"i": cell.input_gate, "f": cell.forget_gate, "g": True, "o": cell.output_gate, "c": True, "h": True}
    for name, there in learnt.items():
        found: dict[str, list[Tensor]] = {}
        for backend in ("native", "reference"):
            monkeypatch.setenv("PEEPHOLE_BACKEND", backend)
            state = getattr(made(x, lengths=[5, 0, 3], return_states=True)[2], name)
            assert state.requires_grad is there
            found[backend] = gradients(total(state), wanted) if there else []
        close(found["native"], found["reference"], "nn_kernels_float64")
        assert all(bool(q[0].any()) for q in found.values() if there)


def test_states_behind_the_end_are_zero_for_gates_that_are_not_there_too() -> None:
    for name in ("no_input_gate", "coupled", "lstm1997"):
        states = layer(name)(noise(5, 3, 4), lengths=[5, 2, 0], return_states=True)[2]
        for q in states:
            assert not bool(q[:, 2:, 1].any())
            assert not bool(q[:, :, 2].any())
            assert bool(q[:, :2, 1].all())


@pytest.mark.parametrize("batch_first", [False, True])
def test_states_have_the_layout_of_the_output(batch_first: bool) -> None:
    set_seed(0)
    made = LSTM(4, 6, 2, batch_first=batch_first)
    x = noise(5, 3, 4, dtype=torch.float32)
    expected = made(x, return_states=True)
    assert expected[2].h.shape == (2, *expected[0].shape)
    close(expected[2].h[-1], expected[0], "nn_same_bits")
    single, final, states = made(x[0] if batch_first else x[:, 0], return_states=True)
    assert states.c.shape == (2, *single.shape)
    assert [q.shape for q in final] == [(2, 6), (2, 6)]


def test_asking_for_states_changes_neither_results_nor_gradients() -> None:
    made = layer("peephole", num_layers=2)
    x = noise(5, 3, 4, gradient=True)
    plain, asked = made(x), made(x, return_states=True)[:2]
    close(asked, plain, "nn_same_bits")
    close(torch.autograd.grad(total(asked), x), torch.autograd.grad(total(plain), x), "nn_same_bits")


def test_hidden_states_of_an_rnn() -> None:
    set_seed(0)
    made = RNN(4, 6, 2, bidirectional=True)
    output, h_n, states = made(noise(5, 3, 4, dtype=torch.float32), return_states=True)
    assert states.h.shape == (4, 5, 3, 6)
    close(torch.cat([states.h[2], states.h[3]], -1), output, "nn_same_bits")
    close(states.h[0, -1], h_n[0], "nn_same_bits")


def test_full_gate_recurrence_carries_the_gates_in_its_state() -> None:
    made = layer("full_gate_recurrence", cells_per_block=2, num_layers=2)
    _, final, states = made(noise(5, 3, 4), return_states=True)
    assert [q.shape for q in final] == [(2, 3, 6), (2, 3, 6), (2, 3, 9)]
    close(final[2], torch.cat([states.i[:, -1], states.f[:, -1], states.o[:, -1]], -1), "nn_same_bits")


def test_masks_come_from_torchs_generator() -> None:
    for name in ("zoneout", "variational_dropout", "memory_dropout"):
        made, x = layer(name), noise(5, 3, 4)
        set_seed(1)
        first = made(x)
        again = made(x)
        set_seed(1)
        close(made(x), first, "nn_same_bits")
        assert not torch.equal(again[0], first[0])
        made.eval()
        close(made(x), made(x), "nn_same_bits")


def test_zoneout_in_eval_mode_is_the_expectation() -> None:
    """One step from a given state: the mean of many draws tends to what eval mode gives for the cell."""
    made = layer("zoneout")
    draws = 20_000
    x, h, c = noise(1, 1, 4).expand(1, draws, 4), noise(1, 1, 6), noise(1, 1, 6, seed=2)
    set_seed(0)
    with torch.no_grad():
        many = made(x, (h.expand(1, draws, 6), c.expand(1, draws, 6)))[1][1].mean(1)
        expected = made.eval()(x[:, :1], (h, c))[1][1][:, 0]
    close(many, expected, "nn_mean_of_draws")
    assert len(tensors(many)) == 1
