"""What must hold of a recurrent layer whatever its weights and inputs are."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from peephole.nn import LSTM, RNN
from peephole.spec import VARIANTS
from peephole.weights import row_slices
from tests.nn.cases import LSTM_VARIANTS, close, gradients, layer, noise, state_of, tensors

names = st.sampled_from(list(VARIANTS))
seeds = st.integers(0, 10_000)
laws = settings(max_examples=25, deadline=None)


@st.composite
def layers(draw: st.DrawFn, *, bidirectional: bool | None = None) -> LSTM | RNN:
    """Any layer, in eval mode, so that nothing is random."""
    name = draw(names)
    lstm = VARIANTS[name].spec.cell == "lstm"
    return layer(
        name,
        num_layers=draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()) if bidirectional is None else bidirectional,
        cells_per_block=draw(st.sampled_from([1, 2, 3])) if lstm else 1,
        proj_size=draw(st.sampled_from([0, 2])) if lstm else 0,
        bias=draw(st.booleans()),
        seed=draw(seeds),
    ).eval()


@laws
@given(layers(), seeds, st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 3))
def test_padding_does_not_change_results(made: LSTM | RNN, seed: int, lengths: list[int], more: int) -> None:
    x, hx = noise(5, len(lengths), 4, seed=seed), state_of(made, len(lengths))
    expected = made(x, hx, lengths=lengths, return_states=True)
    rubbish = torch.full((more, len(lengths), 4), math.nan, dtype=x.dtype)
    padded = torch.cat([x, rubbish])
    for at, length in enumerate(lengths):
        padded[length:, at] = math.nan
    padded.requires_grad_()
    output, final, states = made(padded, hx, lengths=lengths, return_states=True)
    cut = [q[:, :5] for q in states]
    close([output[:5], final, cut], expected, "nn_same_bits")
    assert not bool(output[5:].any())
    found = gradients(output.sum(), [padded, *made.parameters()])
    assert all(bool(q.isfinite().all()) for q in found)
    for at, length in enumerate(lengths):
        assert not bool(found[0][length:, at].any())


@laws
@given(layers(), seeds)
def test_a_ragged_batch_equals_its_sequences_one_by_one(made: LSTM | RNN, seed: int) -> None:
    lengths = [4, 0, 6, 1]
    x, hx = noise(6, 4, 4, seed=seed), state_of(made, 4)
    output, final = made(x, hx, lengths=lengths)
    for at, length in enumerate(lengths):
        start = [q[:, at : at + 1] for q in tensors(hx)]
        alone, end = made(x[:length, at : at + 1], tuple(start) if isinstance(made, LSTM) else start[0])
        close(output[:length, at : at + 1], alone, "nn_order_of_sums")
        close([q[:, at : at + 1] for q in tensors(final)], tensors(end), "nn_order_of_sums")
        assert not bool(output[length:, at].any())


@laws
@given(layers(bidirectional=False), seeds, st.integers(0, 6))
def test_chunks_with_carried_state_equal_the_whole(made: LSTM | RNN, seed: int, cut: int) -> None:
    x, hx = noise(6, 3, 4, seed=seed), state_of(made, 3)
    output, final = made(x, hx)
    first, state = made(x[:cut], hx)
    second, end = made(x[cut:], state)
    close([torch.cat([first, second]), end], [output, final], "nn_order_of_sums")


@laws
@given(layers(bidirectional=False), seeds)
def test_one_step_at_a_time_equals_the_batch(made: LSTM | RNN, seed: int) -> None:
    x = noise(6, 3, 4, seed=seed)
    output, final = made(x)
    state: Any = None
    steps: list[Tensor] = []
    for t in range(6):
        y, state = made(x[t : t + 1], state)
        steps.append(y)
    close([torch.cat(steps), state], [output, final], "nn_order_of_sums")


@laws
@given(names, seeds)
def test_bidirectional_of_the_reversed_is_the_reversed_bidirectional(name: str, seed: int) -> None:
    made = layer(name, bidirectional=True, seed=seed).eval()
    swapped = layer(name, bidirectional=True, seed=seed).eval()
    state = cast("dict[str, Tensor]", made.state_dict())
    behind = "_reverse"
    swapped.load_state_dict(
        {key: state[key.removesuffix(behind) if key.endswith(behind) else key + behind] for key in state}
    )
    lengths, x = [6, 2, 0], noise(6, 3, 4, seed=seed)
    turned = x.clone()
    for at, length in enumerate(lengths):
        turned[:length, at] = x[:length, at].flip(0)
    output, final = made(x, lengths=lengths)
    mirrored, mirrored_final = swapped(turned, lengths=lengths)
    for at, length in enumerate(lengths):
        forward, backward = mirrored[:length, at].flip(0).chunk(2, -1)
        close(torch.cat([backward, forward], -1), output[:length, at], "nn_order_of_sums")
    close([q.flip(0) for q in tensors(mirrored_final)], tensors(final), "nn_order_of_sums")


@pytest.mark.parametrize("name", LSTM_VARIANTS)
def test_blocks_of_one_cell_equal_the_plain_cell(name: str) -> None:
    x = noise(5, 3, 4)
    close(layer(name, cells_per_block=1).eval()(x), layer(name).eval()(x), "nn_same_bits")


@pytest.mark.parametrize("name", [name for name in LSTM_VARIANTS if not VARIANTS[name].spec.peepholes])
def test_a_block_equals_plain_cells_with_the_same_gates(name: str) -> None:
    """Without peepholes, three cells that share a gate are three plain cells whose gates have the same weights."""
    blocks, plain = layer(name, cells_per_block=3).eval(), layer(name).eval()
    assert isinstance(blocks, LSTM)
    rows = row_slices(blocks.spec.cell, 6)
    repeated = {
        key: torch.cat([value[at] if part == "g" else value[at].repeat_interleave(3, 0) for part, at in rows.items()])
        for key, value in cast("dict[str, Tensor]", blocks.state_dict()).items()
    }
    for key in ("norm_gain_l0", "norm_shift_l0"):
        if key in repeated:
            repeated[key] = torch.cat([repeated[key], blocks.get_parameter(key).detach()[-6:]])
    plain.load_state_dict(repeated)
    x = noise(5, 3, 4)
    close(plain(x), blocks(x), "nn_order_of_sums")


@laws
@given(seeds, st.sampled_from([1, 3]), st.sampled_from(["coupled", "coupled_peephole"]))
def test_coupled_means_that_the_forget_gate_is_one_minus_the_input_gate(seed: int, cells: int, name: str) -> None:
    made = layer(name, cells_per_block=cells, seed=seed)
    states = made(noise(5, 3, 4, seed=seed), return_states=True)[2]
    close(states.f, 1 - states.i, "nn_same_bits")


@laws
@given(seeds)
def test_a_coupled_cell_equals_a_plain_one_whose_forget_row_mirrors_the_input_row(seed: int) -> None:
    coupled = layer("coupled", seed=seed)
    plain = layer("lstm", seed=seed)
    assert isinstance(coupled, LSTM)
    assert isinstance(plain, LSTM)
    mirrored: dict[str, Tensor] = {}
    for key, value in cast("dict[str, Tensor]", coupled.state_dict()).items():
        i, rest = value[:6], value[6:]
        mirrored[key] = torch.cat([i, -i, rest])  # σ(−z) = 1 − σ(z)
    plain.load_state_dict(mirrored)
    x = noise(5, 3, 4, seed=seed)
    close(coupled(x), plain(x), "nn_order_of_sums")


@laws
@given(layers(), seeds)
def test_rows_of_the_batch_do_not_see_each_other(made: LSTM | RNN, seed: int) -> None:
    x = noise(5, 3, 4, seed=seed)
    order = torch.tensor([2, 0, 1])
    output, final = made(x)
    permuted, permuted_final = made(x[:, order])
    close(permuted, output[:, order], "nn_order_of_sums")
    close(tensors(permuted_final), [q[:, order] for q in tensors(final)], "nn_order_of_sums")
