"""ONNX's own published cases: our layers give what ONNX says, or the import refuses by name, as the page has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from peephole.conversion.onnx_graph import write_model
from peephole.errors import ArgumentError
from peephole.nn import LSTM, load_onnx
from tests.conversion.pages import refused, table
from tests.conversion.published import PUBLISHED, Published
from tests.conversion.sessions import Session, close

SAID = table("case")


def _ours(case: Published, path: Path) -> dict[str, Any]:
    """What our layer gives for a published case, under the operator's names."""
    write_model(path, case.model())
    (loaded,) = load_onnx(path)
    layer, x = loaded.layer, torch.as_tensor(case.inputs["X"])
    with torch.no_grad():
        output, final = layer(x, loaded.state, lengths=loaded.lengths)
    h_n, c_n = final if isinstance(layer, LSTM) else (final, None)
    directions = output.unflatten(-1, (layer.spec.num_directions, layer.hidden_size))
    if layer.batch_first:  # the operator's layout 1 puts the batch first in the states too
        return {"Y": directions, "Y_h": h_n.swapaxes(0, 1), "Y_c": None if c_n is None else c_n.swapaxes(0, 1)}
    return {"Y": directions.transpose(1, 2), "Y_h": h_n, "Y_c": c_n}


def test_the_page_lists_every_case() -> None:
    assert sorted(SAID) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", SAID)
def test_published_cases_end_as_the_page_says(name: str, tmp_path: Path) -> None:
    case = PUBLISHED[name]
    if refused(SAID[name]):
        with pytest.raises(ArgumentError, match="direction must be forward or bidirectional"):
            _ours(case, tmp_path / "case.onnx")
        return
    assert SAID[name].startswith("the same")
    found = _ours(case, tmp_path / "case.onnx")
    for output, expected in case.outputs.items():
        assert found[output].shape == expected.shape
        close(found[output], expected, "onnx_published_float32")


@pytest.mark.parametrize("name", [name for name, said in SAID.items() if "ONNX Runtime refuses" in said])
def test_onnx_runtime_refuses_what_the_page_says(name: str) -> None:
    with pytest.raises(Exception, match="layout == 1"):
        Session(PUBLISHED[name].model())
