"""``peephole export``: a saved model as a file that others run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from peephole import artifact
from peephole.runtime import Model, load
from peephole.weights import network_shapes
from tests.cli.command import peephole
from tests.conversion.sessions import Session, close
from tests.encoder_decoders import ENCODER_DECODERS
from tests.runtime.models import forecast_task, recurrent, saved


def _saved(folder: Path, name: str = "peephole", *, forecast: bool = False, dtype: str = "float32") -> Path:
    network = recurrent(name, input_size=1) if forecast else recurrent(name)
    return saved(folder, network, dtype=dtype, task=forecast_task() if forecast else None)


@pytest.mark.parametrize("name", ["peephole", "rnn"])
def test_the_file_gives_what_the_model_gives(name: str, tmp_path: Path) -> None:
    place, out = _saved(tmp_path / "model", name), tmp_path / "model.onnx"
    done = peephole("export", place, "--format", "onnx", "--out", out, "--lengths")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Network written to {out}: inputs input, lengths; outputs output\n"
    model, x = load(place), np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    assert isinstance(model, Model)
    found = Session.of(out)(input=x, lengths=[5, 2, 4])["output"]
    close(found, model.predict(x, lengths=[5, 2, 4]), "onnx_runtime_float32")


def test_a_model_of_float64_is_written_for_onnx_runtime_in_float32(tmp_path: Path) -> None:
    place, out = _saved(tmp_path / "model", dtype="float64"), tmp_path / "model.onnx"
    assert peephole("export", place, "--dtype", "float32", "--out", out).code == 0
    model, x = load(place), np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    assert isinstance(model, Model)
    close(Session.of(out)(input=x)["output"], model.predict(x), "onnx_runtime_float32")


def test_a_forecaster_says_that_its_values_are_scaled(tmp_path: Path) -> None:
    place = _saved(tmp_path / "model", forecast=True)
    done = peephole("export", place, "--out", tmp_path / "model.onnx")
    assert done.code == 0
    assert "Its values are scaled ones" in done.out


def test_json_names_inputs_and_outputs(tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    done = peephole("export", _saved(tmp_path / "model"), "--state", "--out", out, "--json")
    assert json.loads(done.out) == {
        "file": str(out),
        "format": "onnx",
        "inputs": ["input", "h_0", "c_0"],
        "outputs": ["output", "h_n", "c_n"],
    }


def test_nothing_is_written_over_and_nothing_half(tmp_path: Path) -> None:
    place, out = _saved(tmp_path / "model"), tmp_path / "model.onnx"
    out.write_text("mine")
    done = peephole("export", place, "--out", out)
    assert done.code == 2
    assert f"{out} exists already" in done.err
    assert out.read_text() == "mine"
    done = peephole("export", _saved(tmp_path / "other", "layer_norm"), "--out", tmp_path / "new.onnx")
    assert done.code == 2
    assert "layer_norm=True" in done.err
    assert not (tmp_path / "new.onnx").exists()
    assert peephole("export", place, "--format", "gguf", "--out", tmp_path / "new.onnx").code == 2
    assert peephole("export", tmp_path / "nowhere", "--out", tmp_path / "new.onnx").code == 2


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    spec = ENCODER_DECODERS["handed over"]
    weights = {name: np.zeros(shape, np.float32) for name, shape in network_shapes(spec).items()}
    artifact.save(tmp_path / "model", spec, weights)
    done = peephole("export", tmp_path / "model", "--out", tmp_path / "model.onnx")
    assert done.code == 2
    assert "must hold a single network (got an encoder-decoder" in " ".join(done.err.split())
    assert not (tmp_path / "model.onnx").exists()


def test_exporting_needs_no_torch(tmp_path: Path) -> None:
    place, out = _saved(tmp_path / "model"), tmp_path / "model.onnx"
    code = (
        "import sys; sys.modules['torch'] = None\nfrom peephole.cli import main\n"
        f"main(['export', {str(place)!r}, '--out', {str(out)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.exists()
