"""Everyone else: the same weights, the same input, the same error of the output."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from peephole.bench.grid import PEERS, Peer
from peephole.bench.loops import run_loop
from peephole.bench.onnx import onnxruntime_entrant
from peephole.bench.problem import (
    Entrant,
    Problem,
    gradients_of,
    module_entrant,
    our_plain_cell,
    our_unpadded,
    pass_over,
)
from peephole.errors import MissingDependencyError

_NEEDS: Mapping[Peer, tuple[str, ...]] = MappingProxyType({"onnxruntime": ("onnx", "onnxruntime"), "keras": ("keras",)})


def make_entrant(peer: Peer, problem: Problem, *, threads: int) -> Entrant:
    """Set a peer up.

    Args:
        peer: who.
        problem: the work.
        threads: for whoever has threads of its own; the others take torch's number.

    Raises:
        MissingDependencyError: where the peer is not installed, or cannot be used as it is set up.
    """
    for needed in _NEEDS.get(peer, ()):
        try:
            if needed == "keras":
                os.environ.setdefault("KERAS_BACKEND", "torch")
            importlib.import_module(needed)
        except ImportError as error:
            raise MissingDependencyError(f"{PEERS[peer]}: {needed} is not installed; pip install {needed}") from error
    return _MAKERS[peer](problem, threads)


def _torch(problem: Problem, _threads: int) -> Entrant:
    if problem.case.work == "step":
        return _torch_stepping(problem)
    theirs = _torch_layer(problem)
    with warnings.catch_warnings(), torch.no_grad():  # with a projection torch says once that it goes the slow way
        warnings.simplefilter("ignore", UserWarning)
        theirs(problem.x[:1])
    return module_entrant(problem, theirs, problem.x, problem.dy, lambda: theirs(problem.x)[0])


def _torch_stepping(problem: Problem) -> Entrant:
    """A step with the state carried over in a tuple, and the head behind it."""
    theirs, head = _torch_layer(problem), problem.head
    x = problem.x
    _, B, H = x.shape
    state = (x.new_zeros(1, B, H), x.new_zeros(1, B, H))

    def call() -> Tensor:
        nonlocal state
        with torch.no_grad():
            y, state = theirs(x, state)
            return head(y[0])

    return Entrant(call=call, output=call)


def _packed(problem: Problem, _threads: int) -> Entrant:
    """Packed before the clock runs: what is timed is the layer alone."""
    theirs, lengths = _torch_layer(problem), _lengths(problem)

    def pack(q: Tensor) -> PackedSequence:
        return pack_padded_sequence(q, lengths, enforce_sorted=False)

    x = pack(problem.x.detach())
    data = x.data.requires_grad_(problem.x.requires_grad)
    leaves = {**dict(theirs.named_parameters()), **({"x": data} if data.requires_grad else {})}
    call = pass_over(problem, list(leaves.values()), pack(problem.dy).data, lambda: theirs(x)[0].data)

    def unpack(q: Tensor) -> Tensor:
        return pad_packed_sequence(x._replace(data=q), total_length=problem.x.shape[0])[0]

    def gradients() -> dict[str, Tensor]:
        found = gradients_of(leaves)
        return {name: unpack(q) if name == "x" else q for name, q in found.items()}

    return Entrant(call=call, output=lambda: unpack(call()), gradients=gradients)


def _padded(problem: Problem, _threads: int) -> Entrant:
    """All steps of all sequences, as one does to stay clear of packing; the error behind an end is 0."""
    return _torch(problem, _threads)


def _loop(problem: Problem, _threads: int) -> Entrant:
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in problem.layer.named_parameters()}
    x = problem.x.detach().clone().requires_grad_(problem.x.requires_grad)
    leaves = {**weights, **({"x": x} if x.requires_grad else {})}
    case = problem.case
    call = pass_over(
        problem, list(leaves.values()), problem.dy, lambda: run_loop(case.cell, weights, x, training=case.trains)
    )
    return Entrant(call=call, output=call, gradients=lambda: gradients_of(leaves))


def _keras(problem: Problem, _threads: int) -> Entrant:
    """Batch-major, as Keras wants it, turned round before the clock runs."""
    keras: Any = importlib.import_module("keras")
    if keras.backend.backend() != "torch":
        raise MissingDependencyError(
            f"{PEERS['keras']}: Keras was started on {keras.backend.backend()}; set KERAS_BACKEND=torch"
        )
    ours = {name: weight.detach() for name, weight in problem.layer.named_parameters()}
    T, B, H = problem.x.shape
    layer = keras.layers.LSTM(H, return_sequences=True)
    layer.build((B, T, H))
    bias = ours["bias_ih_l0"] + ours["bias_hh_l0"]
    layer.set_weights([q.numpy() for q in (ours["weight_ih_l0"].t(), ours["weight_hh_l0"].t(), bias)])
    x = problem.x.detach().transpose(0, 1).contiguous().requires_grad_(problem.x.requires_grad)
    dy = problem.dy.transpose(0, 1).contiguous()
    variables = [cast(Tensor, variable.value) for variable in layer.trainable_weights]
    leaves = [*variables, *([x] if x.requires_grad else [])]
    call = pass_over(problem, leaves, dy, lambda: layer(x, training=problem.case.trains))

    def gradients() -> dict[str, Tensor]:
        dW, dR, db, *dx = [leaf.grad for leaf in leaves if leaf.grad is not None]
        named = {"weight_ih_l0": dW.t(), "weight_hh_l0": dR.t(), "bias_ih_l0": db, "bias_hh_l0": db}
        return {**named, **({"x": dx[0].transpose(0, 1)} if dx else {})}

    return Entrant(call=call, output=lambda: call().transpose(0, 1), gradients=gradients)


def _torch_layer(problem: Problem) -> torch.nn.LSTM:
    case = problem.case
    H = case.shape.hidden
    theirs = torch.nn.LSTM(H, H, proj_size=case.proj_size, dtype=problem.x.dtype).train(case.trains)
    theirs.load_state_dict(problem.layer.state_dict())
    return theirs


def _lengths(problem: Problem) -> Tensor:
    if problem.lengths is None:
        raise ValueError("a packed batch has lengths")
    return problem.lengths


_MAKERS: Mapping[Peer, Callable[[Problem, int], Entrant]] = MappingProxyType(
    {
        "torch": _torch,
        "packed": _packed,
        "padded": _padded,
        "onnxruntime": onnxruntime_entrant,
        "keras": _keras,
        "loop": _loop,
        "plain_cell": lambda problem, _threads: our_plain_cell(problem),
        "unpadded": lambda problem, _threads: our_unpadded(problem),
    }
)
