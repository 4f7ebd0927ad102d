"""Whatever is random in a pass is drawn from the generator that was given, and from nothing else."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from peephole.errors import ArgumentError, ArgumentTypeError
from peephole.nn import LSTM, RNN
from peephole.spec import CellSpec
from tests.cells import ALL_CELLS
from tests.nn.cases import close, gradients, noise, set_seed, tensors, total
from tests.tolerances import TOLERANCES

RANDOM = {name: cell for name, cell in ALL_CELLS.items() if cell.has_masks} | {
    "zoneout of an rnn": CellSpec(cell="rnn", zoneout_hidden=0.3),
    "dropout of an rnn": CellSpec(cell="rnn", recurrent_dropout=0.3),
}


def made_of(cell: CellSpec, *, dropout: float = 0.5, **arguments: Any) -> LSTM | RNN:
    """A stack of three layers with dropout between them."""
    set_seed(0)
    defaults: dict[str, Any] = {"bidirectional": True, "dtype": torch.float64}
    kind = LSTM if cell.cell == "lstm" else RNN
    return kind(4, 6, 3, dropout=dropout, variant=cell, **(defaults | arguments))


def seeded(value: int) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(value)


def pass_of(made: LSTM | RNN, x: Tensor, generator: torch.Generator | None) -> list[Tensor]:
    """Results and gradients of one training pass."""
    outcome = made(x, lengths=[5, 2, 0], return_states=True, generator=generator)
    return [*tensors(outcome), *gradients(total(outcome), [x, *made.parameters()])]


@pytest.mark.parametrize("cell", [*RANDOM.values(), ALL_CELLS["lstm"]], ids=[*RANDOM, "dropout between layers"])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_equal_generators_give_the_same_bits(cell: CellSpec, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEEPHOLE_BACKEND", backend)
    made, x = made_of(cell), noise(5, 3, 4, gradient=True)
    before = torch.random.get_rng_state()
    first = pass_of(made, x, seeded(1))
    assert torch.equal(torch.random.get_rng_state(), before)
    set_seed(99)  # what torch's own generator is at does not matter
    close(pass_of(made, x, seeded(1)), first, "nn_same_bits")
    other = pass_of(made, x, seeded(2))
    assert not torch.equal(other[0], first[0])


@pytest.mark.parametrize("cell", RANDOM.values(), ids=list(RANDOM))
def test_masks_from_a_generator_are_those_of_torchs_at_the_same_seed(cell: CellSpec) -> None:
    made, x = made_of(cell, dropout=0.0), noise(5, 3, 4, gradient=True)
    set_seed(7)
    close(pass_of(made, x, seeded(7)), pass_of(made, x, None), "nn_same_bits")


def test_a_generator_goes_on_from_pass_to_pass() -> None:
    made, x, generator = made_of(ALL_CELLS["zoneout"]), noise(5, 3, 4), seeded(1)
    first, second = made(x, generator=generator), made(x, generator=generator)
    assert not torch.equal(first[0], second[0])
    generator.manual_seed(1)
    close(made(x, generator=generator), first, "nn_same_bits")


def test_in_eval_mode_nothing_is_drawn() -> None:
    made, x, generator = made_of(ALL_CELLS["zoneout"]).eval(), noise(5, 3, 4), seeded(1)
    before = generator.get_state()
    close(made(x, generator=generator), made(x), "nn_same_bits")
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_dropout_from_a_generator_has_its_rate_and_keeps_the_mean(rate: float) -> None:
    """An RNN of units that pass their input on: its second layer shows what dropout left of a one."""
    made = RNN(64, 64, 2, nonlinearity="identity", bias=False, dropout=rate, dtype=torch.float64)
    with torch.no_grad():
        for name, q in made.named_parameters():
            q.copy_(torch.eye(64) if name.startswith("weight_ih") else torch.zeros(64, 64))
    left = made(torch.ones(20, 50, 64, dtype=torch.float64), generator=seeded(3))[0].detach()
    kept = 1 - rate
    assert set(left.unique().tolist()) == ({0.0, 1 / kept} if kept else {0.0})
    deviation = (rate * kept / left.numel()) ** 0.5
    assert abs(float((left > 0).double().mean()) - kept) <= TOLERANCES["random_sigmas"] * deviation


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_dtype_draws_from_the_generator(dtype: torch.dtype) -> None:
    made, x = made_of(ALL_CELLS["variational_dropout"], dtype=dtype), noise(5, 3, 4, dtype=dtype)
    before = torch.random.get_rng_state()
    close(made(x, generator=seeded(1)), made(x, generator=seeded(1)), "nn_same_bits")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_packed_sequences_draw_from_the_generator() -> None:
    made, x = made_of(ALL_CELLS["lstm"]), noise(5, 3, 4)
    packed = pack_padded_sequence(x, torch.tensor([5, 3, 3]))
    output = made(packed, generator=seeded(1))[0].data
    assert torch.equal(output, made(packed, generator=seeded(1))[0].data)
    assert not torch.equal(output, made(packed, generator=seeded(2))[0].data)


def test_a_generator_that_does_not_fit_is_refused() -> None:
    made, x = LSTM(4, 6), noise(5, 3, 4, dtype=torch.float32)
    with pytest.raises(ArgumentTypeError, match=r"LSTM: generator must be a torch.Generator \(got int\); for example"):
        made(x, generator=cast(Any, 3))
    with pytest.raises(
        ArgumentError,
        match=r"LSTM: generator must be on the device of the parameters, meta \(got cpu\); make it with",
    ):
        LSTM(4, 6, device="meta")(x.to("meta"), generator=seeded(1))


@pytest.mark.gpu
def test_a_generator_of_the_gpu_serves_what_is_on_the_gpu() -> None:
    for cell in (ALL_CELLS["lstm"], ALL_CELLS["zoneout"]):
        made, x = made_of(cell, dtype=torch.float32).cuda(), noise(5, 3, 4, dtype=torch.float32).cuda()
        first = made(x, generator=torch.Generator("cuda").manual_seed(1))
        set_seed(99)
        close(made(x, generator=torch.Generator("cuda").manual_seed(1)), first, "nn_same_bits")
        with pytest.raises(ArgumentError, match=r"generator must be on the device of the parameters, cuda:0 \(got cpu"):
            made(x, generator=seeded(1))
