"""A learned state is the given one with the same values, and its gradient is the sum over the batch."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from peephole import artifact, runtime
from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import LSTM, RNN, Network, cudnn
from peephole.spec import CellSpec, NetworkSpec, RecurrentSpec
from peephole.weights import learned_names, module_shapes, network_shapes
from tests.cells import ALL_CELLS
from tests.nn.cases import carry_back, close, gradients, gradients_are_right, noise, set_seed, tensors, total
from tests.tolerances import TOLERANCES

EXACT = {name: cell for name, cell in ALL_CELLS.items() if not cell.truncated and not cell.has_masks}


def made_of(cell: CellSpec, input_size: int = 4, hidden_size: int = 6, **arguments: Any) -> LSTM | RNN:
    """A bidirectional stack of two layers with a learned state that is not zero."""
    set_seed(0)
    defaults: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": torch.float64}
    made = (LSTM if cell.cell == "lstm" else RNN)(
        input_size, hidden_size, variant=cell, learned_state=True, **(defaults | arguments)
    )
    with torch.no_grad():
        for at, q in enumerate(learned(made)):
            q.copy_(noise(*q.shape, seed=30 + at))
    return made.eval()


def learned(made: LSTM | RNN) -> list[Tensor]:
    """The parameters of the learned state: all of ``h``, then ``c``, then ``r``."""
    return [made.get_parameter(name) for names in learned_names(made.spec) for name in names]


def as_given(made: LSTM | RNN, batch: int) -> Any:
    """The learned state as ``hx`` would be given."""
    parts = tuple(
        torch.stack([made.get_parameter(name) for name in names]).unsqueeze(1).repeat(1, batch, 1)
        for names in learned_names(made.spec)
    )
    return parts if made.spec.cell.cell == "lstm" else parts[0]


@pytest.mark.parametrize("cell", ALL_CELLS.values(), ids=list(ALL_CELLS))
@pytest.mark.parametrize("lengths", [None, [5, 0, 3]], ids=["whole", "ragged"])
def test_learned_state_equals_the_same_state_given(cell: CellSpec, lengths: list[int] | None) -> None:
    made = made_of(cell)
    x = noise(5, 3, 4, gradient=True)
    wanted = [x, *made.parameters()]
    actual, expected = made(x, lengths=lengths), made(x, as_given(made, 3), lengths=lengths)
    close(actual, expected, "nn_same_bits")
    close(gradients(total(actual), wanted), gradients(total(expected), wanted), "nn_order_of_sums")
    single = made(x[:, 0])
    close(single, made(x[:, 0], _row(as_given(made, 1))), "nn_same_bits")


def _row(hx: Any) -> Any:
    return hx[:, 0] if isinstance(hx, Tensor) else tuple(q[:, 0] for q in hx)


@pytest.mark.parametrize("cell", EXACT.values(), ids=list(EXACT))
def test_gradients_of_the_learned_state_are_those_of_finite_differences(cell: CellSpec) -> None:
    made = made_of(cell, input_size=2, hidden_size=2 * cell.cells_per_block, num_layers=1)
    names = [name for group in learned_names(made.spec) for name in group]
    x = noise(3, 3, 2)

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        outcome = functional_call(made, dict(zip(names, values, strict=True)), (x,), {"lengths": [3, 0, 2]})
        return tuple(tensors(outcome))

    assert gradients_are_right(run, [q.detach().clone().requires_grad_() for q in learned(made)])


@pytest.mark.parametrize("name", ["lstm", "full_gate_recurrence", "rnn"])
def test_an_empty_sequence_ends_with_the_learned_state(name: str) -> None:
    made = made_of(ALL_CELLS[name])
    output, final = made(noise(5, 2, 4), lengths=[0, 5])
    assert not bool(output[:, 0].any())
    close([q[:, 0] for q in tensors(final)], tensors(_row(as_given(made, 1))), "nn_same_bits")
    assert made(noise(0, 2, 4))[0].shape == (0, 2, 12)


@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_a_given_state_overrides_the_learned_one(name: str) -> None:
    made = made_of(ALL_CELLS[name])
    plain = made_of(ALL_CELLS[name])
    plain.load_state_dict(made.state_dict())
    with torch.no_grad():
        for q in learned(plain):
            q.zero_()
    x, zeros = noise(5, 3, 4), [torch.zeros_like(q) for q in tensors(as_given(made, 3))]
    given = tuple(zeros) if name == "lstm" else zeros[0]
    close(made(x, given), plain(x), "nn_same_bits")
    found = gradients(total(made(x, given)), learned(made))
    assert not any(bool(q.any()) for q in found)


def test_names_shapes_and_start_of_the_learned_state() -> None:
    set_seed(0)
    plain = LSTM(4, 6, 2, bidirectional=True, proj_size=3, full_gate_recurrence=True)
    set_seed(0)
    made = LSTM(4, 6, 2, bidirectional=True, proj_size=3, full_gate_recurrence=True, learned_state=True)
    state = cast("dict[str, Tensor]", made.state_dict())
    assert {name: tuple(q.shape) for name, q in state.items()} == module_shapes(made.spec)
    assert {name: tuple(q.shape) for name, q in state.items() if "_0_l1" in name} == {
        "h_0_l1": (3,),
        "c_0_l1": (6,),
        "r_0_l1": (18,),
        "h_0_l1_reverse": (3,),
        "c_0_l1_reverse": (6,),
        "r_0_l1_reverse": (18,),
    }
    assert not any(bool(q.any()) for q in learned(made))
    close([q for name, q in state.items() if "_0_" not in name], list(plain.parameters()), "nn_same_bits")
    assert [len(own) for own in made.all_weights] == [len(own) for own in plain.all_weights]
    x = noise(5, 3, 4, dtype=torch.float32)
    close(made(x), plain(x), "nn_same_bits")


def test_a_learned_state_learns() -> None:
    made = LSTM(4, 6, learned_state=True, dtype=torch.float64)
    carry_back(made(noise(5, 3, 4))[0].square().sum())
    assert all(q.grad is not None and bool(q.grad.any()) for q in learned(made))


def test_copies_keep_the_learned_state() -> None:
    made, x = made_of(ALL_CELLS["peephole"]), noise(5, 3, 4)
    for copied in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        close(copied(x), made(x), "nn_same_bits")


def test_the_call_that_cuda_gets_takes_the_learned_state() -> None:
    """Torch's own operator, called as on CUDA but on the CPU."""
    made, x = made_of(ALL_CELLS["lstm"]), noise(5, 3, 4)
    weights = [q for own in made.all_weights for q in own]
    run = cudnn.run(made.spec, weights, x, as_given(made, 3), training=True, dropout=0.0)
    close(run, made(x), "nn_torch_float64")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["lstm", "peephole", "rnn"])
def test_a_learned_state_on_cuda_equals_the_kernels(name: str) -> None:
    made, x = made_of(ALL_CELLS[name], dtype=torch.float32), noise(5, 3, 4, dtype=torch.float32)
    expected = [*tensors(made(x)), *gradients(total(made(x)), made.parameters())]
    made, x = made.cuda(), x.cuda()
    found = [*tensors(made(x)), *gradients(total(made(x)), made.parameters())]
    close([q.cpu() for q in found], expected, "nn_cuda_float32")


def test_a_switch_of_another_type_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="LSTM: learned_state must be True or False"):
        LSTM(4, 6, learned_state=cast(Any, 1))
    with pytest.raises(ArgumentTypeError, match="RNN: batch_first_states must be True or False"):
        RNN(4, 6, batch_first_states=cast(Any, "yes"))


# In a network, and without torch


@pytest.mark.parametrize("name", ["peephole", "full_gate_recurrence", "coupled-3_cells-projected", "rnn"])
@pytest.mark.parametrize("readout", ["last", "every"])
def test_a_saved_network_keeps_its_learned_state_bit_for_bit(tmp_path: Path, name: str, readout: Any) -> None:
    cell = ALL_CELLS[name]
    body = RecurrentSpec(cell=cell, input_size=4, hidden_size=6, num_layers=2, bidirectional=True, learned_state=True)
    spec = NetworkSpec(body=body, output_size=3, readout=readout)
    set_seed(0)
    network = Network(spec, dtype=torch.float64)
    with torch.no_grad():
        for at, q in enumerate(learned(cast(Any, network.body))):
            q.copy_(noise(*q.shape, seed=30 + at))
    arrays = network.to_arrays()
    assert {key: array.shape for key, array in arrays.items()} == network_shapes(spec)
    artifact.save(tmp_path / "m", spec, arrays)
    saved = artifact.load(tmp_path / "m")
    assert saved.network == spec
    assert all(saved.weights[key].tobytes() == array.tobytes() for key, array in arrays.items())
    set_seed(1)
    again = Network(saved.network, dtype=torch.float64)
    again.load_arrays(saved.weights)
    x = noise(5, 3, 4)
    close(again(x), network(x), "nn_same_bits")
    predicted = cast(runtime.Model, runtime.load(tmp_path / "m")).predict(x.numpy(), lengths=[5, 0, 3])
    expected = network(x, lengths=[5, 0, 3]).detach().numpy()
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=TOLERANCES["runtime_float64"])


# States with the batch first


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["lstm", "full_gate_recurrence", "lstm-projected", "rnn"])
def test_batch_first_states_are_the_transposed_ones(name: str, batch_first: bool) -> None:
    made = made_of(ALL_CELLS[name], batch_first=batch_first)
    turned = made_of(ALL_CELLS[name], batch_first=batch_first, batch_first_states=True)
    x = noise(5, 3, 4, gradient=True)
    given = tensors(as_given(made, 5 if batch_first else 3))
    given = [(q + noise(*q.shape, seed=50)).detach().requires_grad_() for q in given]
    lstm = isinstance(made, LSTM)

    def run(layer: LSTM | RNN, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        output, final = layer(x, tuple(states) if lstm else states[0])
        return output, tensors(final)

    output, final = run(made, given)
    expected = [output, *final]
    output, final = run(turned, [q.transpose(0, 1) for q in given])
    assert all(q.shape[0] == (5 if batch_first else 3) for q in final)
    actual = [output, *(q.transpose(0, 1) for q in final)]
    close(actual, expected, "nn_same_bits")
    wanted = [x, *given]
    close(gradients(total(actual), wanted), gradients(total(expected), wanted), "nn_same_bits")
    close(turned(x)[0], made(x)[0], "nn_same_bits")
    close(turned(x[0], _row(as_given(made, 1))), made(x[0]), "nn_same_bits")  # a single sequence has no batch axis


def test_chunks_with_carried_batch_first_states_equal_the_whole() -> None:
    made = LSTM(4, 6, 2, batch_first=True, batch_first_states=True, dtype=torch.float64)
    x = noise(3, 6, 4)
    output, final = made(x)
    first, state = made(x[:, :2])
    second, end = made(x[:, 2:], state)
    close([torch.cat([first, second], 1), end], [output, final], "nn_order_of_sums")
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 4, 1]), batch_first=True)
    close(made(packed, final)[1], made(x, final, lengths=[6, 4, 1])[1], "nn_same_bits")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 6), r"shape \(3, 2, 6\) \(got \(2, 3, 6\)\); states have the batch first .*: transpose\(0, 1\)"),
        ((5, 2, 6), "its batch is the input's time axis: swap the input's first two axes"),
        ((3, 6), r"LSTM: h_0 must have the shape \(3, 2, 6\) \(got \(3, 6\)\)$"),
    ],
)
def test_batch_first_states_that_are_swapped_are_refused(shape: tuple[int, ...], message: str) -> None:
    made = LSTM(4, 6, 2, batch_first_states=True, dtype=torch.float64)
    with pytest.raises(ArgumentError, match=message):
        made(noise(5, 3, 4), (noise(*shape), noise(*shape)))
