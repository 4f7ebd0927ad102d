"""The compiled core itself: whether it is there, the instruction set in use, and how fast this machine is with it."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from peephole.errors import BackendError

if TYPE_CHECKING:
    from types import ModuleType

Dtype = Literal["float32", "float64"]
BYTES: dict[str, int] = {"float32": 4, "float64": 8}
"""Of one number."""

ABI_VERSION = 3
"""The version of ``native/include/peephole.h`` that this code was written for."""

ISA_VARIABLE = "PEEPHOLE_ISA"
"""The environment variable that forces the kernels of one instruction set."""

_MODULE = "peephole._native"


def native_available() -> bool:
    """Whether the compiled core can be used."""
    try:
        module()
    except BackendError:
        return False
    return True


def core_installed() -> bool:
    """Whether there is a compiled core at all, be it one that can be loaded or not."""
    try:
        module()
    except BackendError as error:
        cause = error.__cause__
        return not (isinstance(cause, ModuleNotFoundError) and cause.name == _MODULE)
    return True


@lru_cache(maxsize=1)
def module() -> ModuleType:
    """The compiled module.

    Raises:
        BackendError: where it is missing, cannot be loaded, or is of another version.
    """
    try:
        # here and not above, since to import peephole.kernels must work without the module
        native = import_module(_MODULE)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"kernels: the compiled core {_MODULE} must be installed (it is missing); install Peephole where there is "
            "a C++17 compiler, with PEEPHOLE_REQUIRE_CORE=1 to see why it is not built, or choose backend='reference' "
            "(or PEEPHOLE_BACKEND=reference) for the slow equations in NumPy"
        ) from error
    except ImportError as error:
        raise BackendError(
            f"kernels: the compiled core {_MODULE} is there and cannot be loaded ({error}); install Peephole again, "
            "or choose backend='reference' (or PEEPHOLE_BACKEND=reference) for the slow equations in NumPy"
        ) from error
    if native.abi_version() != ABI_VERSION:
        raise BackendError(
            f"kernels: {_MODULE} must be of version {ABI_VERSION} (got {native.abi_version()}); "
            "it was built from another state of the sources: install Peephole again"
        )
    _force_isa(native, os.environ.get(ISA_VARIABLE, ""))
    return native


def isa_names() -> list[str]:
    """The instruction sets that this machine can run kernels of, the slowest first.

    ``"plain"`` is the mathematics in plain loops, the oracle of the others.
    """
    return [name for name in module().isa_names() if module().isa_runs(name)]


def isa() -> str:
    """The instruction set in use: the fastest that this machine has, or the one that was forced."""
    return module().isa()


def force_isa(name: str | None) -> None:
    """Use the kernels of one instruction set in all passes from now on.

    Args:
        name: out of :func:`isa_names`; None for the fastest, or what the environment variable ``PEEPHOLE_ISA`` says.

    Raises:
        BackendError: where there is none of that name, or this machine has it not.
    """
    _force_isa(module(), name or os.environ.get(ISA_VARIABLE, ""))


def _force_isa(native: ModuleType, name: str) -> None:
    if native.force_isa(name):
        there = ", ".join(known for known in native.isa_names() if native.isa_runs(known))
        raise BackendError(f"kernels: the instruction set (PEEPHOLE_ISA) must be one of {there} here (got {name!r})")


def fma_peak(dtype: Dtype, *, seconds: float = 0.2) -> float:
    """What one thread can do at most, in GFLOP/s, a product and a sum counting as two.

    Measured in registers alone, with the instruction set in use; 0 for the plain kernels.

    Args:
        dtype: of the numbers.
        seconds: how long it is measured; the best counts.
    """
    return module().peak(BYTES[dtype], seconds) * 1e-9


def tile_rates(dtype: Dtype, *, seconds: float = 0.02) -> dict[str, float]:
    """What each tile of the products does, in GFLOP/s on one thread, its operands in the first-level cache.

    Args:
        dtype: of the numbers.
        seconds: how long each is measured; the best counts.

    Returns:
        By rows and registers, as ``"6x4"``; empty for the plain kernels, which have none.
    """
    sizes = [(rows, vectors) for rows in range(1, 9) for vectors in range(1, 9)]
    rates = {f"{r}x{v}": module().tile_rate(BYTES[dtype], r, v, seconds) * 1e-9 for r, v in sizes}
    return {name: rate for name, rate in rates.items() if rate}
