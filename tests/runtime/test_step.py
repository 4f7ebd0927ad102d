"""A step that reads and writes the caller's arrays is the step that copies them, on whatever arrays it is given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peephole import kernels
from peephole.artifact import Array
from peephole.errors import ArgumentError, BackendError
from peephole.kernels import core
from peephole.kernels.stepper import DenseLayer, Stepper
from peephole.runtime import Stream
from tests.runtime.models import STREAMABLE, VOCABULARY, model, recurrent
from tests.tolerances import TOLERANCES

needs_core = pytest.mark.skipif(not kernels.native_available(), reason="needs the compiled core")
STEPS = 5


@pytest.fixture(autouse=True)
def own_isa() -> Iterator[None]:
    """Every test leaves the instruction set as it was."""
    yield
    if kernels.native_available():
        core.force_isa(None)


def inputs(stream: Stream, dtype: str) -> Any:
    place = stream._x  # pyright: ignore[reportPrivateUsage]
    random, shape = np.random.default_rng(3), (STEPS, *place.shape)
    whole = place.dtype == np.int64
    return random.integers(VOCABULARY, size=shape) if whole else random.normal(size=shape).astype(dtype)


def copied(stream: Stream, xs: Array) -> Array:
    """What the slow way gives: lists are copied and checked."""
    return np.stack([stream.step(x.tolist()) for x in xs])


def contiguous(x: Array) -> Array:
    return x.copy()


def off_a_line(x: Array) -> Array:
    """Aligned to its elements and to nothing more."""
    room = np.zeros(x.size + 1, x.dtype)
    room[1:] = x.ravel()
    return room[1:].reshape(x.shape)


def unaligned(x: Array) -> Array:
    room = np.zeros(x.nbytes + 1, np.uint8)
    room[1:] = np.frombuffer(x.tobytes(), np.uint8)
    return room[1:].view(x.dtype).reshape(x.shape)


def with_gaps(x: Array) -> Array:
    room = np.zeros((*x.shape, 2), x.dtype)
    room[..., 0] = x
    return room[..., 0]


def swapped(x: Array) -> Array:
    return x.astype(x.dtype.newbyteorder())


def column_major(x: Array) -> Array:
    return np.asfortranarray(x)


def read_only(x: Array) -> Array:
    y = x.copy()
    y.flags.writeable = False
    return y


ARRAYS: list[Callable[[Array], Array]] = [
    contiguous,
    off_a_line,
    unaligned,
    with_gaps,
    swapped,
    column_major,
    read_only,
]


@pytest.mark.parametrize("name", STREAMABLE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_callers_arrays_give_the_bits_of_copies(tmp_path: Path, name: str, dtype: str, batch_size: int | None) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name], dtype=dtype)
    quick, slow = loaded.stream(batch_size), loaded.stream(batch_size)
    xs = inputs(quick, dtype)
    expected = copied(slow, xs)
    out = np.empty_like(expected[0])
    for x, y in zip(xs, expected, strict=True):
        assert quick.step(x, out) is out
        assert out.tobytes() == y.tobytes()
    assert all(part.tobytes() == slow.arrays()[key].tobytes() for key, part in quick.arrays().items())


@pytest.mark.parametrize("made", ARRAYS)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_any_array_of_the_right_shape_gives_the_same_bits(
    tmp_path: Path, made: Callable[[Array], Array], batch_size: int | None
) -> None:
    loaded = model(tmp_path / "m", STREAMABLE["two layers"], dtype="float32")
    stream, other = loaded.stream(batch_size), loaded.stream(batch_size)
    xs = inputs(stream, "float32")
    for x, y in zip(xs, copied(other, xs), strict=True):
        if made is read_only:
            assert stream.step(made(x)).tobytes() == y.tobytes()
            continue
        out = made(np.zeros_like(y))
        result = stream.step(made(x), out) if out.dtype == y.dtype else stream.step(made(x))
        assert result.tobytes() == y.tobytes()


def test_an_output_may_be_the_input_itself(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", recurrent("lstm", input_size=3), dtype="float32")
    stream, other = loaded.stream(), loaded.stream()
    xs = inputs(stream, "float32")
    for x, y in zip(xs, copied(other, xs), strict=True):
        both = x.copy()
        assert stream.step(both, both).tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_output_that_cannot_be_written_leaves_the_state_alone(tmp_path: Path, dtype: str) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"], dtype=dtype).stream()
    x = np.ones(2, dtype)
    stream.step(x)
    before = stream.state.h.tobytes()
    with pytest.raises(ArgumentError, match="out must be an array that can be written"):
        stream.step(x, read_only(np.zeros(3, dtype)))
    for out in (np.zeros(4, dtype), np.zeros((1, 3), dtype), np.zeros(3, "int32")):
        with pytest.raises(ArgumentError, match="out must have the shape"):
            stream.step(x, out)
    assert stream.state.h.tobytes() == before


@needs_core
@pytest.mark.parametrize("name", STREAMABLE)
def test_every_instruction_set_steps_alike_and_a_stream_keeps_to_its_own(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name])
    found: dict[str, Array] = {}
    for isa in core.isa_names():
        core.force_isa(isa)
        own, changed = loaded.stream(), loaded.stream()
        xs = inputs(own, "float64")
        found[isa] = np.stack([own.step(x) for x in xs])
        core.force_isa("plain")
        assert np.stack([changed.step(x) for x in xs]).tobytes() == found[isa].tobytes()
    for steps in found.values():
        np.testing.assert_allclose(steps, found["plain"], rtol=0, atol=TOLERANCES["runtime_float64"])


@needs_core
@pytest.mark.parametrize("hidden_size", [16, 320])
def test_streams_in_two_threads_do_not_meet(tmp_path: Path, hidden_size: int) -> None:
    """The larger one releases the GIL."""
    loaded = model(tmp_path / "m", recurrent("lstm", hidden_size=hidden_size, num_layers=2), dtype="float32")
    xs = inputs(loaded.stream(), "float32")
    expected = copied(loaded.stream(), xs).tobytes()
    found: list[bytes] = []

    def run() -> None:
        for _ in range(20):
            stream = loaded.stream()
            found.append(np.stack([stream.step(x) for x in xs]).tobytes())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 40


@needs_core
def test_layers_that_do_not_fit_are_refused() -> None:
    x, y = np.zeros(2), np.zeros(3)
    weights: dict[str, np.ndarray[Any, Any]] = {"W": np.zeros((3, 2))}
    good, wide = DenseLayer("tanh", 1, 2, 3, weights), DenseLayer("tanh", 1, 4, 3, {"W": np.zeros((3, 4))})
    Stepper([good], x=x, y=y).advance()
    for layers in ([], [good, wide], [DenseLayer("tanh", 0, 2, 3, weights)], [DenseLayer("tanh", 1, 2, 3, {})]):
        with pytest.raises(BackendError, match="the core refused the call"):
            Stepper(layers, x=x, y=y)
