"""What every test shares: reproducible hypothesis runs, and where the real data sets are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("peephole", deadline=None, derandomize=True, max_examples=10)
settings.load_profile("peephole")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets. Where nobody has them the test is skipped, for the product does not need them."""
    told = os.environ.get("PEEPHOLE_DATA")
    folder = Path(told) if told else Path(__file__).parents[2] / "shared" / "data"
    if told and not folder.is_dir():
        pytest.fail(f"PEEPHOLE_DATA must name the folder of the real data sets (got {told}, which is no folder)")
    if not folder.is_dir():
        pytest.skip("needs the real data sets; set PEEPHOLE_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def keras_on_torch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever imports Keras gets it on torch, and its settings are kept here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.getbasetemp() / "keras"))
        yield
