"""A saved encoder-decoder says and writes in the runtime what the torch module does, on both backends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from peephole import artifact
from peephole.errors import ArtifactError
from peephole.nn import EncoderDecoder
from peephole.runtime import SequenceModel
from peephole.tasks import Forecaster
from tests.encoder_decoders import ATTENTIVE, ENCODER_DECODERS, TOKENS, Problem
from tests.runtime.models import opened_encoder_decoder
from tests.tolerances import TOLERANCES


@pytest.fixture(params=["native", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PEEPHOLE_BACKEND", request.param)
    return request.param


def both(folder: Path, name: str, *, dtype: str = "float64") -> tuple[SequenceModel, EncoderDecoder, Problem]:
    """The same weights in the runtime and in torch, and what to feed them."""
    model, given = opened_encoder_decoder(folder, name, dtype=dtype)
    network = EncoderDecoder(model.network, dtype=torch.float64 if dtype == "float64" else torch.float32)
    network.load_arrays(model.weights)
    return model, network.eval(), given


def tensors(given: Problem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    start = None if given.start is None else torch.tensor(given.start)
    return torch.tensor(given.source), torch.tensor(given.target), start


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_predicting_equals_the_torch_module(tmp_path: Path, backend: str, name: str, dtype: str) -> None:
    model, network, given = both(tmp_path, name, dtype=dtype)
    source, target, start = tensors(given)
    lengths = {"source_lengths": given.source_lengths, "target_lengths": given.target_lengths}
    expected = network(source, target, **lengths, start=start).detach().numpy()
    got = model.predict(given.source, given.target, **lengths, start=given.start)
    assert got.dtype == model.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCES[f"runtime_sequences_{dtype}"])


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_writing_equals_the_torch_module(tmp_path: Path, backend: str, name: str, dtype: str) -> None:
    model, network, given = both(tmp_path, name, dtype=dtype)
    source, _, start = tensors(given)
    wanted: list[dict[str, Any]] = [{"return_attention": name in ATTENTIVE}]
    if name in TOKENS:
        wanted += [{"beam_size": 3}, {"beam_size": 5, "n_best": 4, "length_penalty": 0.6, **wanted[0]}]
    for settings in wanted:
        theirs = network.generate(source, lengths=given.source_lengths, start=start, max_steps=5, **settings)
        ours = model.generate(given.source, lengths=given.source_lengths, start=given.start, max_steps=5, **settings)
        for one, other in zip(ours, theirs, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one.shape == other.shape
                np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=TOLERANCES[f"runtime_sequences_{dtype}"])


def test_an_encoder_decoder_is_no_forecaster(tmp_path: Path) -> None:
    model, _ = opened_encoder_decoder(tmp_path, "handed over")
    artifact.save(tmp_path / "posing", model.network, dict(model.weights), task={"kind": "forecast"})
    for folder in ("model", "posing"):
        with pytest.raises(ArtifactError, match="holds no forecaster"):
            Forecaster.load(tmp_path / folder)
