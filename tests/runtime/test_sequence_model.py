"""A saved encoder-decoder without torch; that it says and writes what the torch module does, tests/nn holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peephole import artifact
from peephole.errors import ArgumentError, ArgumentTypeError, ArtifactError
from peephole.runtime import Model, SequenceModel
from peephole.spec import NetworkSpec
from tests.encoder_decoders import ATTENTIVE, ENCODER_DECODERS, NUMBERS, TOKENS
from tests.runtime.models import opened_encoder_decoder, recurrent
from tests.runtime.models import saved as saved_network
from tests.runtime.test_without_torch import FORBID
from tests.tolerances import TOLERANCES


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_padding_changes_nothing(tmp_path: Path, name: str) -> None:
    model, given = opened_encoder_decoder(tmp_path, name)
    lengths: dict[str, Any] = {"source_lengths": given.source_lengths, "target_lengths": given.target_lengths}
    expected = model.predict(given.source, given.target, **lengths, start=given.start)
    source, target = given.source.copy(), given.target.copy()
    for row, length in enumerate(given.target_lengths):
        target[length:, row] = -100 if name in TOKENS else np.nan
    for row, length in enumerate(given.source_lengths or ()):
        source[length:, row] = -7 if source.dtype.kind == "i" else np.nan
    assert model.predict(source, target, **lengths, start=given.start).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_told_what_it_wrote_it_says_the_same(tmp_path: Path, name: str) -> None:
    model, given = opened_encoder_decoder(tmp_path, name)
    found = model.generate(given.source, lengths=given.source_lengths, start=given.start, max_steps=5)
    said = model.predict(
        given.source,
        found.sequences,
        source_lengths=given.source_lengths,
        target_lengths=found.lengths,
        start=given.start,
    )
    if name in NUMBERS:
        np.testing.assert_allclose(said, found.sequences, rtol=0, atol=TOLERANCES["runtime_float64"])
        return
    for row, length in enumerate(found.lengths):
        assert np.array_equal(said[:length, row].argmax(axis=1), found.sequences[:length, row])


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_an_empty_batch_gives_an_empty_result(tmp_path: Path, name: str) -> None:
    model, given = opened_encoder_decoder(tmp_path, name)
    none = given.source[:0] if given.source_lengths is None else given.source[:, :0]
    start = None if given.start is None else given.start[:0]
    lengths: dict[str, Any] = {} if given.source_lengths is None else {"source_lengths": []}
    assert model.predict(none, given.target[:, :0], **lengths, start=start).shape[:2] == (len(given.target), 0)
    found = model.generate(none, max_steps=3, start=start, return_attention=name in ATTENTIVE)
    assert found.sequences.shape[:2] == ((0, 0) if name in TOKENS else (3, 0))
    assert found.attention is None or found.attention.shape[:2] == found.sequences.shape[:2]


def test_draws_come_from_the_generator(tmp_path: Path) -> None:
    model, given = opened_encoder_decoder(tmp_path, "features in, no end")
    settings: dict[str, Any] = {"lengths": given.source_lengths, "max_steps": 20, "temperature": 2.0}
    runs = [model.generate(given.source, **settings, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0].sequences, runs[1].sequences)
    assert not np.array_equal(runs[0].sequences, runs[2].sequences)


def _refusals() -> dict[str, tuple[str, dict[str, Any], type[Exception], str]]:
    tokens, numbers, perceptron = "handed over", "numbers", "perceptron"
    return {
        "numbers for tokens": (
            tokens,
            {"source": np.zeros((4, 3))},
            ArgumentTypeError,
            "source must hold whole",
        ),
        "no steps": (tokens, {"source": np.zeros((0, 3), int)}, ArgumentError, "with at least one step"),
        "axes": (numbers, {"target": np.zeros((3, 2))}, ArgumentError, r"target must be \[T, B, 2\]"),
        "text": (numbers, {"source": [["a"]]}, ArgumentTypeError, "source must hold real numbers"),
        "unknown token": (
            tokens,
            {"source": np.full((4, 3), 5)},
            ArgumentError,
            "source must hold .* = 4 .got 5",
        ),
        "unknown target": (
            tokens,
            {"target": [[0, 1, 2], [0, -1, 2], [1, 1, 1]], "target_lengths": None},
            ArgumentError,
            r"predict: target must hold .* = 3 .got -1 at the position \[1, 1\]",
        ),
        "ragged": (tokens, {"source": [[1, 2], [3]]}, ArgumentTypeError, "predict: source must be an array"),
        "ragged lengths": (tokens, {"source_lengths": [[1], [2, 3]]}, ArgumentTypeError, "lengths must be an array"),
        "one axis": (perceptron, {"source": [1.0, 2.0]}, ArgumentError, r"source must be \[B, \d\] .got \[2\]"),
        "rows": (tokens, {"target": np.zeros((5, 2), int), "target_lengths": None}, ArgumentError, "as many rows"),
        "lengths": (tokens, {"source_lengths": [4, 5, 1]}, ArgumentError, "lengths must be from 0 to T = 4"),
        "fractions": (tokens, {"source_lengths": [1.5, 1, 1]}, ArgumentTypeError, "lengths must be whole numbers"),
        "perceptron": (perceptron, {"source_lengths": [1, 1, 1]}, ArgumentError, "belong to a recurrent encoder"),
        "start": (
            numbers,
            {"start": np.zeros((2, 2))},
            ArgumentError,
            "predict: start must have a row",
        ),
        "start of tokens": (tokens, {"start": np.zeros((3, 4))}, ArgumentError, "start belongs to a target of numbers"),
    }


REFUSALS = _refusals()


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_told_in_one_sentence(tmp_path: Path, case: str) -> None:
    name, changes, kind, message = REFUSALS[case]
    model, given = opened_encoder_decoder(tmp_path, name)
    with pytest.raises(kind, match=message):
        model.predict(**{**given._asdict(), **changes})


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model, given = opened_encoder_decoder(tmp_path / "tokens", "handed over")
    with pytest.raises(ArgumentError, match="return_attention needs attention"):
        model.generate(given.source, max_steps=2, return_attention=True)
    with pytest.raises(ArgumentError, match="start belongs to a target of numbers"):
        model.generate(given.source, max_steps=2, start=np.zeros((3, 4)))
    model, given = opened_encoder_decoder(tmp_path / "numbers", "numbers")
    with pytest.raises(ArgumentError, match="beam_size belongs to a target of tokens"):
        model.generate(given.source, max_steps=2, beam_size=2)


def test_an_artifact_opens_as_what_it_is_and_as_nothing_else(tmp_path: Path) -> None:
    model, _ = opened_encoder_decoder(tmp_path, "handed over")
    with pytest.raises(ArtifactError, match=r"open it with peephole\.runtime\.load"):
        Model(artifact.load(tmp_path / "model"))
    with pytest.raises(ArtifactError, match="holds no encoder-decoder"):
        SequenceModel(artifact.load(saved_network(tmp_path / "network", recurrent())))
    assert not isinstance(model.network, NetworkSpec)


def test_predicting_and_writing_need_no_torch(tmp_path: Path) -> None:
    opened_encoder_decoder(tmp_path, "both directions to rnn, attention")
    program = """
from peephole import runtime
model = runtime.load(sys.argv[1])
found = model.generate([[1], [2]], max_steps=4, beam_size=2, return_attention=True)
model.predict([[1], [2]], found.sequences, target_lengths=found.lengths)
"""
    command = [sys.executable, "-c", FORBID + program, str(tmp_path / "model")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
