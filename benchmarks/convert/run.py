"""Train a model of torch's and the one that ``peephole.nn.convert`` makes of it, a step of each by turns.

``python -m benchmarks.convert.run --data FOLDER`` writes ``convert.json``, ``convert.md`` and ``curves.png``. Both
models begin with the same weights and see the same batches. So does a third, torch's again, with the rows of every
batch in reverse order: that is the same mathematics summed in another order, and shows how far float error alone drives
two curves apart. Where torch has a second path of its own, that without oneDNN, a fourth model takes it.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, cast, final

import torch
from torch.nn import Module

from benchmarks.convert.models import States, lstm_of, weights_of
from benchmarks.convert.problems import Batch, Characters, Problem, Tagging
from benchmarks.convert.report import write_page
from benchmarks.convert.results import Line, Results, read, write
from peephole.bench.machine import Neighbours, describe_machine
from peephole.bench.timing import order_of_turn, paired
from peephole.nn import convert

OURS, THEIRS, REORDERED, PLAIN = "peephole", "torch", "torch, rows in reverse order", "torch, without oneDNN"
WARM_UP = 5
"""Steps that are not timed."""
SEED = 0
HERE = Path(__file__).parent


class Case(NamedTuple):
    """One line of the table: a problem, and how long and how exactly it is trained.

    ``kept``: the C library keeps the memory that it is given back, as it does in a process that has trained something
    larger before; else it returns large pieces to the system and gets them anew, and cleared, in every step.
    """

    problem: str
    steps: int
    dtype: torch.dtype
    threads: int
    validated: bool = False
    kept: bool = False


@final
class Contender:
    """One model in training.

    Args:
        problem: what it learns.
        model: with its weights.
        reverse: whether it sees the rows of a batch in reverse order.
        within: a context for each step.
    """

    def __init__(
        self,
        problem: Problem,
        model: Module,
        *,
        reverse: bool = False,
        within: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.problem, self.model, self.reverse, self.within = problem, model, reverse, within
        self.optimiser = problem.optimiser(model)
        self.state: States | None = None
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []

    def step(self, batch: Batch) -> None:
        """A whole step of training: forward, loss, backward, clipping, update."""
        batch = batch.in_reverse_order() if self.reverse else batch
        with self.within():
            begun, busy = time.perf_counter(), time.process_time()
            self.optimiser.zero_grad()
            loss, self.state = self.problem.loss(self.model, batch, self.state)
            cast("Any", loss).backward()
            self.problem.clip(self.model)
            self.optimiser.step()
            self.seconds.append(time.perf_counter() - begun)
            self.processor_seconds.append(time.process_time() - busy)
        self.losses.append(loss.item())


def contenders(problem: Problem, dtype: torch.dtype) -> dict[str, Contender]:
    """Everyone, with weights of their own that begin alike."""
    torch.default_generator.manual_seed(SEED)
    model = problem.model().to(dtype)
    everyone = {
        OURS: Contender(problem, convert(model)),
        THEIRS: Contender(problem, copy.deepcopy(model)),
        REORDERED: Contender(problem, copy.deepcopy(model), reverse=True),
    }
    if not problem.packed and dtype == torch.float32:  # else torch does not use it
        everyone[PLAIN] = Contender(problem, copy.deepcopy(model), within=without_onednn)
    return everyone


@contextmanager
def without_onednn() -> Generator[None]:
    """Torch's other path."""
    backend = cast("Any", torch.backends.mkldnn)
    backend.enabled = False
    try:
        yield
    finally:
        backend.enabled = True


def measure(case: Case, problem: Problem) -> Line:
    """Train everyone for the steps of a case; ours and torch's are neighbours in every turn, in changing order."""
    torch.set_num_threads(case.threads)
    everyone = contenders(problem, case.dtype)
    controls = [name for name in everyone if name not in (OURS, THEIRS)]
    neighbours = Neighbours()
    batches = problem.batches()
    for turn in range(case.steps):
        batch = next(batches)
        for name in [*order_of_turn([OURS, THEIRS], turn), *controls]:
            everyone[name].step(batch)
    ours, theirs = everyone[OURS], everyone[THEIRS]
    share = neighbours.share()
    told = (OURS, THEIRS, REORDERED) if case.validated else ()
    validations = {name: problem.validate(everyone[name].model) for name in told}
    return Line(
        problem=case.problem,
        title=problem.title + (", memory kept" if case.kept else ""),
        settings=problem.settings,
        dtype=str(case.dtype).removeprefix("torch."),
        threads=case.threads,
        steps=case.steps,
        weights=weights_of(theirs.model),
        layers=(lstm_of(theirs.model), lstm_of(ours.model)),
        ours_ms=1e3 * sorted(ours.seconds[WARM_UP:])[(case.steps - WARM_UP) // 2],
        theirs_ms=1e3 * sorted(theirs.seconds[WARM_UP:])[(case.steps - WARM_UP) // 2],
        ratio=paired(ours.seconds[WARM_UP:], theirs.seconds[WARM_UP:]),
        processor_ratio=paired(ours.processor_seconds[WARM_UP:], theirs.processor_seconds[WARM_UP:]),
        others=share,
        losses=theirs.losses,
        differences={
            name: [mine - other for mine, other in zip(everyone[name].losses, theirs.losses, strict=True)]
            for name in (OURS, *controls)
        },
        validation_loss={name: found.loss for name, found in validations.items()},
        validation_accuracy={name: found.accuracy for name, found in validations.items()},
    )


PROBLEMS: Mapping[str, Callable[[Path], Problem]] = {
    "tagger": Tagging,
    "char-rnn": Characters,
    "char-rnn-512": lambda folder: Characters(folder, hidden=512),
}
CASES = (
    Case("tagger", 250, torch.float32, 1, validated=True),
    Case("char-rnn", 300, torch.float32, 1, validated=True),
    Case("tagger", 40, torch.float32, 1, kept=True),
    Case("char-rnn", 60, torch.float32, 1, kept=True),
    Case("char-rnn-512", 12, torch.float32, 1),
    Case("tagger", 20, torch.float64, 1),
    Case("char-rnn", 40, torch.float64, 1),
    Case("tagger", 40, torch.float32, 2),
    Case("char-rnn", 60, torch.float32, 2),
)
KEEPING = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
"""What tells glibc to keep its memory."""


def measure_alone(case: Case, folder: Path) -> Line:
    """Measure in a process of its own, for what was done before in a process changes how it gets its memory."""
    if case.kept:
        os.environ.update(KEEPING)  # glibc reads it when the process begins
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        line = pool.submit(_measure, case, folder).result()
    for name in KEEPING:
        os.environ.pop(name, None)
    return line


def _measure(case: Case, folder: Path) -> Line:
    return measure(case, PROBLEMS[case.problem](folder))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("PEEPHOLE_DATA"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="which cases, by their threads")
    given = parser.parse_args()
    if given.data is None:
        parser.error("--data must name the folder of the data sets (or set PEEPHOLE_DATA)")
    results = Results(machine=describe_machine(), lines=[])
    for case in CASES:
        if case.threads in given.threads:
            results.lines.append(measure_alone(case, given.data))
            line = results.lines[-1]
            print(f"{line.title} {line.dtype} {line.threads}: ratio {line.ratio.median:.2f}", flush=True)
            write(results, given.out / "convert.json")
    write_page(read(given.out / "convert.json"), given.out)  # which has fewer digits than were measured


if __name__ == "__main__":
    main()
