"""The kernels of every instruction set that this machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peephole.kernels import core

ISAS = core.isa_names() if core.native_available() else []


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """An instruction set, which all passes of the test run on."""
    before = core.isa()
    core.force_isa(request.param)
    yield request.param
    core.force_isa(before)


@pytest.fixture(params=ISAS[1:])
def fast_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same without the plain kernels, the oracle of the others."""
    before = core.isa()
    core.force_isa(request.param)
    yield request.param
    core.force_isa(before)
