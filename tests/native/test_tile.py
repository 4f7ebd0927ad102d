"""The built code keeps the tile in registers: with one too many it is still right, and silently half as fast."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.builds import build_object, needs_tools

pytestmark = [
    needs_tools,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump to look into the built code"),
    pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="reads x86-64 code"),
]

# Rows of the full tile, and fused operations on it at each k: rows times four registers.
FULL_ROWS = {"avx2": 3, "avx512": 6}
VECTORS = 4
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
JUMP = re.compile(r"^([0-9a-f]+) <")
# AT&T's order: from, to. A vector register that goes to memory, and one that comes from the stack.
STORE = re.compile(r"^v?mov\S* %[xyz]mm\d+(\{%k\d\})?,[^%]*\(")
SPILLED = re.compile(r"\(%rsp|\(%rbp")
FUSED = re.compile(r"^vfm(add|sub)")


def loops_of(code: str) -> list[list[str]]:
    """The instructions of every innermost loop: from where a jump backwards leads, up to that jump.

    A jump back over a return leads to the function's end, which the compiler has put before what is seldom run.
    """
    lines = [(int(at, 16), name, rest) for at, name, rest in map(parts, code.splitlines()) if at]
    spans: list[tuple[int, int]] = []
    for at, name, rest in lines:
        target = JUMP.match(rest) if name.startswith("j") and name != "jmp" else None
        begin = int(target[1], 16) if target else at + 1
        if begin <= at and not any(begin <= other <= at for other, what, _ in lines if what.startswith("ret")):
            spans.append((begin, at))
    inner = [one for one in spans if not any(one != other and one[0] <= other[0] <= one[1] for other in spans)]
    return [[f"{name} {rest}" for at, name, rest in lines if begin <= at <= end] for begin, end in inner]


def parts(line: str) -> tuple[str, str, str]:
    found = INSTRUCTION.match(line)
    return (found[1], found[2], found[3]) if found else ("", "", "")


@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("isa", FULL_ROWS)
def test_the_inner_loop_of_the_full_tile_stores_no_vector(
    isa: str, real: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = Path(tmp_path_factory.getbasetemp()) / "tile"
    built = build_object(folder, f"peephole_kernels_{isa}", "-DCMAKE_BUILD_TYPE=Release")
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(built)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = FULL_ROWS[isa]
    title = f"run_tile<{real}, {rows}, {VECTORS}>("
    (code,) = [function for function in listing.split("\n\n") if title in function.lstrip().split("\n")[0]]
    hot = [loop for loop in loops_of(code) if any(FUSED.match(instruction) for instruction in loop)]
    assert hot, "no loop of fused operations was found"
    for loop in hot:
        assert sum(bool(FUSED.match(instruction)) for instruction in loop) % (rows * VECTORS) == 0
        assert [one for one in loop if STORE.match(one)] == []
        assert [one for one in loop if "mm" in one and SPILLED.search(one)] == []
