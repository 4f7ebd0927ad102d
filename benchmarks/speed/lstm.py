"""``peephole.nn.LSTM`` beside ``torch.nn.LSTM``: inference and training, in one process, turn by turn.

For every shape and number of threads the two layers, with the same weights and input, are timed one after the other,
again and again, the first of the two changing with every turn. What is told is the median of the paired ratios
(torch's time over ours: above 1 ours is the faster) with its quartiles, and the median time of each in milliseconds.

    python benchmarks/speed/lstm.py [--seconds 1.0] [--out benchmarks/speed/lstm.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import peephole
from peephole import nn

SHAPES = (  # hidden size, which is the input size too; batch; steps
    (16, 32, 100),
    (32, 1, 100),
    (32, 8, 100),
    (64, 1, 100),
    (64, 32, 50),
    (128, 32, 50),
    (256, 32, 50),
)
THREADS = (1, 2)
_FEWEST_TURNS = 7


def main() -> None:
    """Measure everything, print it line by line, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for one line at the least")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(machine())
    print(f"{'':9} threads    H    B    T   torch ms    ours ms   torch / ours")
    for threads in THREADS:
        torch.set_num_threads(threads)
        for work in (inference, training):
            for shape in SHAPES:
                row: dict[str, Any] = {
                    "work": work.__name__,
                    "threads": threads,
                    **compared(work, *shape, seconds=chosen.seconds),
                }
                rows.append(row)
                print(
                    f"{row['work']:9} {threads:7} {row['H']:4} {row['B']:4} {row['T']:4} {row['torch_ms']:10.3f} "
                    f"{row['ours_ms']:10.3f}   {row['ratio']:.2f} ({row['quartiles'][0]:.2f}-{row['quartiles'][1]:.2f})"
                )
    chosen.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


def inference(layer: torch.nn.Module, x: torch.Tensor) -> None:
    """The forward pass without a graph."""
    with torch.no_grad():
        layer(x)


def training(layer: torch.nn.Module, x: torch.Tensor) -> None:
    """The forward and the backward pass, the gradient of the input included."""
    layer.zero_grad()
    x.grad = None
    layer(x)[0].sum().backward()


def compared(
    work: Callable[[torch.nn.Module, torch.Tensor], None], hidden: int, batch: int, steps: int, *, seconds: float
) -> dict[str, Any]:
    """One line of the table."""
    torch.default_generator.manual_seed(0)
    theirs, ours = torch.nn.LSTM(hidden, hidden), nn.LSTM(hidden, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, batch, hidden, requires_grad=work is training)
    layers = {"torch": theirs, "ours": ours}
    times: dict[str, list[float]] = {name: [] for name in layers}
    for layer in layers.values():
        work(layer, x)
    begun = time.perf_counter()
    while len(times["ours"]) < _FEWEST_TURNS or time.perf_counter() - begun < seconds:
        turn = list(layers.items())
        for name, layer in turn if len(times["ours"]) % 2 else reversed(turn):
            start = time.perf_counter()
            work(layer, x)
            times[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(times["torch"], times["ours"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "H": hidden,
        "B": batch,
        "T": steps,
        "torch_ms": statistics.median(times["torch"]) * 1e3,
        "ours_ms": statistics.median(times["ours"]) * 1e3,
        "ratio": middle,
        "quartiles": [low, high],
        "turns": len(ratios),
    }


def machine() -> str:
    """The line that says where and with what it was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return (
        f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, peephole {peephole.__version__}, float32"
    )


if __name__ == "__main__":
    main()
