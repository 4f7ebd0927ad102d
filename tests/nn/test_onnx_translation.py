"""A user's model with our layers goes through torch's own exporter, and ONNX Runtime gives its numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from peephole.conversion.onnx_operator import refusals
from peephole.errors import ArgumentError, MissingDependencyError
from peephole.nn import LSTM, RNN, load_onnx, onnx_translations
from peephole.spec import VARIANTS
from tests.conversion.sessions import Session
from tests.nn.cases import close, layer, noise, tensors

# the exporter warns of what it does itself
pytestmark = pytest.mark.filterwarnings("ignore")


class Together(torch.nn.Module):
    """Several layers over one input, each with a linear map behind it."""

    def __init__(self, layers: Sequence[LSTM | RNN], *, ragged: bool, state: bool) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(one.spec.feature_size, 2) for one in layers)
        self.ragged, self.state = ragged, state

    def forward(self, x: Tensor, lengths: Tensor) -> list[Tensor]:
        """The output and the final states of each."""
        found: list[Tensor] = []
        for one, head in zip(self.layers, self.heads, strict=True):
            recurrent = cast("LSTM | RNN", one)
            output, final = recurrent(x, self._state(recurrent, x), lengths=lengths if self.ragged else None)
            found += [head(output), *tensors(final)]
        return found

    def _state(self, one: LSTM | RNN, x: Tensor) -> Any:
        if not self.state:
            return None
        start = x.sum(dim=(0, 2)).unsqueeze(-1).expand(one.num_layers * one.spec.num_directions, -1, one.hidden_size)
        return (start, start.sin()) if isinstance(one, LSTM) else start


def _exported(model: torch.nn.Module, **options: Any) -> Any:
    steps, batch = torch.export.Dim("steps", min=2), torch.export.Dim("batch", min=2)
    given = (noise(5, 3, 4, dtype=torch.float32), torch.tensor([5, 2, 4]))
    return cast(Any, torch.onnx).export(
        model.eval(),
        given,
        dynamo=True,
        verbose=False,
        dynamic_shapes=({0: steps, 1: batch}, {0: batch}),
        custom_translation_table=onnx_translations(),
        **options,
    )


def _gives_the_same(model: torch.nn.Module) -> None:
    made = _exported(model).model_proto
    assert {node.domain for node in made.graph.node} <= {"", "ai.onnx"}
    session = Session(made)
    for lengths in ([7, 0, 2, 5], [1, 3]):
        x = noise(max(lengths), len(lengths), 4, seed=len(lengths), dtype=torch.float32)
        given: dict[str, Any] = {"x": x.numpy(), "lengths": np.array(lengths)}
        found = list(session(**{name: given[name] for name in session.inputs}).values())
        with torch.no_grad():
            expected = model(x, torch.tensor(lengths))
        close([torch.as_tensor(array) for array in found], expected, "onnx_runtime_float32")


def test_a_users_model_gives_its_numbers() -> None:
    kinds: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": torch.float32}
    layers = [layer("coupled_peephole", **kinds), layer("rnn_relu", **kinds)]
    layers.append(layer("no_forget_gate", cells_per_block=3, bias=False, dtype=torch.float32))
    _gives_the_same(Together(layers, ragged=True, state=True))


@pytest.mark.slow
@pytest.mark.parametrize(("ragged", "state"), [(False, False), (True, False), (False, True)])
def test_every_variant_gives_its_numbers(ragged: bool, state: bool) -> None:
    names = [name for name, entry in VARIANTS.items() if not refusals(entry.spec)]
    layers = [layer(name, bidirectional=at % 2 == 0, dtype=torch.float32) for at, name in enumerate(names)]
    _gives_the_same(Together(layers, ragged=ragged, state=state))


def _reason(error: BaseException) -> BaseException:
    """The first cause of an error of the exporter."""
    return error if error.__cause__ is None else _reason(error.__cause__)


def test_what_onnx_cannot_express_is_refused_by_name() -> None:
    model = Together([layer("layer_norm", dtype=torch.float32)], ragged=False, state=False)
    with pytest.raises(Exception, match="ONNX") as caught:
        _exported(model)
    reason = _reason(caught.value)
    assert isinstance(reason, ArgumentError)
    assert "layer_norm=True" in str(reason)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_its_packages_one_sentence_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"pip install peephole\[onnx\]"):
        onnx_translations()


@pytest.mark.slow
def test_a_users_layers_are_read_back(tmp_path: Path) -> None:
    made = layer("peephole", num_layers=3, dtype=torch.float32)
    file = tmp_path / "model.onnx"
    _exported(Together([made], ragged=True, state=False), f=file)
    (loaded,) = load_onnx(file)
    assert loaded.layer.spec == made.spec
    for key, parameter in made.named_parameters():
        close(loaded.layer.get_parameter(key), parameter, "nn_same_bits")
