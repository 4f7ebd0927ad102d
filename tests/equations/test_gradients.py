"""Every gradient of the equations against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from peephole.equations import (
    Gradients,
    Layer,
    State,
    Tape,
    backward,
    losses,
    mlp_backward,
    mlp_forward,
    readout_backward,
    readout_forward,
    stack_backward,
    stack_forward,
)
from peephole.equations.activations import Array
from peephole.equations.gradcheck import check, compare, difference, random_problem
from peephole.spec import ACTIVATIONS, READOUTS, VARIANTS, Activation, CellSpec, Readout, RecurrentSpec
from peephole.weights import learned_names, module_shapes
from tests.cells import CELLS, EVERYTHING_AT_ONCE, PROJECTED
from tests.tolerances import TOLERANCES

TOLERANCE = TOLERANCES["gradient_check"]


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("spec", CELLS.values(), ids=CELLS)
def test_gradient_equals_central_difference(spec: CellSpec, reverse: bool) -> None:
    for comparison in check(random_problem(spec, reverse=reverse)):
        assert comparison.relative_error <= TOLERANCE, comparison


@pytest.mark.parametrize("spec", PROJECTED.values(), ids=PROJECTED)
def test_gradient_equals_central_difference_with_projection(spec: CellSpec) -> None:
    for comparison in check(random_problem(spec, bias=False)):
        assert comparison.relative_error <= TOLERANCE, comparison


def test_gradient_equals_central_difference_with_everything_at_once() -> None:
    for comparison in check(random_problem(EVERYTHING_AT_ONCE, reverse=True)):
        assert comparison.relative_error <= TOLERANCE, comparison


def test_check_finds_a_wrong_gradient() -> None:
    """The judge is judged: dropping the carried cell error, as 002 eq. 5.42 does, is seen."""
    problem = random_problem(VARIANTS["lstm"].spec)
    truncated = VARIANTS["truncated"].spec

    def wrong_backward(
        spec: CellSpec,
        weights: Mapping[str, Array],
        tape: Tape,
        dy: Array,
        *,
        dfinal: State | None = None,
        dgates: Array | None = None,
        dc: Array | None = None,
    ) -> Gradients:
        return backward(truncated, weights, tape, dy, dfinal=dfinal, dgates=dgates, dc=dc)

    worst = max(comparison.relative_error for comparison in check(problem, backward=wrong_backward))
    assert worst > 1000 * TOLERANCE


def bidirectional(variant: str, **fields: Any) -> RecurrentSpec:
    return RecurrentSpec(cell=VARIANTS[variant].spec, hidden_size=3, bidirectional=True, **fields)


STACKS: dict[str, RecurrentSpec] = {
    **{name: bidirectional(name, input_size=2, num_layers=2) for name in ("lstm", "peephole", "rnn", "coupled")},
    **{
        f"{name} from a learned state": bidirectional(name, input_size=2, num_layers=2, learned_state=True)
        for name in ("lstm", "peephole", "rnn", "coupled", "full_gate_recurrence")
    },
    "residual": bidirectional("peephole", input_size=2, num_layers=3, residual=True),
    "residual from the first layer": bidirectional("lstm", input_size=6, num_layers=2, residual=True),
}


@pytest.mark.parametrize("spec", STACKS.values(), ids=STACKS)
def test_gradient_of_stacked_bidirectional_network_equals_central_difference(spec: RecurrentSpec) -> None:
    rng = np.random.default_rng(5)
    tensors: dict[str, Array] = {name: 0.7 * rng.standard_normal(shape) for name, shape in module_shapes(spec).items()}
    x = rng.standard_normal((3, 3, spec.input_size))
    lengths = np.array([3, 1, 2])
    tape = stack_forward(spec, tensors, x, lengths=lengths)
    dy = np.empty_like(tape.y)
    rng.standard_normal(out=dy)
    dfinal = [state._replace(h=rng.standard_normal(state.h.shape)) for state in tape.final]
    gradients = stack_backward(spec, tensors, tape, dy, dfinal=[State(d.h) for d in dfinal])

    def value() -> float:
        now = stack_forward(spec, tensors, x, lengths=lengths)
        finals = sum(float((d.h * state.h).sum()) for d, state in zip(dfinal, now.final, strict=True))
        return float((dy * now.y).sum()) + finals

    analytic = {"x": gradients.x, **gradients.weights}
    for name, variable in {"x": x, **tensors}.items():
        comparison = compare(name, analytic[name], difference(value, variable))
        assert comparison.relative_error <= TOLERANCE, comparison


def test_a_learned_state_that_was_overridden_has_no_gradient() -> None:
    rng = np.random.default_rng(6)
    spec = bidirectional("peephole", input_size=2, num_layers=2, learned_state=True)
    tensors: dict[str, Array] = {name: rng.standard_normal(shape) for name, shape in module_shapes(spec).items()}
    x = rng.standard_normal((3, 2, 2))
    given = [State(np.ones((2, 3)), np.ones((2, 3)))] * 4
    tape = stack_forward(spec, tensors, x, given)
    assert tape.y.tobytes() != stack_forward(spec, tensors, x).y.tobytes()
    gradients = stack_backward(spec, tensors, tape, np.ones_like(tape.y)).weights
    assert gradients.keys() == tensors.keys()
    assert {name for name, gradient in gradients.items() if not gradient.any()} == {
        name for names in learned_names(spec) for name in names
    }


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_of_partially_connected_perceptron_equals_central_difference(activation: Activation) -> None:
    rng = np.random.default_rng(2)
    mask = (rng.uniform(size=(5, 4)) < 0.6).astype(float)
    first = Layer(W=rng.standard_normal((5, 4)), b=rng.standard_normal(5), mask=mask, activation=activation)
    layers = [first, Layer(W=rng.standard_normal((2, 5)), b=rng.standard_normal(2))]
    x = rng.standard_normal((3, 4))
    dy = rng.standard_normal((3, 2))
    gradients = mlp_backward(layers, mlp_forward(layers, x), dy)

    def value() -> float:
        return float((dy * mlp_forward(layers, x)[-1]).sum())

    assert compare("x", gradients[0].x, difference(value, x)).relative_error <= TOLERANCE
    for layer, gradient in zip(layers, gradients, strict=True):
        assert layer.b is not None
        assert compare("W", gradient.W, difference(value, layer.W)).relative_error <= TOLERANCE
        assert compare("b", gradient.b, difference(value, layer.b)).relative_error <= TOLERANCE
    assert not gradients[0].W[mask == 0].any()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("lengths", [None, np.array([4, 0, 2])], ids=["whole", "ragged"])
def test_gradient_of_readout_equals_central_difference(readout: Readout, lengths: Any) -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal((4, 3, 2))
    dq = np.empty(readout_forward(readout, y, lengths=lengths).shape)
    rng.standard_normal(out=dq)
    gradient = readout_backward(readout, y, dq, lengths=lengths)

    def value() -> float:
        return float((dq * readout_forward(readout, y, lengths=lengths)).sum())

    assert compare("y", gradient, difference(value, y)).relative_error <= TOLERANCE


Loss = Callable[[Array, Array], tuple[float, Array]]
LOSSES: dict[str, tuple[Loss, Array]] = {
    "squared_error": (losses.squared_error, np.array([[0.3, -1.0, 2.0], [0.0, 1.0, 0.5]])),
    "softmax_cross_entropy": (losses.softmax_cross_entropy, np.array([[0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])),
    "logistic_cross_entropy": (losses.logistic_cross_entropy, np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])),
    "multiclass_hinge": (losses.multiclass_hinge, np.array([2, 0])),
}


@pytest.mark.parametrize(("loss", "target"), LOSSES.values(), ids=LOSSES)
def test_gradient_of_loss_equals_central_difference(loss: Loss, target: Array) -> None:
    scores: Array = np.random.default_rng(3).standard_normal((2, 3))
    gradient = loss(scores, target)[1]

    def value() -> float:
        return loss(scores, target)[0]

    assert compare("s", gradient, difference(value, scores)).relative_error <= TOLERANCE
