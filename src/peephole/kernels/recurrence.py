"""The recurrent passes on NumPy arrays, with the signature and the results of :mod:`peephole.equations.recurrence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from peephole.equations import recurrence as equations
from peephole.equations.state import Gradients, Masks, State, Tape
from peephole.errors import ArgumentTypeError
from peephole.kernels import layout
from peephole.kernels.backend import Backend, choose_backend
from peephole.kernels.checks import (
    Array,
    Call,
    checked_array,
    checked_call,
    checked_group,
    checked_input,
    checked_lengths,
    checked_weights,
)
from peephole.kernels.native import address_of, run_backward, run_forward
from peephole.shapes import Float, Int
from peephole.spec import CellSpec

_STATE = ("h", "c", "r")


class _Inputs(NamedTuple):
    """What a forward pass reads beside the parameters, checked."""

    x: Array
    initial: State
    lengths: Array
    reverse: bool
    masks: Masks

    def buffers(self) -> dict[str, Array]:
        """The arrays that are there, by buffer name."""
        state = _state_items(self.initial, "{}0")
        values = {"x": self.x, **state, "lengths": self.lengths, **self.masks._asdict()}
        return {name: value for name, value in values.items() if value is not None}


_NO_MASKS = Masks()


def forward(
    spec: CellSpec,
    weights: Mapping[str, Array],
    x: Float[np.ndarray, "T B I"],
    state: State | None = None,
    *,
    lengths: Int[np.ndarray, " B"] | None = None,
    reverse: bool = False,
    masks: Masks = _NO_MASKS,
    backend: Backend | None = None,
) -> Tape:
    """Run a cell over a batch of sequences.

    Args:
        spec: the cell.
        weights: parameters by letter (:mod:`peephole.weights`), of the dtype of ``x``; ``b`` may be absent.
        x: input, float32 or float64. What stands beyond a row's length is never read.
        state: the state before the first step; zeros where None, in whole or in part.
        lengths: valid steps of each row, 0 to ``T``; all where None.
        reverse: run from the last valid step of each row to the first.
        masks: random draws of zoneout and dropout; without them, as at inference.
        backend: ``"native"``, or ``"reference"`` for the equations in float64, rounded to the dtype of ``x`` at the
            end. None: as :func:`~peephole.kernels.choose_backend` says.

    Returns:
        The tape, its arrays dense and of the dtype of ``x``.

    Raises:
        ArgumentTypeError: for something that is no array, or of another dtype.
        ArgumentError: for a wrong shape, a length out of range, or an array that the cell has no use for.
        BackendError: where the compiled core is asked for and missing.
    """
    x = checked_input("forward", x, layout.DIMENSIONS["x"])
    call = checked_call("forward", spec, weights, x)
    w = checked_weights(call, spec, weights)
    shapes = layout.input_shapes(spec, call.sizes)
    initial = _filled_state(checked_group(call, _state_items(state, "{}0"), shapes), shapes, call.dtype)
    given = _masks(checked_group(call, masks._asdict(), shapes))
    valid = checked_lengths(call, lengths)
    run = _forward_reference if choose_backend(backend) == "reference" else _forward_native
    return run(call, spec, w, _Inputs(x, initial, valid, reverse, given))


def backward(
    spec: CellSpec,
    weights: Mapping[str, Array],
    tape: Tape,
    dy: Float[np.ndarray, "T B P"],
    *,
    dfinal: State | None = None,
    dgates: Float[np.ndarray, "T B K"] | None = None,
    dc: Float[np.ndarray, "T B H"] | None = None,
    backend: Backend | None = None,
) -> Gradients:
    """Backpropagation through time, exact, or truncated to the carousel where the spec says so.

    Args:
        spec: the cell.
        weights: parameters by letter, as in the forward pass.
        tape: what :func:`forward` left.
        dy: error on ``h`` of every step; what stands beyond a row's length is ignored.
        dfinal: error on the final state; None, or None inside, for zero.
        dgates: error from outside on the activations of every step.
        dc: error from outside on the cell state of every step.
        backend: as for :func:`forward`.

    Raises:
        ArgumentTypeError: for something that is no array, or of another dtype than the tape.
        ArgumentError: for a wrong shape, or an array that the cell has no use for.
        BackendError: where the compiled core is asked for and missing.
    """
    if not isinstance(cast("object", tape), Tape):
        raise ArgumentTypeError(f"backward: tape must be what forward returned (got {type(tape).__name__})")
    x = checked_input("backward", tape.x, layout.DIMENSIONS["x"])
    call = checked_call("backward", spec, weights, x)
    w = checked_weights(call, spec, weights)
    shapes = layout.error_shapes(spec, call.sizes)
    errors = {"dy": checked_array("backward", "dy", dy, shapes["dy"], call.dtype)}
    errors |= checked_group(call, {**_state_items(dfinal, "d{}_n"), "dgates": dgates, "dc": dc}, shapes)
    if choose_backend(backend) == "reference":
        return _backward_reference(call, spec, w, tape, errors)
    return _backward_native(call, spec, w, tape, errors)


def _forward_native(call: Call, spec: CellSpec, weights: dict[str, Array], inputs: _Inputs) -> Tape:
    written = {name: np.zeros(shape, call.dtype) for name, shape in layout.tape_shapes(spec, call.sizes).items()}
    buffers = {**weights, **inputs.buffers(), **written}
    run_forward(spec, call.sizes, call.dtype_name, _addresses(buffers), reverse=inputs.reverse)
    final = State(written["h_n"], written.get("c_n"), written.get("r_n"))
    c = written.get("c")
    return Tape(
        **inputs._asdict(),
        y=written["y"],
        gates=written["gates"],
        c=c,
        c_hat=written.get("c_hat", c),
        a=written.get("a"),
        normed=written.get("normed"),
        rstd=written.get("rstd"),
        final=final,
    )


def _backward_native(
    call: Call, spec: CellSpec, weights: dict[str, Array], tape: Tape, errors: dict[str, Array]
) -> Gradients:
    shapes = layout.gradient_shapes(spec, call.sizes, bias="b" in weights)
    gradients = {name: np.empty(shape, call.dtype) for name, shape in shapes.items()}
    buffers = {**weights, **_checked_tape(call, spec, tape), **errors, **gradients}
    run_backward(spec, call.sizes, call.dtype_name, _addresses(buffers), reverse=tape.reverse)
    return Gradients(
        x=gradients["dx"],
        initial=State(gradients["dh0"], gradients.get("dc0"), gradients.get("dr0")),
        weights={letter: gradients[f"d{letter}"] for letter in weights},
    )


def _checked_tape(call: Call, spec: CellSpec, tape: Tape) -> dict[str, Array]:
    """The inputs and the steps of a tape as buffers; a tape made by hand is checked as everything else is."""
    input_shapes, tape_shapes = layout.input_shapes(spec, call.sizes), layout.tape_shapes(spec, call.sizes)
    initial = checked_group(call, _state_items(tape.initial, "{}0"), input_shapes)
    inputs = _Inputs(
        checked_input(call.owner, tape.x, layout.DIMENSIONS["x"]),
        _filled_state(initial, input_shapes, call.dtype),
        checked_lengths(call, tape.lengths),
        tape.reverse,
        _masks(checked_group(call, tape.masks._asdict(), input_shapes)),
    )
    steps: dict[str, object] = {name: getattr(tape, name) for name in tape_shapes if name not in {"h_n", "c_n", "r_n"}}
    for name, value in steps.items():
        if value is None:
            raise ArgumentTypeError(f"{call.owner}: tape.{name} must be an array for this cell (got None)")
    return inputs.buffers() | checked_group(call, steps, tape_shapes)


def _forward_reference(call: Call, spec: CellSpec, weights: dict[str, Array], inputs: _Inputs) -> Tape:
    tape = equations.forward(
        spec,
        {letter: value.astype(np.float64) for letter, value in weights.items()},
        inputs.x.astype(np.float64),
        State(*_cast(inputs.initial, np.float64)),
        lengths=inputs.lengths,
        reverse=inputs.reverse,
        masks=Masks(*_cast(inputs.masks, np.float64)),
    )
    return _cast_tape(tape, call.dtype)


def _backward_reference(
    call: Call, spec: CellSpec, weights: dict[str, Array], tape: Tape, errors: dict[str, Array]
) -> Gradients:
    wide = {name: value.astype(np.float64) for name, value in errors.items()}
    gradients = equations.backward(
        spec,
        {letter: value.astype(np.float64) for letter, value in weights.items()},
        _cast_tape(tape, np.float64),
        wide["dy"],
        dfinal=State(cast("Array", wide.get("dh_n")), wide.get("dc_n"), wide.get("dr_n")),
        dgates=wide.get("dgates"),
        dc=wide.get("dc"),
    )
    return Gradients(
        x=gradients.x.astype(call.dtype),
        initial=State(*_cast(gradients.initial, call.dtype)),
        weights={letter: value.astype(call.dtype) for letter, value in gradients.weights.items()},
    )


def _state_items(state: State | None, pattern: str) -> dict[str, Array | None]:
    """The parts of a state by buffer name."""
    values = (None, None, None) if state is None else state
    return {pattern.format(name): value for name, value in zip(_STATE, values, strict=True)}


def _filled_state(given: Mapping[str, Array], shapes: layout.Shapes, dtype: np.dtype[Any]) -> State:
    """An initial state with zeros for the parts that were not given, and None for those that the cell has not."""
    names = [f"{name}0" for name in _STATE]
    parts = [given.get(name, np.zeros(shapes[name], dtype)) if name in shapes else None for name in names]
    return State(cast("Array", parts[0]), parts[1], parts[2])


def _masks(given: Mapping[str, Array]) -> Masks:
    return Masks(**{name: given.get(name) for name in Masks._fields})


def _addresses(buffers: Mapping[str, Array]) -> dict[str, int]:
    return {name: address_of(array) for name, array in buffers.items()}


def _cast(parts: tuple[Array | None, ...], dtype: Any) -> list[Any]:
    return [None if part is None else part.astype(dtype) for part in parts]


def _cast_tape(tape: Tape, dtype: Any) -> Tape:
    arrays = ("x", "y", "gates", "c", "c_hat", "a", "normed", "rstd")
    cast_arrays = dict(zip(arrays, _cast(tuple(getattr(tape, name) for name in arrays), dtype), strict=True))
    initial, final = State(*_cast(tape.initial, dtype)), State(*_cast(tape.final, dtype))
    return replace(tape, **cast_arrays, initial=initial, final=final, masks=Masks(*_cast(tape.masks, dtype)))
