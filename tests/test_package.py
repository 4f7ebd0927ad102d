"""What ``import peephole`` alone gives."""

from __future__ import annotations

from importlib import metadata

import peephole


def test_version_is_the_installed_one() -> None:
    assert peephole.__version__ == metadata.version("peephole")
