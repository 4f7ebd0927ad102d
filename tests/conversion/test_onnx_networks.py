"""Whole networks in ONNX Runtime give what the torch-free runtime gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest

from peephole import artifact
from peephole.conversion.onnx_export import READOUTS, network_model
from peephole.errors import ArgumentError
from peephole.runtime import Model
from peephole.spec import ACTIVATIONS, MLPSpec, NetworkSpec, RecurrentSpec, network_from_dict, variant
from tests.conversion.sessions import LENGTHS, Session, close, noise, states_of, weights_of

CELLS = ["peephole", "coupled", "no_input_gate", "rnn_relu"]


def _network(name: str = "peephole", readout: Any = "last", **options: Any) -> NetworkSpec:
    body = RecurrentSpec(cell=variant(name), input_size=4, hidden_size=6, **options)
    return NetworkSpec(body=body, output_size=3, readout=readout)


def _model(folder: Path, spec: NetworkSpec) -> Model:
    artifact.save(folder, spec, weights_of(spec))
    return Model(artifact.load(folder))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@pytest.mark.parametrize("readout", list(READOUTS))
@pytest.mark.parametrize("name", CELLS)
def test_onnx_runtime_gives_the_runtimes_numbers(name: str, readout: str, bidirectional: bool, tmp_path: Path) -> None:
    spec = _network(name, readout, num_layers=2, bidirectional=bidirectional)
    ours, weights = _model(tmp_path / "model", spec), weights_of(spec)
    whole, ragged = (Session(network_model(spec, weights, lengths=lengths)) for lengths in (False, True))
    for lengths in LENGTHS:
        x = noise(max(lengths), len(lengths), 4)
        close(whole(input=x)["output"], ours.predict(x), "onnx_runtime_float32")
        found = ragged(input=x, lengths=np.array(lengths))["output"]
        close(found, ours.predict(x, lengths=lengths), "onnx_runtime_float32")


@pytest.mark.parametrize("readout", list(READOUTS))
def test_batch_first_turns_input_and_steps(readout: str) -> None:
    spec = _network(readout=readout, bidirectional=True)
    time_major, batch_first = (
        Session(network_model(spec, weights_of(spec), lengths=True, batch_first=turned)) for turned in (False, True)
    )
    x, lengths = noise(5, 3, 4), np.array([5, 0, 2])
    expected = time_major(input=x, lengths=lengths)["output"]
    found = batch_first(input=x.swapaxes(0, 1), lengths=lengths)["output"]
    np.testing.assert_array_equal(found.swapaxes(0, 1) if readout == "every" else found, expected)


@pytest.mark.parametrize("name", CELLS)
def test_streaming_equals_batch(name: str) -> None:
    spec = _network(name, "every", num_layers=2)
    session = Session(network_model(spec, weights_of(spec), initial_state=True))
    x, state = noise(6, 2, 4), states_of(cast(RecurrentSpec, spec.body), 2)
    expected = session(input=x, **state)
    steps: list[Any] = []
    for t in range(len(x)):
        found = session(input=x[t : t + 1], **state)
        steps.append(found["output"])
        state = {key: found[key.replace("_0", "_n")] for key in state}
    close(np.concatenate(steps), expected["output"], "onnx_runtime_float32")
    close(state["h_0"], expected["h_n"], "onnx_runtime_float32")


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_perceptrons_give_the_runtimes_numbers(activation: Any, bias: bool, tmp_path: Path) -> None:
    body = MLPSpec(input_size=4, hidden_sizes=(5, 3), activation=activation, bias=bias)
    spec = NetworkSpec(body=body, output_size=2)
    ours, session = _model(tmp_path / "model", spec), Session(network_model(spec, weights_of(spec)))
    for batch in (1, 4):
        x = noise(batch, 4)
        close(session(input=x)["output"], ours.predict(x), "onnx_runtime_float32")


@pytest.mark.parametrize("option", ["lengths", "initial_state", "batch_first"])
def test_a_perceptron_has_no_time(option: str) -> None:
    spec = NetworkSpec(body=MLPSpec(input_size=4), output_size=2)
    with pytest.raises(ArgumentError, match=f"{option} belongs to a recurrent body"):
        network_model(spec, weights_of(spec), **cast(Any, {option: True}))


def test_what_the_network_is_for_is_kept() -> None:
    spec = _network()
    model = network_model(spec, weights_of(spec), task={"kind": "forecast", "lags": 4})
    kept = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert kept["peephole.task"] == {"kind": "forecast", "lags": 4}
    assert network_from_dict(kept["peephole.network"]) == spec


def test_a_network_that_cannot_be_written_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _network("layer_norm")
    with pytest.raises(ArgumentError, match="got layer_norm=True"):
        network_model(spec, weights_of(spec))
    monkeypatch.setattr("peephole.conversion.onnx_export.READOUTS", {"every": READOUTS["every"]})
    with pytest.raises(ArgumentError, match="readout: the export knows every"):
        network_model(_network(), weights_of(_network()))


def test_graphs_are_valid_onnx() -> None:
    for readout in READOUTS:
        spec = _network(readout=readout, num_layers=2, bidirectional=True)
        model = network_model(spec, weights_of(spec), lengths=True, initial_state=True, batch_first=True)
        cast(Any, onnx.checker).check_model(model, full_check=True)
        assert [entry.name for entry in model.graph.output] == ["output", "h_n", "c_n"]
