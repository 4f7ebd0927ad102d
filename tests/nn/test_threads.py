"""The layer works by as many threads as torch is told to use, and gives the same by any number of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.nn.cases import close
from tests.nn.large import SHAPES, input_of, outcome, pair
from tests.nn.process import run_alone

EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """The number of torch's threads, put back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["uni", "bi"])
@EVERY_SHAPE
def test_any_number_of_threads_equals_torch(shape: str, bidirectional: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    theirs, ours = pair(SHAPES[shape][0], bidirectional=bidirectional)
    x = input_of(shape)
    close(outcome(ours, x), outcome(theirs, x), "nn_threads_float64")


@pytest.mark.parametrize("threads", [1, 2, 3])
@EVERY_SHAPE
def test_the_same_threads_give_the_same_bits_every_time(shape: str, threads: int) -> None:
    torch.set_num_threads(threads)
    _, ours = pair(SHAPES[shape][0], dtype=torch.float32)
    x = input_of(shape, dtype=torch.float32)
    first = outcome(ours, x)
    for _ in range(5):
        close(outcome(ours, x), first, "nn_same_bits")


@pytest.mark.parametrize("threads", [1, 2])
@EVERY_SHAPE
def test_passes_in_several_python_threads_give_the_bits_they_give_alone(shape: str, threads: int) -> None:
    """Each with a layer and an input of its own, all at once."""
    torch.set_num_threads(threads)
    jobs = [(pair(SHAPES[shape][0])[1], input_of(shape, seed=seed)) for seed in range(4)]
    alone = [outcome(layer, x) for layer, x in jobs]

    def work(at: int) -> list[list[torch.Tensor]]:
        torch.set_num_threads(threads)
        layer, x = jobs[at]
        return [outcome(layer, x) for _ in range(5)]

    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(work, range(len(jobs))))
    for at, results in enumerate(together):
        for result in results:
            close(result, alone[at], "nn_same_bits")


@linux
def test_a_pass_starts_as_many_threads_as_torch_is_told_and_no_more() -> None:
    """Counted in a process that has done nothing else."""
    code = """
        import os, sys, torch
        from tests.nn.large import input_of, pair
        torch.set_num_threads(int(sys.argv[1]))
        _, layer = pair(40)
        x = input_of("rows")
        before = len(os.listdir("/proc/self/task"))
        with torch.no_grad():
            for _ in range(3):
                layer(x)
        print(len(os.listdir("/proc/self/task")) - before)
    """
    assert [int(run_alone(code, str(count))) for count in (1, 2, 4)] == [0, 1, 3]


@linux
@pytest.mark.parametrize("order", ["torch, peephole.nn", "peephole.nn, torch", "peephole._openmp, torch, peephole.nn"])
def test_the_process_has_one_openmp_runtime(order: str) -> None:
    code = """
        import importlib, sys
        for name in sys.argv[1].split(", "):
            importlib.import_module(name)
        import torch
        from tests.nn.large import input_of, outcome, pair
        torch.set_num_threads(2)
        for layer in pair(40):
            outcome(layer, input_of("rows"))
        assert "peephole._openmp" in sys.modules
        paths = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
        print(*(path for path in paths if path.rsplit("/", 1)[-1].startswith(("libgomp", "libomp", "libiomp"))))
    """
    runtimes = run_alone(code, order).split()
    assert len({Path(path).resolve() for path in runtimes}) == 1, runtimes
