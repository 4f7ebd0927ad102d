"""Stacked, bidirectional and residual networks, made of single cells (001, 002 Fig. 5.1).

Stacked: the ``h`` of one layer is the ``x`` of the next. Bidirectional: a second cell runs from the last valid step
of each row to the first, and the features of both stand side by side. Residual: where a layer has as many features
out as in, its input is added, ``xˡ⁺¹ = hˡ + xˡ``, and the error goes back both ways, ``dxˡ = dx(dhˡ) + dxˡ⁺¹`` (He et
al. 2016). The state before the first step is zero, given, or learned: one for all rows, whose gradient is then the sum
over the rows. The cell's own passes are arguments, so that the equations here and the compiled kernels are composed by
the same lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from peephole.equations import recurrence
from peephole.equations.activations import Array
from peephole.equations.passes import CellBackward, CellForward
from peephole.equations.state import Masks, State, Tape
from peephole.shapes import Bool, Float, Int
from peephole.spec import RecurrentSpec
from peephole.weights import MODULE_NAMES, STATE_NAMES, cell_weights, learned_state, suffix


@dataclass(frozen=True, kw_only=True)
class StackTape:
    """What a stack leaves behind: ``y`` ``[T, B, feature_size]`` and the tape of every layer and direction.

    ``y`` is the ``h`` of the last layer, with its input added where the stack is residual; ``starts_learned`` says
    whether it began with its learned state.
    """

    y: Array
    cells: tuple[Tape, ...]
    starts_learned: bool = False

    @property
    def final(self) -> tuple[State, ...]:
        """The final state of every layer and direction."""
        return tuple(tape.final for tape in self.cells)


@dataclass(frozen=True, kw_only=True)
class StackGradients:
    """Gradients of the input, of every initial state, and of the parameters by module name."""

    x: Array
    initial: tuple[State, ...]
    weights: dict[str, Array]


def valid_steps(lengths: Int[np.ndarray, " B"], steps: int) -> Bool[np.ndarray, "T B 1"]:
    """Which steps of each row lie within its length."""
    return (np.arange(steps)[:, None] < lengths)[:, :, None]


def stack_forward(
    spec: RecurrentSpec,
    tensors: Mapping[str, Array],
    x: Float[np.ndarray, "T B I"],
    states: Sequence[State | None] | None = None,
    *,
    lengths: Int[np.ndarray, " B"] | None = None,
    masks: Sequence[Masks] | None = None,
    forward: CellForward = recurrence.forward,
) -> StackTape:
    """Run a stack over a batch.

    Args:
        spec: the stack.
        tensors: parameters by module name (:func:`peephole.weights.module_shapes`).
        x: input.
        states: initial state of every layer and direction, in the order of :func:`peephole.weights.cells`; where None,
            the learned ones, or zeros where the stack has none.
        lengths: valid steps of each row.
        masks: random draws of every layer and direction.
        forward: the cell's forward pass.
    """
    tapes: list[Tape] = []
    if spec.residual and lengths is not None:
        x = np.where(valid_steps(lengths, len(x)), x, 0)  # what is added beyond a row's length is 0 like h there
    for layer in range(spec.num_layers):
        outputs: list[Array] = []
        for direction in range(spec.num_directions):
            tape = forward(
                spec.cell,
                cell_weights(tensors, spec, layer, direction),
                x,
                initial_state(spec, tensors, layer, direction, batch=x.shape[1])
                if states is None
                else states[len(tapes)],
                lengths=lengths,
                reverse=direction == 1,
                masks=recurrence.NO_MASKS if masks is None else masks[len(tapes)],
            )
            tapes.append(tape)
            outputs.append(tape.y)
        h = np.concatenate(outputs, axis=2)
        x = h + x if spec.adds_input(layer) else h
    return StackTape(y=x, cells=tuple(tapes), starts_learned=states is None and spec.learned_state)


def initial_state(
    spec: RecurrentSpec, tensors: Mapping[str, Array], layer: int, direction: int, *, batch: int, prefix: str = ""
) -> State | None:
    """The state that one layer and direction begins with: the learned one for every row, or None for zeros.

    Args:
        spec: the stack.
        tensors: parameters by module name.
        layer: from 0.
        direction: 0 forward in time, 1 backward.
        batch: ``B``.
        prefix: what stands before the names of the tensors.
    """
    parts = learned_state(tensors, spec, layer, direction, prefix=prefix)
    return State(**{part: np.repeat(value[None], batch, axis=0) for part, value in parts.items()}) if parts else None


def stack_backward(
    spec: RecurrentSpec,
    tensors: Mapping[str, Array],
    tape: StackTape,
    dy: Float[np.ndarray, "T B F"],
    *,
    dfinal: Sequence[State | None] | None = None,
    backward: CellBackward = recurrence.backward,
) -> StackGradients:
    """Carry the error on the stack's output, and on its final states, back through every layer and direction."""
    gradients: dict[str, Array] = {}
    initial = [tape.initial for tape in tape.cells]
    D = spec.num_directions
    if spec.residual:
        dy = np.where(valid_steps(tape.cells[0].lengths, len(dy)), dy, 0)
    for layer in reversed(range(spec.num_layers)):
        d_outputs = np.split(dy, D, axis=2)
        if not spec.adds_input(layer):
            dy = np.zeros_like(tape.cells[layer * D].x)
        for direction in range(D):
            index = layer * D + direction
            weights = cell_weights(tensors, spec, layer, direction)
            given = None if dfinal is None else dfinal[index]
            of_cell = backward(spec.cell, weights, tape.cells[index], d_outputs[direction], dfinal=given)
            dy = dy + of_cell.x
            initial[index] = of_cell.initial
            for letter, gradient in of_cell.weights.items():
                for name in MODULE_NAMES[letter]:
                    gradients[name + suffix(layer, direction)] = gradient
            for part in learned_state(tensors, spec, layer, direction):
                rows = getattr(of_cell.initial, part)
                own = rows.sum(axis=0) if tape.starts_learned else np.zeros_like(rows[0])
                gradients[STATE_NAMES[part] + suffix(layer, direction)] = own
    return StackGradients(x=dy, initial=tuple(initial), weights=gradients)
