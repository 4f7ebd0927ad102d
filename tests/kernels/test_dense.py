"""One layer of neurons: compiled against the equations and against central differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peephole import equations, kernels
from peephole.equations import Layer
from peephole.equations.gradcheck import compare, difference
from peephole.kernels.backend import BACKENDS
from peephole.spec import ACTIVATIONS, Activation
from tests.kernels.problems import Array, assert_same
from tests.tolerances import TOLERANCES


def random_layer(activation: Activation, *, masked: bool, bias: bool, sizes: tuple[int, int]) -> Layer:
    rng = np.random.default_rng(3)
    return Layer(
        W=rng.standard_normal(sizes),
        b=rng.standard_normal(sizes[0]) if bias else None,
        mask=1.0 * (rng.uniform(size=sizes) < 0.6) if masked else None,
        activation=activation,
    )


def in_dtype(layer: Layer, dtype: str) -> Layer:
    def cast(q: Any) -> Any:
        return None if q is None else q.astype(dtype)

    return replace(layer, W=cast(layer.W), b=cast(layer.b), mask=cast(layer.mask))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("sizes", [(1, 1), (7, 3), (3, 33)])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "full"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_native_layer_equals_equations(
    *, activation: Activation, masked: bool, bias: bool, sizes: tuple[int, int], batch: int, dtype: str
) -> None:
    layer = random_layer(activation, masked=masked, bias=bias, sizes=sizes)
    rng = np.random.default_rng(4)
    x, dy = rng.standard_normal((batch, sizes[1])), rng.standard_normal((batch, sizes[0]))
    y = equations.layer_forward(layer, x)
    expected = {"y": y, **equations.layer_backward(layer, x, y, dy)._asdict()}
    narrow, narrow_x = in_dtype(layer, dtype), x.astype(dtype)
    native_y = kernels.dense_forward(narrow, narrow_x, backend="native")
    gradients = kernels.dense_backward(narrow, narrow_x, native_y, dy.astype(dtype), backend="native")
    actual = {"y": native_y, **gradients._asdict()}
    assert {array.dtype for array in actual.values()} == {np.dtype(dtype)}
    assert_same(actual, expected, TOLERANCES[f"native_{dtype}"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_native_layer_gradient_equals_central_difference(activation: Activation) -> None:
    layer = random_layer(activation, masked=True, bias=True, sizes=(4, 3))
    rng = np.random.default_rng(5)
    x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 4))
    gradients = kernels.dense_backward(layer, x, kernels.dense_forward(layer, x), dy)

    def loss() -> float:
        return float((dy * kernels.dense_forward(layer, x, backend="native")).sum())

    for name, q in {"x": x, "W": layer.W, "b": layer.b}.items():
        assert q is not None
        comparison = compare(name, getattr(gradients, name), difference(loss, q))
        assert comparison.relative_error <= TOLERANCES["gradient_check"], comparison


def test_connections_that_are_not_there_have_no_gradient() -> None:
    layer = random_layer("tanh", masked=True, bias=True, sizes=(7, 5))
    assert layer.mask is not None
    x = np.ones((2, 5))
    gradients = kernels.dense_backward(layer, x, kernels.dense_forward(layer, x), np.ones((2, 7)))
    assert not gradients.W[layer.mask == 0].any()
    assert gradients.W[layer.mask == 1].all()


def test_reference_layer_equals_native_layer() -> None:
    layer = random_layer("logistic", masked=True, bias=True, sizes=(7, 5))
    x = np.random.default_rng(6).standard_normal((4, 5))
    ys: dict[kernels.Backend, Array] = {
        backend: kernels.dense_forward(layer, x, backend=backend) for backend in BACKENDS
    }
    back = {b: kernels.dense_backward(layer, x, y, np.ones_like(y), backend=b)._asdict() for b, y in ys.items()}
    assert_same({"y": ys["native"]}, {"y": ys["reference"]}, TOLERANCES["native_float64"])
    assert_same(back["native"], back["reference"], TOLERANCES["native_float64"])
