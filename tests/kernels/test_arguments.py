"""Bad arguments, each with one clear message that names the owner, the parameter and the rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peephole import kernels
from peephole.equations import Layer, Masks, State
from peephole.equations.gradcheck import Problem
from peephole.errors import ArgumentError, ArgumentTypeError, PeepholeError
from peephole.spec import VARIANTS
from tests.kernels.problems import random_errors, random_problem, run_kernels

PROBLEM = random_problem(VARIANTS["peephole"].spec, blocks=4)
TAPE = run_kernels(PROBLEM)
T, B, I, H = (*PROBLEM.x.shape, 4)  # noqa: E741


def weights(**changes: Any) -> dict[str, Any]:
    return {**PROBLEM.weights, **changes}


def forward(problem: Problem = PROBLEM, **changes: Any) -> object:
    arguments: dict[str, Any] = {"weights": problem.weights, "x": problem.x, "state": problem.state, **changes}
    return kernels.forward(problem.spec, **arguments)


def backward(**changes: Any) -> object:
    arguments: dict[str, Any] = {"weights": PROBLEM.weights, "tape": TAPE, "dy": np.ones_like(TAPE.y), **changes}
    return kernels.backward(PROBLEM.spec, **arguments)


def zeros(*shape: int) -> Any:
    return np.zeros(shape)


Bad = tuple[Callable[[], object], type[PeepholeError], str]

BAD: dict[str, Bad] = {
    "x is a list": (lambda: forward(x=[[[0.0]]]), ArgumentTypeError, "forward: x must be a NumPy array"),
    "x holds integers": (lambda: forward(x=np.ones((T, B, I), int)), ArgumentTypeError, "float32 or float64"),
    "x in half precision": (lambda: forward(x=PROBLEM.x.astype(np.float16)), ArgumentTypeError, "got float16"),
    "x of another byte order": (lambda: forward(x=PROBLEM.x.astype(">f8")), ArgumentTypeError, "got >f8"),
    "x without a batch": (lambda: forward(x=zeros(T, I)), ArgumentError, r"3 axes \[T, B, I\] \(got shape \(4, 3\)\)"),
    "x without features": (lambda: forward(x=zeros(T, B, 0)), ArgumentError, "at least one feature"),
    "x in another dtype": (lambda: forward(x=PROBLEM.x.astype(np.float32)), ArgumentTypeError, "float32 as x is"),
    "x with other features": (lambda: forward(x=zeros(T, B, 5)), ArgumentError, r"W must have the shape \[K, I\]"),
    "W swapped": (lambda: forward(weights=weights(W=zeros(I, 4 * H))), ArgumentError, "W .* it looks transposed"),
    "R swapped": (lambda: forward(weights=weights(R=zeros(H, 4 * H))), ArgumentError, "forward: "),
    "R a vector": (lambda: forward(weights=weights(R=zeros(H))), ArgumentError, "R must have 2 axes"),
    "b too long": (lambda: forward(weights=weights(b=zeros(8 * H))), ArgumentError, r"b must .* \[K\] = \(16,\)"),
    "p swapped": (lambda: forward(weights=weights(p=zeros(H, 3))), ArgumentError, "p .* it looks transposed"),
    "W is None": (lambda: forward(weights=weights(W=None)), ArgumentTypeError, "W must be a NumPy array"),
    "no R": (lambda: forward(weights={"W": PROBLEM.weights["W"]}), ArgumentError, "R is missing"),
    "no p": (lambda: forward(weights={k: PROBLEM.weights[k] for k in "WRb"}), ArgumentError, "they differ in p"),
    "a gain": (lambda: forward(weights=weights(gain=zeros(20))), ArgumentError, "they differ in gain"),
    "b in another dtype": (
        lambda: forward(weights=weights(b=np.zeros(16, np.float32))),
        ArgumentTypeError,
        "b must be float64 as x is",
    ),
    "h of another batch": (lambda: forward(state=State(zeros(B + 1, H))), ArgumentError, "h0 must have the shape"),
    "h and c swapped": (
        lambda: forward(
            random_problem(VARIANTS["lstm"].spec.replace(proj_size=2), blocks=4),
            state=State(zeros(B, H), zeros(B, 2)),
        ),
        ArgumentError,
        r"h0 must have the shape \[B, P\] = \(4, 2\)",
    ),
    "r without use": (
        lambda: forward(state=State(zeros(B, H), zeros(B, H), zeros(B, 3 * H))),
        ArgumentError,
        "r0 was given, but this cell has no use for it",
    ),
    "a mask without use": (
        lambda: forward(masks=Masks(zoneout_c=zeros(T, B, H))),
        ArgumentError,
        "zoneout_c was given, but this cell has no use for it",
    ),
    "lengths of another batch": (
        lambda: forward(lengths=np.ones(B + 1, int)),
        ArgumentError,
        r"lengths must have the shape \[B\]",
    ),
    "lengths not whole": (lambda: forward(lengths=np.ones(B)), ArgumentTypeError, "lengths must be whole numbers"),
    "lengths in a list": (lambda: forward(lengths=[1] * B), ArgumentTypeError, "lengths must be a NumPy array"),
    "a length below 0": (lambda: forward(lengths=np.array([1, 2, -1, 3])), ArgumentError, "0 to T = 4 .got -1 to 3"),
    "a length above T": (lambda: forward(lengths=np.array([1, 2, 5, 3])), ArgumentError, "0 to T = 4 .got 1 to 5"),
    "no backend": (lambda: forward(backend="gpu"), ArgumentError, "backend must be one of native, reference"),
    "dy of another length": (lambda: backward(dy=zeros(T + 1, B, H)), ArgumentError, "backward: dy must have"),
    "dy in another dtype": (lambda: backward(dy=np.ones((T, B, H), np.float32)), ArgumentTypeError, "dy must be"),
    "dfinal misshapen": (lambda: backward(dfinal=State(zeros(B, 2))), ArgumentError, "dh_n must have the shape"),
    "dgates misshapen": (lambda: backward(dgates=zeros(T, B, H)), ArgumentError, r"dgates must have .* \[T, B, K\]"),
    "a tape is no tape": (
        lambda: backward(tape={"y": TAPE.y}),
        ArgumentTypeError,
        "tape must be what forward returned",
    ),
    "a tape of another cell": (
        lambda: backward(tape=replace(TAPE, gates=TAPE.gates[:, :, :-1])),
        ArgumentError,
        "gates must have the shape",
    ),
    "a tape without cells": (
        lambda: backward(tape=replace(TAPE, c=None)),
        ArgumentTypeError,
        "tape.c must be an array for this cell",
    ),
    "a dense x of three axes": (
        lambda: kernels.dense_forward(Layer(W=zeros(2, 3)), zeros(4, 5, 3)),
        ArgumentError,
        r"dense_forward: x must have the 2 axes \[B, I\]",
    ),
    "a dense W swapped": (
        lambda: kernels.dense_forward(Layer(W=zeros(3, 2)), zeros(4, 3)),
        ArgumentError,
        r"W must have the shape \[O, I\] = \(3, 3\)",
    ),
    "a dense dy misshapen": (
        lambda: kernels.dense_backward(Layer(W=zeros(2, 3)), zeros(4, 3), zeros(4, 2), zeros(2, 4)),
        ArgumentError,
        r"dy must have the shape \[B, O\] = \(4, 2\) .*it looks transposed",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_bad_argument_gives_one_clear_message(
    call: Callable[[], object], error: type[PeepholeError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_backward_of_a_bad_call_leaves_the_tape_alone() -> None:
    kept = TAPE.y.copy()
    with pytest.raises(ArgumentError):
        backward(dy=zeros(T, B, H + 1))
    assert np.array_equal(TAPE.y, kept)


def test_good_arguments_are_taken() -> None:
    errors = random_errors(TAPE)
    backward(dy=errors.dy, dfinal=errors.dfinal, dgates=errors.dgates, dc=errors.dc)
    forward(lengths=np.array([1, 2, 0, 4], np.uint8))
