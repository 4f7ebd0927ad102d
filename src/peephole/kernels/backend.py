"""Which code computes: the compiled core, or the equations in NumPy. Never one in place of the other unasked."""

from __future__ import annotations

import os
from typing import Literal, get_args

from peephole.errors import ArgumentError

Backend = Literal["native", "reference"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

VARIABLE = "PEEPHOLE_BACKEND"
"""The environment variable that chooses the backend of every call that names none."""


def choose_backend(backend: Backend | None = None) -> Backend:
    """The backend of a call: the one it names, else the environment's, else ``"native"``.

    Raises:
        ArgumentError: for a name that is no backend.
    """
    if backend is not None:
        return _checked("kernels: backend", backend)
    return _checked(f"kernels: the environment variable {VARIABLE}", os.environ.get(VARIABLE) or "native")


def _checked(owner: str, name: str) -> Backend:
    if name not in BACKENDS:
        raise ArgumentError(f"{owner} must be one of {', '.join(BACKENDS)} (got {name!r})")
    return name
