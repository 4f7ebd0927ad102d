"""What runs the cells: kernels where they serve, torch operations elsewhere, cuDNN for the plain cell on CUDA."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from peephole.nn import LSTM, MLP, RNN, builtin
from peephole.spec import VARIANTS
from tests.nn.cases import LSTM_VARIANTS, carry_back, close, gradients, layer, noise, state_of, tensors, total


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["lstm", "peephole", "layer_norm", "zoneout", "rnn"])
def test_half_precision_runs_on_torch_operations(name: str, dtype: torch.dtype) -> None:
    made = layer(name, dtype=torch.float32)
    x = noise(5, 3, 4, dtype=torch.float32)
    expected = made.eval()(x, lengths=[5, 3, 0])[0]
    output = made.to(dtype)(x.to(dtype), lengths=[5, 3, 0])[0]
    assert output.dtype == dtype
    close(output.float(), expected, "nn_half")
    carry_back(output.sum())


@pytest.mark.parametrize("shape", [(0, 3, 4), (5, 0, 4)], ids=["no steps", "no sequences"])
def test_empty_batches_give_empty_outputs(shape: tuple[int, ...]) -> None:
    for made in (layer("peephole", num_layers=2, bidirectional=True), layer("rnn")):
        output, final, states = made(noise(*shape), return_states=True)
        assert output.shape == (*shape[:2], made.spec.feature_size)
        assert all(q.shape[1] == shape[1] and not bool(q.any()) for q in tensors(final))
        assert all(q.shape[1:3] == shape[:2] for q in tensors(states))


def test_modules_can_be_described_without_memory() -> None:
    made = LSTM(4, 6, variant="peephole", device="meta")
    assert made(torch.empty(5, 3, 4, device="meta"))[0].shape == (5, 3, 6)


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_the_backend_is_chosen_by_the_environment(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = layer("peephole")(noise(5, 3, 4))
    dense = MLP(4, (3,), dtype=torch.float64)
    expected_dense = dense(noise(5, 4))
    monkeypatch.setenv("PEEPHOLE_BACKEND", backend)
    output = layer("peephole")(noise(5, 3, 4))
    close(output, expected, "nn_kernels_float64")
    assert ("_LayerBackward" in type(output[1][0].grad_fn.next_functions[0][0]).__name__) is (backend == "native")
    close(dense(noise(5, 4)), expected_dense, "nn_kernels_float64")


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("made", ["lstm", "projected", "tanh", "relu"])
def test_the_call_that_cuda_gets_means_the_same_as_the_kernels(made: str, bias: bool) -> None:
    """Torch's own operator, called as on CUDA but on the CPU."""
    arguments: dict[str, Any] = {"bidirectional": True, "bias": bias, "dtype": torch.float64}
    layers: dict[str, LSTM | RNN] = {
        "lstm": LSTM(4, 6, 2, **arguments),
        "projected": LSTM(4, 6, 2, proj_size=2, **arguments),
        "tanh": RNN(4, 6, 2, **arguments),
        "relu": RNN(4, 6, 2, nonlinearity="relu", **arguments),
    }
    ours = layers[made]
    x, hx = noise(5, 3, 4), state_of(ours, 3)
    assert builtin.mode(ours.spec) is not None
    run = builtin.run(ours.spec, list(ours.parameters()), x, tuple(tensors(hx)), training=True, dropout=0.0)
    close(run, ours(x, hx), "nn_torch_float64")


def test_only_cells_that_torch_has_go_to_cudnn() -> None:
    assert {name for name in VARIANTS if builtin.mode(layer(name).spec) is not None} == {"lstm", "rnn", "rnn_relu"}


def _on_cuda(made: Any, x: torch.Tensor, **arguments: Any) -> list[torch.Tensor]:
    """Results and gradients, brought back to the CPU."""
    made = made.cuda()
    x = x.detach().cuda().requires_grad_()
    outcome = made(x, **arguments)
    found = gradients(total(outcome), [x, *made.parameters()])
    return [q.cpu() for q in (*tensors(outcome), *found)]


@pytest.mark.gpu
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("proj_size", [0, 2])
def test_plain_cells_on_cuda_equal_the_kernels(training: bool, proj_size: int) -> None:
    for made in (LSTM(4, 6, 2, bidirectional=True, proj_size=proj_size), RNN(4, 6, 2), RNN(4, 6, nonlinearity="relu")):
        made.train(training)
        x = noise(5, 3, 4, dtype=torch.float32, gradient=True)
        outcome = made(x)
        expected = [*tensors(outcome), *torch.autograd.grad(total(outcome), [x, *made.parameters()])]
        close(_on_cuda(made, x), expected, "nn_cuda_float32")


@pytest.mark.gpu
@pytest.mark.parametrize("name", LSTM_VARIANTS)
def test_variants_on_cuda_equal_the_kernels(name: str) -> None:
    made = layer(name, bidirectional=True, cells_per_block=3).eval()
    x, arguments = noise(5, 3, 4, gradient=True), {"lengths": [5, 0, 3], "return_states": True}
    outcome = made(x, **arguments)
    found = gradients(total(outcome), [x, *made.parameters()])
    close(_on_cuda(made, x, **arguments), [*tensors(outcome), *found], "nn_kernels_float64")
