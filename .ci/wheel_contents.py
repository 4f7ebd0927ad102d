"""Look through a wheel: nothing is in it but the package, and nothing of the machine that built it."""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = re.compile(r"peephole/[\w/]+\.(py|pyi|typed|csv|md)|peephole/_\w+(\.[\w-]+)*\.(so|pyd)")
METADATA = re.compile(r"peephole-[\w.]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE|sboms/.+)")


def faults(wheel: zipfile.ZipFile) -> list[str]:
    """What should not be in a wheel, or is missing, one line each."""
    names = [name for name in wheel.namelist() if not name.endswith("/")]
    found = [
        f"{name} is no part of the package"
        for name in names
        if not (PACKAGE.fullmatch(name) or METADATA.fullmatch(name))
    ]
    if sum(name.startswith("peephole/_native.") and name.endswith((".so", ".pyd")) for name in names) != 1:
        found.append("there must be one compiled core")
    traces = [str(Path.cwd()), tempfile.gettempdir(), str(Path.home())]
    for name in names:
        content = wheel.read(name)
        found += [
            f"{name} names {trace}, a path of this machine" for trace in traces if f"{trace}/".encode() in content
        ]
    return found


def main() -> None:
    """Check the wheel that the command line names, and say its size."""
    path = Path(sys.argv[1])
    with zipfile.ZipFile(path) as wheel:
        found = faults(wheel)
        unpacked = sum(entry.file_size for entry in wheel.infolist())
    if found:
        sys.exit("\n".join(f"{path.name}: {fault}" for fault in found))
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {unpacked / 1024:.0f} KiB unpacked")


if __name__ == "__main__":
    main()
