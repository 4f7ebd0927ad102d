"""Where it was measured, and who else was there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from peephole.bench import machine
from peephole.kernels import core
from peephole.version import VERSION


def test_the_machine_is_told_on_one_line() -> None:
    found = machine.describe_machine()
    assert (found["peephole"], found["torch"]) == (VERSION, torch.__version__)
    line = machine.machine_line(found)
    assert "\n" not in line
    assert all(part in line for part in (found["processor"], f"{found['cores']} cores", f"torch {torch.__version__}"))
    assert f"our kernels in {core.isa()}" in line
    assert "our kernels in avx512" in machine.machine_line({**found, "instruction_set": "avx512"})


@pytest.mark.parametrize(
    ("ticks", "share"),
    [
        ([(100.0, 50.0, 1000.0), (160.0, 90.0, 1100.0)], 0.2),
        ([(100.0, 50.0, 1000.0), (140.0, 91.0, 1100.0)], 0.0),
        ([(100.0, 50.0, 1000.0), (100.0, 50.0, 1000.0)], 0.0),
        ([None, None], None),
    ],
    ids=["others worked", "we alone", "no time went by", "the system does not tell"],
)
def test_others_have_what_is_busy_and_not_ours(
    ticks: list[tuple[float, float, float] | None], share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_ticks", iter(ticks).__next__)
    assert machine.Neighbours().share() == share


def test_ticks_are_read_where_the_system_has_them() -> None:
    share = machine.Neighbours().share()
    assert (share is not None) == Path("/proc/stat").exists()
