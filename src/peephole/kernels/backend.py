"""Which code computes: the compiled core, or the equations in NumPy. Never one in place of the other without a word."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from typing import Literal, get_args

from peephole.errors import ArgumentError, SlowBackendWarning
from peephole.kernels.core import core_installed

Backend = Literal["native", "reference"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

VARIABLE = "PEEPHOLE_BACKEND"
"""The environment variable that chooses the backend of every call that names none."""


def choose_backend(backend: Backend | None = None) -> Backend:
    """The backend of a call: the one it names, else the environment's, else ``"native"``.

    Where nobody named one and Peephole was installed without the compiled core, it is ``"reference"``, and a
    :class:`~peephole.errors.SlowBackendWarning` says so once. A core that is there and cannot be loaded is no reason
    to do without: that call then raises.

    Raises:
        ArgumentError: for a name that is no backend.
    """
    if backend is not None:
        return _checked("kernels: backend", backend)
    named = os.environ.get(VARIABLE)
    return _checked(f"kernels: the environment variable {VARIABLE}", named) if named else _installed()


def _checked(owner: str, name: str) -> Backend:
    if name not in BACKENDS:
        raise ArgumentError(f"{owner} must be one of {', '.join(BACKENDS)} (got {name!r})")
    return name


@lru_cache(maxsize=1)
def _installed() -> Backend:
    if core_installed():
        return "native"
    warnings.warn(
        "Peephole was installed without its compiled core (peephole._native is missing): NumPy equations and torch "
        "operations compute instead, with the same results, many times slower. To get the core, install a wheel for "
        "this Python and machine, or a C++17 compiler, and then Peephole again with PEEPHOLE_REQUIRE_CORE=1, so that "
        f"pip fails where it cannot be built; {VARIABLE}=reference says that it is meant so",
        SlowBackendWarning,
        stacklevel=3,
    )
    return "reference"
