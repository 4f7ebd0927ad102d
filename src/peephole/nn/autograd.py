"""One layer and direction on the compiled kernels, with the gradient worked out by hand.

Tensors reach the kernels as addresses; nothing is copied that lies densely already. The backward pass is that of the
equations, exact (or truncated where the cell says so), with whatever error comes from outside: on the outputs, the
final state, and the gates and cells of every step. Gradients that nobody needs are not computed. It works in eval
mode as in training, and refuses a second derivative instead of giving a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from peephole.errors import ArgumentError
from peephole.kernels import layout, native
from peephole.nn.cell import CellInputs, CellRun, CellState
from peephole.nn.once import first_derivative_only
from peephole.spec import CellSpec

_DTYPES: Mapping[torch.dtype, native.Dtype] = {torch.float32: "float32", torch.float64: "float64"}
_STATE = ("h0", "c0", "r0")
_FINAL = ("h_n", "c_n", "r_n")
_MASKS = ("zoneout_h", "zoneout_c", "drop_h", "drop_g")
_SHOWN = ("gates", "c")
_OUTPUTS = ("y", *_FINAL, *_SHOWN)
_ERRORS = ("dy", "dh_n", "dc_n", "dr_n", "dgates", "dc")

Buffers = dict[str, Tensor]


class _Call(NamedTuple):
    """What of a call is no differentiable tensor.

    Attributes:
        spec: the cell.
        reverse: the direction of time.
        want_states: whether gates and cells of every step are given out.
        constants: lengths and masks, as far as there are such.
        names: of the tensors that follow, as in :mod:`peephole.kernels.layout`.
    """

    spec: CellSpec
    reverse: bool
    want_states: bool
    constants: Buffers
    names: tuple[str, ...]

    def sizes(self, buffers: Buffers) -> layout.Sizes:
        steps, batch, features = buffers["x"].shape
        state = buffers["h0" if self.spec.cell == "rnn" else "c0"]
        return layout.Sizes(steps, batch, features, state.shape[1])


def run_cell(inputs: CellInputs) -> CellRun:
    """Run one cell over a sequence on the compiled kernels.

    Args:
        inputs: the cell's work; dense or strided tensors of one dtype, float32 or float64, on the CPU, at least one
            step and one row.

    Returns:
        Outputs, final state and, if asked for, the gates and cells of every step. Differentiable once.

    Raises:
        BackendError: where the compiled core is missing.
    """
    variables = _named(("x", *_STATE), (inputs.x, *inputs.state)) | dict(inputs.weights)
    constants = _named(("lengths", *_MASKS), (inputs.lengths, *inputs.masks))
    _check_memory(inputs, variables | constants)
    call = _Call(inputs.spec, inputs.reverse, inputs.want_states, _dense(constants), tuple(variables))
    if torch.is_grad_enabled() and any(q.requires_grad for q in variables.values()):
        outputs = cast("tuple[Tensor | None, ...]", cast(Any, _Cell).apply(call, *variables.values()))
        named = _named(_OUTPUTS, outputs)
    else:
        named = _forward(call, _dense(variables), keep=_SHOWN if call.want_states else ())
    final = CellState(named["h_n"], named.get("c_n"), named.get("r_n"))
    gates, c = (named.get(name) if call.want_states else None for name in _SHOWN)
    return CellRun(named["y"], final, gates, c)


class _Cell(torch.autograd.Function):
    """The kernels as one node of the graph; of ``_OUTPUTS`` it gives what the cell has and what is asked for."""

    @staticmethod
    def forward(ctx: FunctionCtx, call: _Call, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        buffers = _dense(dict(zip(call.names, tensors, strict=True)))
        tape = _forward(call, buffers, keep=None)
        saved = {**buffers, **{name: q for name, q in tape.items() if name not in _FINAL}}
        context.save_for_backward(*saved.values())
        context.call, context.saved_names = call, tuple(saved)
        context.set_materialize_grads(False)
        shown = _OUTPUTS if call.want_states else _OUTPUTS[: -len(_SHOWN)]
        return tuple(tape.get(name) if name in shown else None for name in _OUTPUTS)

    @staticmethod
    @first_derivative_only
    def backward(ctx: FunctionCtx, *errors: Tensor | None) -> tuple[Tensor | None, ...]:
        context = cast(Any, ctx)
        call = cast(_Call, context.call)
        saved = dict(zip(context.saved_names, cast("tuple[Tensor, ...]", context.saved_tensors), strict=True))
        needed = cast("tuple[bool, ...]", context.needs_input_grad)[1:]
        wanted = [name for name, need in zip(call.names, needed, strict=True) if need]
        gradients = _backward(call, saved, _dense(_named(_ERRORS, errors)), wanted)
        return (None, *(gradients.get(name) for name in call.names))


def _check_memory(inputs: CellInputs, buffers: Buffers) -> None:
    """Let no tensor reach the kernels, which see addresses alone, that is not what they take it for."""
    x, weights = inputs.x, inputs.weights
    hidden_size = (inputs.state.h if inputs.state.c is None else inputs.state.c).shape[1]
    sizes = layout.Sizes(x.shape[0], x.shape[1], x.shape[2], hidden_size)
    shapes = {
        **layout.weight_shapes(inputs.spec, sizes, bias="b" in weights),
        **layout.input_shapes(inputs.spec, sizes),
    }
    for name, q in buffers.items():
        dtype = torch.int64 if name == "lengths" else x.dtype
        if q.shape != shapes[name] or q.dtype != dtype or not q.is_cpu:
            raise ArgumentError(
                f"peephole.nn: {name} must be of shape {shapes[name]}, {dtype}, on the CPU "
                f"(got {tuple(q.shape)}, {q.dtype}, {q.device}); give all parameters the dtype and device of the input"
            )


def _forward(call: _Call, buffers: Buffers, *, keep: Sequence[str] | None) -> Buffers:
    """The forward pass.

    Args:
        call: the cell and its constants.
        buffers: dense inputs and parameters.
        keep: what of the tape is kept beside outputs and final state; ``None`` keeps all.

    Returns:
        The tape by name.
    """
    sizes, x = call.sizes(buffers), buffers["x"]
    shapes = layout.tape_shapes(call.spec, sizes)
    kept = shapes if keep is None else [name for name in shapes if name in ("y", *_FINAL, *keep)]
    tape = {name: x.new_empty(shapes[name]) for name in kept}
    addresses = _addresses(buffers, call.constants, tape)
    native.run_forward(call.spec, sizes, _DTYPES[x.dtype], addresses, reverse=call.reverse, threads=torch.get_num_threads())
    return tape


def _backward(call: _Call, saved: Buffers, errors: Buffers, wanted: Iterable[str]) -> Buffers:
    """The backward pass: gradients of the wanted inputs and parameters, by the names of those."""
    sizes = call.sizes(saved)
    gradients = {name: torch.zeros_like(saved[name]) for name in wanted}
    addresses = _addresses(saved, call.constants, errors)
    addresses |= {f"d{name}": q.data_ptr() for name, q in gradients.items()}
    native.run_backward(call.spec, sizes, _DTYPES[saved["x"].dtype], addresses, reverse=call.reverse, threads=torch.get_num_threads())
    return gradients


def _named(names: Sequence[str], tensors: Sequence[Tensor | None]) -> Buffers:
    """The tensors that are there, by name."""
    return {name: q for name, q in zip(names, tensors, strict=True) if q is not None}


def _dense(buffers: Mapping[str, Tensor]) -> Buffers:
    return {name: q.contiguous() for name, q in buffers.items()}


def _addresses(*groups: Buffers) -> dict[str, int]:
    return {name: q.data_ptr() for group in groups for name, q in group.items()}
