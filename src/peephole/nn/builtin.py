"""The plain cells by torch's own operators.

On a CUDA device they are cuDNN, which nothing beats there. On a CPU they serve where a gradient is differentiated
again: several times quicker than a loop of torch operations, and of torch's own gradients. One step alone is theirs
everywhere: the kernels lay the weights out for a whole sequence, which does not pay for one step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from peephole.nn.cell import CellInputs, CellRun, CellState, zero_state
from peephole.spec import CellSpec, RecurrentSpec

_MODES = {
    CellSpec(): "LSTM",
    CellSpec(cell="rnn"): "RNN_TANH",
    CellSpec(cell="rnn", input_activation="relu"): "RNN_RELU",
}


def mode(spec: RecurrentSpec) -> str | None:
    """Torch's name of the cell, or ``None`` where torch does not have it, or not in a stack like this."""
    return None if spec.residual else _MODES.get(spec.cell.replace(proj_size=0))


def run(
    spec: RecurrentSpec,
    weights: Sequence[Tensor],
    x: Tensor,
    states: tuple[Tensor, ...],
    *,
    training: bool,
    dropout: float,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a whole stack as ``torch.nn.LSTM`` and ``torch.nn.RNN`` do.

    cuDNN keeps what the backward pass needs only in its training mode. So where a gradient is wanted that mode is
    asked for in eval mode too, without dropout.

    Args:
        spec: a stack whose :func:`mode` is not ``None``.
        weights: the parameters in torch's order.
        x: ``[T, B, I]``.
        states: ``h_0`` and, for an LSTM, ``c_0``.
        training: whether dropout is drawn.
        dropout: its probability.

    Returns:
        The output ``[T, B, D·P]`` and the final states.
    """
    wants_gradient = torch.is_grad_enabled() and any(q.requires_grad for q in (x, *states, *weights))
    if cast(Any, torch.jit).is_tracing():
        wants_gradient = False  # a trace would keep what is wanted today
    settings = (
        spec.bias,
        spec.num_layers,
        dropout if training else 0.0,
        training or wants_gradient,
        spec.bidirectional,
        False,  # batch_first
    )
    operators = cast(Any, torch)._VF
    name = mode(spec)
    if name == "LSTM":
        output, *final = operators.lstm(x, states, list(weights), *settings)
    else:
        operator = operators.rnn_relu if name == "RNN_RELU" else operators.rnn_tanh
        output, *final = operator(x, states[0], list(weights), *settings)
    return cast(Tensor, output), tuple(cast("list[Tensor]", final))


def runs(inputs: CellInputs) -> bool:
    """Whether torch's operators do a cell's whole work: the plain cell, all steps, no masks, no states asked for."""
    plain = _MODES.get(inputs.spec.replace(proj_size=0)) is not None
    return plain and inputs.lengths is None and not inputs.want_states


def run_cell(inputs: CellInputs) -> CellRun:
    """One cell over a sequence, for what :func:`runs` says."""
    x = inputs.x.flip(0) if inputs.reverse else inputs.x
    state = zero_state(inputs) if inputs.state is None else inputs.state
    spec = RecurrentSpec(
        cell=inputs.spec, input_size=int(x.shape[-1]), hidden_size=inputs.hidden_size, bias="b" in inputs.weights
    )
    given = tuple(q.unsqueeze(0) for q in state if q is not None)
    weights = [inputs.weights[letter] for letter in ("W", "R", "b", "b_h", "W_p") if letter in inputs.weights]
    y, final = run(spec, weights, x, given, training=False, dropout=0.0)
    return CellRun(y.flip(0) if inputs.reverse else y, CellState(*(q.squeeze(0) for q in final)), None, None)


def step_operator(cell: CellSpec) -> str | None:
    """The name of torch's operator for one step of a cell, ``None`` where there is none."""
    return f"{_MODES[cell].lower()}_cell" if cell in _MODES else None


def step(operator: str, weights: Mapping[str, Tensor], x: Tensor, state: CellState | None) -> CellState:
    """One step of a cell as ``torch.nn.LSTMCell`` and ``torch.nn.RNNCell`` take it.

    Args:
        operator: the cell's (:func:`step_operator`).
        weights: the parameters by letter.
        x: ``[B, I]``.
        state: before the step; ``None`` for zeros.
    """
    take = getattr(torch, operator)
    own = (weights["W"], weights["R"], weights.get("b"), weights.get("b_h"))
    h = x.new_zeros((x.shape[0], own[1].shape[1])) if state is None else state.h
    if operator != "lstm_cell":
        return CellState(take(x, h, *own))
    return CellState(*take(x, (h, h if state is None else state.c), *own))


def flatten(spec: RecurrentSpec, weights: Sequence[Tensor]) -> None:
    """Lay the parameters into one piece of memory, as cuDNN likes them; elsewhere nothing happens.

    Args:
        spec: the stack.
        weights: the parameters in torch's order; their values stay.
    """
    name = mode(spec)
    torch_ = cast(Any, torch)
    same = len({q.dtype for q in weights}) == 1 and len({q.data_ptr() for q in weights if q.is_cuda}) == len(weights)
    if name is None or not same or not all(torch_.backends.cudnn.is_acceptable(q) for q in weights):
        return
    if not torch_._use_cudnn_rnn_flatten_weight():
        return
    per_cell = (4 if spec.bias else 2) + bool(spec.cell.proj_size)
    with torch.cuda.device_of(weights[0]), torch.no_grad():
        torch_._cudnn_rnn_flatten_weight(
            list(weights),
            per_cell,
            spec.input_size,
            torch_.backends.cudnn.rnn.get_cudnn_mode(name),
            spec.hidden_size,
            spec.cell.proj_size,
            spec.num_layers,
            False,
            spec.bidirectional,
        )
