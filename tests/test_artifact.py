"""A model that was saved comes back bit for bit; anything else is refused with one clear message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from peephole import artifact, files
from peephole.errors import ArgumentError, ArtifactError
from peephole.spec import VARIANTS, MLPSpec, NetworkSpec, RecurrentSpec, variant
from peephole.weights import network_shapes

NETWORK = NetworkSpec(
    body=RecurrentSpec(cell=variant("peephole"), input_size=1, hidden_size=3, num_layers=2, bidirectional=True),
    output_size=2,
)
TASK = {"kind": "forecast", "lags": 24, "scaling": {"mean": 0.1, "std": 1 / 3}, "name": "Zürich"}


def random_weights(network: NetworkSpec, *, seed: int = 0, dtype: str = "float32") -> dict[str, artifact.Array]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(dtype) for name, shape in network_shapes(network).items()}


def assert_same_bits(weights: Any, others: Any) -> None:
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert tensor.dtype == others[name].dtype
        assert tensor.tobytes() == others[name].tobytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artifact.save(tmp_path / "model", NETWORK, random_weights(NETWORK), task=TASK)
    return tmp_path / "model"


def edit_model(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def replace_weights(folder: Path, weights: dict[str, Any]) -> None:
    """An attacker who also writes the fitting checksum."""
    data = safetensors.numpy.save(weights)
    (folder / "weights.safetensors").write_bytes(data)
    edit_model(folder, weights={"file": "weights.safetensors", "sha256": hashlib.sha256(data).hexdigest()})


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_save_and_load_gives_the_same_bits(tmp_path: Path, name: str, dtype: str) -> None:
    network = NetworkSpec(body=RecurrentSpec(cell=variant(name), input_size=2, hidden_size=3), output_size=1)
    weights = random_weights(network, dtype=dtype)
    artifact.save(tmp_path / "model", network, weights)
    loaded = artifact.load(tmp_path / "model")
    assert loaded.network == network
    assert loaded.task is None
    assert_same_bits(loaded.weights, weights)
    assert list(loaded.weights) == list(network_shapes(network))


def test_a_perceptron_is_saved_like_any_network(tmp_path: Path) -> None:
    network = NetworkSpec(body=MLPSpec(input_size=5, hidden_sizes=(4, 3), activation="relu"), output_size=2)
    artifact.save(tmp_path / "model", network, random_weights(network))
    assert artifact.load(tmp_path / "model").network == network


VERSION_1 = """{
  "format": "peephole",
  "format_version": 1,
  "peephole_version": "0.1.0",
  "network": {
    "body": {"kind": "recurrent",
             "cell": {"cell": "lstm", "input_gate": true, "forget_gate": true, "output_gate": true, "coupled": false,
                      "peepholes": true, "cells_per_block": 1, "input_activation": "tanh", "output_activation": "tanh",
                      "full_gate_recurrence": false, "layer_norm": false, "proj_size": 0, "zoneout_hidden": 0.0,
                      "zoneout_cell": 0.0, "recurrent_dropout": 0.0, "recurrent_dropout_on": "hidden",
                      "truncated": false},
             "input_size": 1, "hidden_size": 3, "num_layers": 2, "bidirectional": true, "bias": true},
    "output_size": 2,
    "readout": "last"
  },
  "task": null,
  "weights": {"file": "weights.safetensors", "sha256": "SHA256"}
}"""


def test_a_model_of_the_first_version_is_read(tmp_path: Path) -> None:
    data = safetensors.numpy.save(random_weights(NETWORK))
    (tmp_path / "weights.safetensors").write_bytes(data)
    model = VERSION_1.replace("SHA256", hashlib.sha256(data).hexdigest())
    (tmp_path / "model.json").write_text(model, "utf-8")
    loaded = artifact.load(tmp_path)
    assert loaded.network == NETWORK
    assert_same_bits(loaded.weights, random_weights(NETWORK))


def test_a_model_says_the_version_that_reads_it(saved: Path) -> None:
    assert json.loads((saved / "model.json").read_text("utf-8"))["format_version"] == artifact.FORMAT_VERSION == 2


def test_the_task_comes_back_as_it_was(saved: Path) -> None:
    assert artifact.load(saved).task == TASK


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_of_the_task_keep_their_bits(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    network = NetworkSpec(body=MLPSpec(input_size=1, hidden_sizes=(1,)), output_size=1)
    folder = tmp_path_factory.mktemp("task") / "model"
    artifact.save(folder, network, random_weights(network), task={"kind": "x", "value": value})
    task = artifact.load(folder).task
    assert task is not None
    assert float(task["value"]).hex() == value.hex()


def test_a_loaded_model_cannot_be_changed_by_accident(saved: Path) -> None:
    weight = artifact.load(saved).weights["head.weight"]
    with pytest.raises(ValueError, match="read-only"):
        weight[0, 0] = 1.0


def test_the_folder_holds_the_two_files_and_nothing_else(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == ["model.json", "weights.safetensors"]
    assert [folder.name for folder in saved.parent.iterdir()] == ["model"]


def test_a_file_of_weights_can_be_read_by_safetensors_alone(saved: Path) -> None:
    assert_same_bits(safetensors.numpy.load((saved / "weights.safetensors").read_bytes()), random_weights(NETWORK))


def test_folders_above_are_made(tmp_path: Path) -> None:
    artifact.save(tmp_path / "a" / "b" / "model", NETWORK, random_weights(NETWORK))
    assert artifact.load(tmp_path / "a" / "b" / "model").network == NETWORK


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    artifact.save(tmp_path / "model", NETWORK, random_weights(NETWORK))
    assert artifact.load(tmp_path / "model").network == NETWORK


def test_a_folder_that_exists_is_never_overwritten_unasked(saved: Path) -> None:
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    with pytest.raises(ArgumentError, match="exists and is not empty; choose another, or pass overwrite=True"):
        artifact.save(saved, NETWORK, random_weights(NETWORK, seed=1))
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before


@pytest.mark.parametrize("seed", [0, 1], ids=["same weights", "other weights"])
def test_overwriting_replaces_the_model_and_touches_nothing_else(saved: Path, seed: int) -> None:
    (saved / "notes.txt").write_text("mine", "utf-8")
    for _ in range(2):
        artifact.save(saved, NETWORK, random_weights(NETWORK, seed=seed), overwrite=True)
        loaded = artifact.load(saved)
        assert loaded.task is None
        assert loaded.weights["head.bias"].tobytes() == random_weights(NETWORK, seed=seed)["head.bias"].tobytes()
        assert len(list(saved.iterdir())) == 3
    assert (saved / "notes.txt").read_text("utf-8") == "mine"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine", "utf-8")
    for overwrite in (False, True):
        with pytest.raises(ArgumentError, match="path must be a folder"):
            artifact.save(tmp_path / "model", NETWORK, random_weights(NETWORK), overwrite=overwrite)
    assert (tmp_path / "model").read_text("utf-8") == "mine"


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    with pytest.raises(ArtifactError, match="cannot be written"):
        artifact.save(tmp_path / "file" / "model", NETWORK, random_weights(NETWORK))


@pytest.mark.parametrize("crash_at", ["weights", "model.json"])
def test_a_crash_while_overwriting_leaves_the_old_model_intact(
    saved: Path, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    before = artifact.load(saved)
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target.name.startswith(crash_at):
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        artifact.save(saved, NETWORK, random_weights(NETWORK, seed=1), overwrite=True)
    monkeypatch.undo()
    after = artifact.load(saved)
    assert after.task == before.task
    assert_same_bits(after.weights, before.weights)
    artifact.save(saved, NETWORK, random_weights(NETWORK, seed=1), overwrite=True)
    assert len(list(saved.iterdir())) == 2


def test_a_crash_while_saving_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, data: bytes) -> int:
        del self, data
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(ArtifactError, match="cannot be written \\(No space left on device\\)"):
        artifact.save(tmp_path / "model", NETWORK, random_weights(NETWORK))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_replaced_is_old_until_it_is_new(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(b"old")
    with files.replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.suffix == ".npz"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


# Arguments of save


def without(weights: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in weights.items() if key != name}


WEIGHTS = random_weights(NETWORK)
MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": (without(WEIGHTS, "head.bias"), "missing 'head.bias'"),
    "all missing": ({name: WEIGHTS[name] for name in list(WEIGHTS)[:2]}, "missing 'body.bias_ih_l0', .* and 17 more"),
    "extra": ({**WEIGHTS, "head.scale": np.ones(2, np.float32)}, "unknown 'head.scale'"),
    "misshapen": (
        {**WEIGHTS, "head.bias": np.ones(3, np.float32)},
        r"head.bias must have the shape \[2\] \(got \[3\]\)",
    ),
    "transposed": ({**WEIGHTS, "head.weight": WEIGHTS["head.weight"].T}, "head.weight must have the shape"),
    "nan": ({**WEIGHTS, "head.bias": np.array([1, np.nan], np.float32)}, "head.bias holds values that are NaN or inf"),
    "infinite": ({**WEIGHTS, "head.bias": np.array([1, -np.inf], np.float32)}, "NaN or infinite"),
    "mixed": ({**WEIGHTS, "head.bias": np.ones(2)}, "all float64 .got float32, float64"),
    "integers": ({**WEIGHTS, "head.bias": np.ones(2, np.int32)}, "got float32, int32"),
    "half": ({name: tensor.astype(np.float16) for name, tensor in WEIGHTS.items()}, "got float16"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_weights_that_do_not_fit_are_not_saved(tmp_path: Path, case: str) -> None:
    weights, message = MISFITS[case]
    with pytest.raises(ArgumentError, match=message):
        artifact.save(tmp_path / "model", NETWORK, weights)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", MISFITS)
def test_weights_that_do_not_fit_are_not_loaded(saved: Path, case: str) -> None:
    weights, message = MISFITS[case]
    replace_weights(saved, {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()})
    with pytest.raises(ArtifactError, match=message):
        artifact.load(saved)


@pytest.mark.parametrize("value", [np.float32(1), float("nan"), float("inf"), {1, 2}, Path()])
def test_a_task_that_is_not_json_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ArgumentError, match="task must hold plain, finite JSON values only"):
        artifact.save(tmp_path / "model", NETWORK, WEIGHTS, task={"value": value})
    assert list(tmp_path.iterdir()) == []


# Attack files, after the tests of safetensors


def truncate(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def alter_one_byte(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_weights(data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(data)
        edit_model(folder, weights={"file": "weights.safetensors", "sha256": hashlib.sha256(data).hexdigest()})

    return change


def header(text: str, size: int | None = None) -> bytes:
    return (len(text) if size is None else size).to_bytes(8, "little") + text.encode()


def change_model(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_model(folder, **changes)


def change_body(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        network = json.loads((folder / "model.json").read_text("utf-8"))["network"]
        network["body"].update(changes)
        edit_model(folder, network=network)

    return change


def write_model(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.json").write_text(text, "utf-8")

    return change


ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated weights": (truncate, "truncated or altered"),
    "one altered bit": (alter_one_byte, "truncated or altered"),
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "cannot be read"),
    "empty weights": (change_weights(b""), "not a safetensors file"),
    "header longer than the file": (change_weights(header("{}", size=2**62)), "not a safetensors file"),
    "header that is not JSON": (change_weights(header("[[[")), "not a safetensors file"),
    "offsets out of the file": (
        change_weights(header('{"head.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}')),
        "not a safetensors file",
    ),
    "shape that overflows": (
        change_weights(header('{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}')),
        "not a safetensors file",
    ),
    "number type without NumPy": (
        change_weights(header('{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}') + b"\0\0"),
        "not a safetensors file of numbers",
    ),
    "no model.json": (lambda folder: (folder / "model.json").unlink(), "there is no model.json"),
    "model.json is a folder": (
        lambda folder: ((folder / "model.json").unlink(), (folder / "model.json").mkdir()),
        "cannot be read",
    ),
    "not JSON": (write_model("{"), "it is not JSON"),
    "nested too deep": (write_model("[" * 100_000), "it is not JSON"),
    "not text": (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\xfa"), "cannot be read"),
    "a list": (write_model("[]"), 'does not say "format": "peephole"'),
    "another format": (change_model(format="onnx"), 'does not say "format": "peephole"'),
    "newer version": (
        change_model(format_version=artifact.FORMAT_VERSION + 1, peephole_version="9.0"),
        "made by Peephole 9.0.*install a newer",
    ),
    "version zero": (change_model(format_version=0), "at least 1"),
    "version as text": (change_model(format_version="1"), "whole number"),
    "version true": (change_model(format_version=True), "whole number"),
    "no network": (change_model(network=None), "network must be an object"),
    "unknown network": (change_model(network={"body": {"kind": "transformer"}}), "described wrongly"),
    "unknown field": (change_body(heads=8), "described wrongly"),
    "hidden size as text": (change_body(hidden_size="3"), "hidden_size must be a whole number"),
    "cell as a list": (change_body(cell=[1]), "described wrongly"),
    "a billion layers": (change_body(num_layers=10**9), "1000000000 layers, but only"),
    "other sizes": (change_body(hidden_size=4), "must have the shape"),
    "no weights entry": (change_model(weights=None), "weights must be an object"),
    "weights outside the folder": (
        change_model(weights={"file": "../weights.safetensors", "sha256": ""}),
        "weights.file must be",
    ),
    "weights at an absolute path": (
        change_model(weights={"file": "/etc/passwd", "sha256": ""}),
        "weights.file must be",
    ),
    "no checksum": (change_model(weights={"file": "weights.safetensors"}), "weights.sha256 must be"),
    "task as a list": (change_model(task=[]), "task must be an object or null"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_damaged_model_is_refused(saved: Path, attack: str) -> None:
    damage, message = ATTACKS[attack]
    damage(saved)
    with pytest.raises(ArtifactError, match=message):
        artifact.load(saved)


def test_a_place_without_a_model_is_refused(tmp_path: Path, saved: Path) -> None:
    for path, message in (
        (tmp_path / "absent", "does not exist"),
        (saved / "model.json", "is a file, not a folder"),
        (tmp_path, "it holds no model"),
    ):
        with pytest.raises(ArtifactError, match=message):
            artifact.load(path)
