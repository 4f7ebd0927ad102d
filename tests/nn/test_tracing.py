"""``torch.jit.trace`` records the plain cells as it records torch's, and says what it cannot record."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from peephole.errors import BackendError
from peephole.nn import LSTM, RNN, LSTMCell, RNNCell
from tests.nn.cases import close, noise

pytestmark = [  # torch deprecates tracing, and tells whoever looks at a shape
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
X = noise(5, 3, 4, dtype=torch.float32)


def _trace(module: torch.nn.Module, *inputs: Any) -> Any:
    return cast(Any, torch.jit).trace(module.eval(), inputs)


@pytest.mark.parametrize(
    "made",
    [
        LSTM(4, 6),
        LSTM(4, 6, 2, bidirectional=True, batch_first=True),
        RNN(4, 6, nonlinearity="relu", bias=False),
        LSTM(4, 6, learned_state=True, residual=True, num_layers=2),
    ],
)
def test_a_traced_layer_gives_the_same_on_other_batches_and_steps(made: LSTM | RNN) -> None:
    traced = _trace(made, X)
    for x in (X, noise(7, 2, 4, dtype=torch.float32)):
        close(traced(x), made(x), "nn_kernels_float32")


@pytest.mark.parametrize("made", [LSTMCell(4, 6), RNNCell(4, 6)])
def test_a_traced_cell_carries_its_state(made: Any) -> None:
    with torch.no_grad():
        state = made(X[0])
    traced = _trace(made, X[1], state)
    for rows in (3, 2):
        before = made(X[0, :rows])
        close(traced(X[1, :rows], before), made(X[1, :rows], before), "nn_kernels_float32")


@pytest.mark.parametrize("arguments", [{"peepholes": True}, {"layer_norm": True}])
def test_tracing_a_variant_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match=r"torch.jit.trace records the plain cells alone.*use torch.export"):
        _trace(LSTM(4, 6, **arguments), X)


def test_tracing_a_ragged_batch_is_refused() -> None:
    class Packs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LSTM(4, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(pack_padded_sequence(x, torch.tensor([5, 2, 1])))[0].data

    with pytest.raises(BackendError, match="lengths, a PackedSequence"):
        _trace(Packs(), X)
