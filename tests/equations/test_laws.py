"""Properties that hold for every cell, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.equations import Masks, State, forward, stack_forward
from peephole.equations.gradcheck import Problem, random_problem
from peephole.equations.lstm import gather, spread
from peephole.spec import VARIANTS, CellSpec, RecurrentSpec
from peephole.weights import module_shapes, row_slices
from tests.cells import CELLS, EVERYTHING_AT_ONCE
from tests.tolerances import TOLERANCES

ATOL = TOLERANCES["same_sum_in_another_order"]
ALL = {**CELLS, "everything": EVERYTHING_AT_ONCE}
seeds = st.integers(0, 2**32 - 1)


def at_inference(spec: CellSpec, seed: int, lengths: tuple[int, ...] = (5, 3, 4)) -> Problem:
    return replace(random_problem(spec, seed=seed, lengths=lengths, input_size=2, blocks=2), masks=Masks())


def assert_states_equal(one: State, other: State) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_allclose(a, b, rtol=0, atol=ATOL)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
def test_padding_does_not_change_results(spec: CellSpec) -> None:
    p = at_inference(spec, 1)
    tape = forward(spec, p.weights, p.x, p.state, lengths=p.lengths)
    noise = np.where((np.arange(5)[:, None] < p.lengths)[..., None], p.x, 1e6)
    padded = np.concatenate([noise, np.full((3, 3, 2), -7.0)])
    longer = forward(spec, p.weights, padded, p.state, lengths=p.lengths)
    np.testing.assert_array_equal(longer.y[:5], tape.y)
    assert not longer.y[5:].any()
    assert_states_equal(longer.final, tape.final)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
def test_ragged_batch_equals_its_rows_alone(spec: CellSpec, reverse: bool) -> None:
    p = at_inference(spec, 2)
    tape = forward(spec, p.weights, p.x, p.state, lengths=p.lengths, reverse=reverse)
    for row, length in enumerate(p.lengths):
        h, c, r = (None if q is None else q[row : row + 1] for q in p.state)
        assert h is not None
        state = State(h, c, r)
        alone = forward(spec, p.weights, p.x[:length, row : row + 1], state, reverse=reverse)
        np.testing.assert_allclose(tape.y[:length, row], alone.y[:, 0], rtol=0, atol=ATOL)
        np.testing.assert_allclose(tape.final.h[row], alone.final.h[0], rtol=0, atol=ATOL)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
@given(seed=seeds, cut=st.integers(0, 5))
def test_chunked_with_carried_state_equals_whole(spec: CellSpec, seed: int, cut: int) -> None:
    p = at_inference(spec, seed, lengths=(5, 5))
    whole = forward(spec, p.weights, p.x, p.state)
    first = forward(spec, p.weights, p.x[:cut], p.state)
    second = forward(spec, p.weights, p.x[cut:], first.final)
    np.testing.assert_allclose(np.concatenate([first.y, second.y]), whole.y, rtol=0, atol=ATOL)
    assert_states_equal(second.final, whole.final)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
def test_stream_of_steps_equals_batch(spec: CellSpec) -> None:
    p = at_inference(spec, 3, lengths=(6,))
    whole = forward(spec, p.weights, p.x, p.state)
    state = p.state
    for t in range(6):
        step = forward(spec, p.weights, p.x[t : t + 1], state)
        state = step.final
        np.testing.assert_allclose(step.y[0], whole.y[t], rtol=0, atol=ATOL)


@given(seed=seeds)
def test_bidirectional_of_reversed_sequence_is_reversed_bidirectional(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = RecurrentSpec(cell=VARIANTS["peephole"].spec, input_size=2, hidden_size=3, bidirectional=True)
    tensors = {name: rng.standard_normal(shape) for name, shape in module_shapes(spec).items()}
    swapped = {
        name: tensors[name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"]
        for name in tensors
    }
    x = rng.standard_normal((5, 2, 2))
    there = stack_forward(spec, tensors, x).y
    back = stack_forward(spec, swapped, x[::-1]).y[::-1]
    np.testing.assert_allclose(there, np.concatenate([back[..., 3:], back[..., :3]], axis=2), rtol=0, atol=ATOL)


@given(seed=seeds)
def test_coupled_means_forget_is_one_minus_input(seed: int) -> None:
    """A coupled cell equals a standard one whose forget gate has the input gate's weights negated: 1 − σ(z) = σ(−z)."""
    coupled = at_inference(VARIANTS["coupled"].spec, seed)
    rows = row_slices(coupled.spec, 2)
    weights = {
        letter: np.concatenate([q[rows["i"]], -q[rows["i"]], q[rows["g"]], q[rows["o"]]])
        for letter, q in coupled.weights.items()
    }
    one = forward(coupled.spec, coupled.weights, coupled.x, coupled.state)
    other = forward(VARIANTS["lstm"].spec, weights, coupled.x, coupled.state)
    np.testing.assert_allclose(one.y, other.y, rtol=0, atol=ATOL)


@given(seed=seeds)
def test_block_of_several_cells_equals_plain_cells_with_repeated_gates(seed: int) -> None:
    """A block of three cells is three plain cells whose gates have equal weights."""
    p = at_inference(CellSpec(cells_per_block=3), seed)
    H = 6
    rows = row_slices(p.spec, H)
    weights = {
        letter: np.concatenate([q[rows[k]] if k == "g" else np.repeat(q[rows[k]], 3, axis=0) for k in "ifgo"])
        for letter, q in p.weights.items()
    }
    one = forward(p.spec, p.weights, p.x, p.state)
    other = forward(CellSpec(), weights, p.x, p.state)
    np.testing.assert_allclose(one.y, other.y, rtol=0, atol=ATOL)


@given(seed=seeds, C=st.integers(1, 4))
def test_gather_is_the_transpose_of_spread(seed: int, C: int) -> None:
    rng = np.random.default_rng(seed)
    blocks, cells = rng.standard_normal((2, 3)), rng.standard_normal((2, 3 * C))
    one, other = (spread(blocks, C) * cells).sum(), (blocks * gather(cells, C)).sum()
    np.testing.assert_allclose(one, other, rtol=0, atol=ATOL)


def test_zoneout_of_everything_keeps_the_state() -> None:
    p = at_inference(VARIANTS["zoneout"].spec, 4)
    T, B, H = 5, 3, 2
    tape = forward(p.spec, p.weights, p.x, p.state, masks=Masks(np.ones((T, B, H)), np.ones((T, B, H))))
    assert_states_equal(tape.final, p.state)


def test_saturated_gates_give_no_nan() -> None:
    p = at_inference(VARIANTS["peephole"].spec, 6)
    weights = {letter: 1e6 * q for letter, q in p.weights.items()}
    assert np.isfinite(forward(p.spec, weights, p.x, p.state).y).all()
