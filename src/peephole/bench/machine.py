"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import final

from peephole.kernels import core
from peephole.version import VERSION

_PACKAGES = ("torch", "onnxruntime", "keras", "numpy")


def describe_machine() -> dict[str, str]:
    """Processor, cores, system, Python and the versions of everyone who takes part."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
        "peephole": VERSION,
    }
    found |= {name: version for name in _PACKAGES if (version := _version(name))}
    return found | ({"instruction_set": core.isa()} if core.native_available() else {})


def machine_line(machine: dict[str, str]) -> str:
    """The same on one line."""
    rest = [f"{name} {machine[name]}" for name in ("peephole", *_PACKAGES) if name in machine]
    kernels = [f"our kernels in {machine['instruction_set']}"] if "instruction_set" in machine else []
    where = [machine["processor"], f"{machine['cores']} cores", machine["system"], f"Python {machine['python']}"]
    return ", ".join([*where, *rest, *kernels])


@final
class Neighbours:
    """What other programs take of the machine, from when this is made."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float | None:
        """The part of all processors' time since; None where the system does not tell."""
        now = _ticks()
        if now is None or self._before is None:
            return None
        busy, own, total = (new - old for new, old in zip(now, self._before, strict=True))
        return max(0.0, busy - own) / total if total else 0.0


def _ticks() -> tuple[float, float, float] | None:
    """Processor time of everyone, of this process, and of everyone with the time of doing nothing; in ticks."""
    info = Path("/proc/stat")
    if not info.exists():
        return None
    user, nice, system, idle, waiting, *rest = map(int, info.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9])
    busy = user + nice + system + sum(rest)
    own = os.times()
    return busy, (own.user + own.system) * os.sysconf("SC_CLK_TCK"), busy + idle + waiting


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
