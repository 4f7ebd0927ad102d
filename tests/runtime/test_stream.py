"""Stepping a network is running it: any way to cut a sequence gives the same outputs, saved states included."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.artifact import Array
from peephole.equations.state import State
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.runtime import Model, Stream, load
from tests.runtime.models import PERCEPTRON, STREAMABLE, VOCABULARY, inputs, model, recurrent, saved
from tests.tolerances import TOLERANCES


def steps(stream: Stream, xs: Array) -> Array:
    return np.stack([stream.step(x) for x in xs])


def whole(loaded: Model, xs: Array, *, batched: bool) -> Array:
    """What predict says after every step."""
    batch = xs if batched else xs[:, None]
    every = loaded.network.readout == "every"
    y = loaded.predict(batch) if every else np.stack([loaded.predict(batch[: t + 1]) for t in range(len(batch))])
    return y if batched else y[:, 0]


@pytest.mark.parametrize("name", STREAMABLE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_streaming_equals_batch(tmp_path: Path, name: str, dtype: str, batch_size: int | None) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name], dtype=dtype)
    xs = inputs(loaded.network, 6, *([] if batch_size is None else [batch_size]))
    got = steps(loaded.stream(batch_size), xs)
    assert got.dtype == dtype
    np.testing.assert_allclose(
        got, whole(loaded, xs, batched=batch_size is not None), rtol=0, atol=TOLERANCES[f"runtime_{dtype}"]
    )


@pytest.mark.parametrize("name", STREAMABLE)
def test_a_saved_stream_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name], dtype="float32")
    xs = inputs(loaded.network, 8)
    stream = loaded.stream()
    steps(stream, xs[:5])
    stream.save(tmp_path / "state.npz")
    expected = steps(stream, xs[5:])
    another = load(tmp_path / "m").stream()
    assert isinstance(another, Stream)
    another.load(tmp_path / "state.npz")
    assert steps(another, xs[5:]).tobytes() == expected.tobytes()
    stream.load(tmp_path / "state.npz")
    assert steps(stream, xs[5:]).tobytes() == expected.tobytes()


@given(cut=st.integers(0, 6))
def test_a_state_can_be_put_aside_and_taken_up(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    loaded = model(tmp_path_factory.mktemp("model") / "m", STREAMABLE["three cells a block"])
    xs = inputs(loaded.network, 6)
    expected = steps(loaded.stream(), xs)
    first, second = loaded.stream(), loaded.stream()
    for x in xs[:cut]:
        first.step(x)
    second.state = first.state
    assert all(second.step(x).tobytes() == y.tobytes() for x, y in zip(xs[cut:], expected[cut:], strict=True))


@pytest.mark.parametrize("name", ["mean", "embedding, residual, maximum"])
def test_all_that_a_stream_remembers_can_be_put_aside_and_taken_up(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name])
    xs = inputs(loaded.network, 6)
    expected = steps(loaded.stream(), xs)
    first, second = loaded.stream(), loaded.stream()
    steps(first, xs[:3])
    kept = first.arrays()
    with pytest.raises(ArgumentError, match="is more than h, c and r; go back to it with restore"):
        second.state = first.state
    for bad in ({"pooled": np.zeros(2)}, {"steps": np.zeros(2, np.int64)}):
        with pytest.raises(ArgumentError, match="of the state must have the shape"):
            second.restore({**kept, **bad})
    assert not any(part.any() for part in second.arrays().values())
    second.restore(kept)
    assert steps(second, xs[3:]).tobytes() == expected[3:].tobytes()


@pytest.mark.parametrize("name", STREAMABLE)
def test_reset_begins_anew(tmp_path: Path, name: str) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name])
    xs = inputs(loaded.network, 4)
    stream = loaded.stream()
    expected = steps(stream, xs)
    stream.reset()
    assert steps(stream, xs).tobytes() == expected.tobytes()


LEARNED = [name for name, network in STREAMABLE.items() if getattr(network.body, "learned_state", False)]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("name", LEARNED)
def test_a_stream_begins_with_the_learned_state_and_goes_back_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, batch_size: int | None, backend: str
) -> None:
    monkeypatch.setenv("PEEPHOLE_BACKEND", backend)
    loaded = model(tmp_path / "m", STREAMABLE[name])
    stream = loaded.stream(batch_size)
    begin = stream.arrays()
    for part, array in begin.items():
        learned = [loaded.weights[f"body.{part}_0_l{layer}"] for layer in range(array.shape[0])]
        assert array.tobytes() == np.repeat(np.stack(learned)[:, None], batch_size or 1, axis=1).tobytes()
    steps(stream, inputs(loaded.network, 4, *([] if batch_size is None else [batch_size])))
    assert stream.arrays()["h"].tobytes() != begin["h"].tobytes()
    stream.reset()
    assert {part: array.tobytes() for part, array in stream.arrays().items()} == {
        part: array.tobytes() for part, array in begin.items()
    }


def test_two_streams_of_a_model_do_not_meet(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", STREAMABLE["peephole"])
    xs = inputs(loaded.network, 4)
    expected = steps(loaded.stream(), xs)
    one, other = loaded.stream(), loaded.stream()
    got: list[Array] = []
    for x in xs:
        got.append(one.step(x))
        other.step(-x)
    assert np.stack(got).tobytes() == expected.tobytes()


def test_an_output_stays_what_it_was(tmp_path: Path) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    first = stream.step([1.0, 2.0])
    before = first.copy()
    stream.step([3.0, 4.0])
    assert first.tobytes() == before.tobytes()
    out = np.empty_like(first)
    assert stream.step([5.0, 6.0], out) is out


def test_a_state_that_was_read_is_a_copy(tmp_path: Path) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    state = stream.state
    stream.step([1.0, 2.0])
    assert not state.h.any()
    assert stream.state.h.any()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("two layers", ((2, 3, 6), (2, 3, 6), None)),
        ("rnn", ((1, 3, 6), None, None)),
        ("projection", ((3, 3, 4), (3, 3, 6), None)),
        ("three cells a block", ((2, 3, 6), (2, 3, 6), (2, 3, 6))),
        ("perceptron", ((0, 3, 0), None, None)),
    ],
)
def test_the_state_has_a_row_for_every_layer(
    tmp_path: Path, name: str, shapes: tuple[tuple[int, ...] | None, ...]
) -> None:
    state = model(tmp_path / "m", STREAMABLE[name]).stream(3).state
    assert tuple(None if part is None else part.shape for part in state) == shapes


def test_a_bidirectional_network_cannot_be_stepped(tmp_path: Path) -> None:
    loaded = model(tmp_path / "m", recurrent("lstm", bidirectional=True))
    with pytest.raises(ArgumentError, match="reads a sequence from both ends and cannot be stepped"):
        loaded.stream()


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "3"])
def test_a_batch_size_below_one_is_refused(tmp_path: Path, size: Any) -> None:
    with pytest.raises(ArgumentError, match="batch_size must be None or a whole number of at least 1"):
        model(tmp_path / "m", PERCEPTRON).stream(size)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        ([1.0], ArgumentError, r"x must have the shape \[2\] \(got \[1\]\)"),
        (1.0, ArgumentError, r"x must have the shape \[2\] \(got \[\]\)"),
        ([[1.0, 2.0]], ArgumentError, "x must have the shape"),
        (["a", "b"], ArgumentTypeError, "real numbers"),
        ([1j, 2j], ArgumentTypeError, "real numbers"),
    ],
)
def test_bad_input_leaves_the_state_alone(tmp_path: Path, x: Any, kind: type[Exception], message: str) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    stream.step([1.0, 2.0])
    before = stream.state
    with pytest.raises(kind, match=message):
        stream.step(x)
    assert stream.state.h.tobytes() == before.h.tobytes()


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (VOCABULARY, ArgumentError, r"whole numbers from 0 to num_embeddings - 1 = 6 \(got 7\)"),
        (-1, ArgumentError, r"got -1\)"),
        (1.0, ArgumentTypeError, "x must hold whole numbers .got dtype float64"),
        (True, ArgumentTypeError, "whole numbers"),
        ([1], ArgumentError, r"x must have the shape \[\] \(got \[1\]\)"),
    ],
)
def test_a_number_that_the_embedding_does_not_have_leaves_the_state_alone(
    tmp_path: Path, x: Any, kind: type[Exception], message: str
) -> None:
    stream = model(tmp_path / "m", STREAMABLE["embedding, residual, maximum"]).stream()
    stream.step(1)
    before = stream.arrays()
    with pytest.raises(kind, match=message):
        stream.step(x)
    assert all(part.tobytes() == before[name].tobytes() for name, part in stream.arrays().items())


def test_an_output_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    for out in (np.empty(4), np.empty(3, np.float32)):
        with pytest.raises(ArgumentError, match=r"out must have the shape \[3\] and dtype float64"):
            stream.step([1.0, 2.0], out)


def test_a_state_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    good = stream.state
    for bad in (State(np.zeros(6), good.c), State(good.h), State(good.h, good.c, good.h)):
        with pytest.raises(ArgumentError, match="of the state must have the shape"):
            stream.state = bad


# Saved states that are not what they should be


def edited(**changes: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files} | changes
        np.savez(path, allow_pickle=True, **{name: array for name, array in arrays.items() if array is not None})

    return edit


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def not_arrays(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("h.npy", b"no array")


ATTACKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "absent": (Path.unlink, "cannot be read"),
    "truncated": (truncate, "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text": (lambda path: path.write_text("state", "utf-8"), "cannot be read"),
    "a zip of something else": (not_arrays, "not a state saved by this version"),
    "a single array": (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "cannot be read"),
    "pickled objects": (edited(h=np.array([{}], object)), "cannot be read"),
    "another format": (edited(format=np.array("npz")), "not a state saved by this version"),
    "no format": (edited(format=None), "not a state saved by this version"),
    "other weights": (edited(sha256=np.array("0" * 64)), "saved with other weights"),
    "another batch size": (edited(h=np.zeros((1, 2, 6))), "does not fit this stream"),
    "another dtype": (edited(h=np.zeros((1, 1, 6), np.float32)), "does not fit this stream"),
    "a part missing": (edited(c=None), "does not fit this stream"),
    "a part too many": (edited(z=np.zeros(1)), "does not fit this stream"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_state_is_refused_and_the_old_one_kept(tmp_path: Path, attack: str) -> None:
    damage, message = ATTACKS[attack]
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    stream.step([1.0, 2.0])
    before = stream.state
    stream.save(tmp_path / "state.npz")
    damage(tmp_path / "state.npz")
    with pytest.raises(ArtifactError, match=message):
        stream.load(tmp_path / "state.npz")
    assert stream.state.h.tobytes() == before.h.tobytes()


def test_a_state_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    stream = model(tmp_path / "m", STREAMABLE["lstm"]).stream()
    with pytest.raises(ArtifactError, match="cannot be written"):
        stream.save(tmp_path / "absent" / "state.npz")


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    network = STREAMABLE["lstm"]
    model(tmp_path / "m", network).stream().save(tmp_path / "state.npz")
    other = load(saved(tmp_path / "other", network, seed=1)).stream()
    with pytest.raises(ArtifactError, match="saved with other weights"):
        other.load(tmp_path / "state.npz")


# The backend


@pytest.mark.parametrize("name", STREAMABLE)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_reference_steps_as_the_core_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, batch_size: int | None
) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name], dtype=dtype)
    xs = inputs(loaded.network, 6, *([] if batch_size is None else [batch_size]))
    native = loaded.stream(batch_size)
    expected = steps(native, xs)
    monkeypatch.setenv("PEEPHOLE_BACKEND", "reference")
    reference = loaded.stream(batch_size)
    got = steps(reference, xs)
    tolerance = TOLERANCES[f"runtime_{dtype}"]
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    for name_of_part, part in reference.arrays().items():
        assert part.dtype == native.arrays()[name_of_part].dtype
        np.testing.assert_allclose(part, native.arrays()[name_of_part], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", STREAMABLE)
def test_a_state_goes_from_one_backend_to_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    loaded = model(tmp_path / "m", STREAMABLE[name])
    xs = inputs(loaded.network, 8)
    expected = steps(loaded.stream(), xs)
    native = loaded.stream()
    steps(native, xs[:5])
    native.save(tmp_path / "state.npz")
    monkeypatch.setenv("PEEPHOLE_BACKEND", "reference")
    reference = loaded.stream()
    reference.load(tmp_path / "state.npz")
    np.testing.assert_allclose(steps(reference, xs[5:]), expected[5:], rtol=0, atol=TOLERANCES["runtime_float64"])


def test_a_backend_that_is_none_is_refused_when_the_stream_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = model(tmp_path / "m", STREAMABLE["lstm"])
    monkeypatch.setenv("PEEPHOLE_BACKEND", "fast")
    with pytest.raises(ArgumentError, match="PEEPHOLE_BACKEND must be one of native, reference"):
        loaded.stream()
