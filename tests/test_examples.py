"""The scripts in examples/ run as they stand there, and what they say comes out."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

SAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "export_to_onnx": ("8 x 30: the same in ONNX Runtime: True", "refused: export_onnx:"),
        "look_inside": ("the unit that keeps most: f = 0.", "drawn:", "saved:"),
        "ragged_batches": ("the same by packing: True", "the same alone: True", "gradients are finite: True"),
        "reverse_with_attention": ("badge -> egdab", "drawn:"),
        "swap_one_line": ("the same losses: True", "and back: True"),
    }
)
"""What each script says at least; step_without_torch follows on look_inside."""

OUT = MappingProxyType(
    {
        "export_to_onnx": ("--out", "classifier.onnx"),
        "look_inside": ("--out", "inside"),
        "reverse_with_attention": ("--out", "reverse"),
    }
)


def run(name: str, *arguments: str) -> None:
    main = cast("Callable[[list[str]], None]", runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"])
    main(list(arguments))


@pytest.mark.parametrize("name", SAYS)
def test_an_example_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(name, *OUT.get(name, ()))
    printed = capsys.readouterr().out
    assert [line for line in SAYS[name] if line not in printed] == []
    assert "False" not in printed
    if name == "look_inside":
        script = EXAMPLES / "step_without_torch.py"
        alone = subprocess.run(
            [sys.executable, str(script), "inside/model"], capture_output=True, text=True, check=False, timeout=60
        )
        assert alone.returncode == 0, alone.stderr
        assert "the same as the whole sequence at once: True" in alone.stdout
        assert "torch was imported: False" in alone.stdout
        assert (tmp_path / "inside" / "gates.png").is_file()
        assert (tmp_path / "inside" / "state.npz").is_file()


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SAYS, "step_without_torch"}


@pytest.mark.parametrize("name", [*SAYS, "step_without_torch"])
def test_an_example_refuses_an_argument_that_it_does_not_know(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(name, *OUT.get(name, ()), "there", "--unknown")
    assert "usage:" in capsys.readouterr().err
