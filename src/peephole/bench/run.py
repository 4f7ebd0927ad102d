"""Measuring: every line on every number of threads, one row a peer."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import torch

from peephole.bench.grid import Case, Peer
from peephole.bench.machine import Neighbours
from peephole.bench.peers import make_entrant
from peephole.bench.problem import Entrant, Problem, make_problem, our_layer
from peephole.bench.results import Row
from peephole.bench.timing import SETTLE_SECONDS, Contestant, interleaved, paired
from peephole.errors import ArgumentError, MissingDependencyError
from peephole.kernels import core

_OURS = "ours"
_LOOKS = 3


class Peak:
    """The machine's peak of one thread by dtype, looked at when it is first asked for.

    Args:
        look: measures it in GFLOP/s; the best of three looks counts, since a busy machine can only hide it.
    """

    def __init__(self, look: Callable[[core.Dtype], float] = core.fma_peak) -> None:
        self._look = look
        self.found: dict[str, float] = {}

    def of(self, dtype: core.Dtype) -> float:
        """GFLOP/s of multiply-adds in registers, on one thread."""
        if dtype not in self.found:
            self.found[dtype] = max(self._look(dtype) for _ in range(_LOOKS))
        return self.found[dtype]


def check_settings(*, threads: Sequence[int], seconds: float) -> None:
    """Refuse what cannot be measured.

    Raises:
        ArgumentError: for a number of threads that the machine does not have, or a negative time.
    """
    cores = os.cpu_count() or 1
    for count in threads:
        if not 1 <= count <= cores:
            raise ArgumentError(f"bench: threads must be 1 to {cores}, the cores of this machine (got {count})")
    if not 0 <= seconds < float("inf"):
        raise ArgumentError(f"bench: seconds must be a number of at least 0 (got {seconds})")


def measure(
    lines: Sequence[Case],
    *,
    threads: Sequence[int],
    seconds: float,
    peak: Peak,
    begin: Callable[[str], None] = lambda _words: None,
) -> Generator[list[Row]]:
    """Measure line by line: a regime on one number of threads, then on the next, then the next regime.

    Args:
        lines: what, regime by regime.
        threads: on how many threads.
        seconds: for each line.
        peak: the machine's peak.
        begin: called with a few words as each line begins.

    Yields:
        The rows of a line, one for each of its peers.

    Raises:
        ArgumentError: as :func:`check_settings`.
    """
    check_settings(threads=threads, seconds=seconds)
    before = torch.get_num_threads()
    try:
        for regime in dict.fromkeys(line.regime for line in lines):
            for count in threads:
                torch.set_num_threads(count)
                for line in (line for line in lines if line.regime == regime):
                    begin("{} H{} B{} T{}, {} thread{}".format(regime, *line.shape, count, "s" if count > 1 else ""))
                    yield measure_line(line, threads=count, seconds=seconds, peak=peak)
    finally:
        torch.set_num_threads(before)


def measure_line(line: Case, *, threads: int, seconds: float, peak: Peak) -> list[Row]:
    """Measure us and everyone else on one line, interleaved."""
    problem = make_problem(line)
    entrants, missing = _entrants(problem, threads)
    contestants = {name: Contestant(call=entrant.call, pool=entrant.pool) for name, entrant in entrants.items()}
    most = peak.of(line.dtype) * threads
    neighbours = Neighbours()
    times = interleaved(contestants, seconds=seconds, settle=SETTLE_SECONDS if threads > 1 else 0.0)
    others = neighbours.share()
    others = None if others is None else _told(others)
    rows = [_row(problem, peer, times, threads=threads, peak=most) for peer in line.peers]
    return [replace(row, others=others, missing=missing.get(row.peer, "")) for row in rows]


def _entrants(problem: Problem, threads: int) -> tuple[dict[str, Entrant], dict[Peer, str]]:
    """Ours and everyone who can be asked, and why the others cannot."""
    entrants, missing = {_OURS: our_layer(problem)}, dict[Peer, str]()
    for peer in problem.case.peers:
        try:
            entrants[peer] = make_entrant(peer, problem, threads=threads)
        except MissingDependencyError as error:
            missing[peer] = str(error)
    return entrants, missing


def _told(number: float) -> float:
    """With the digits that a measurement has."""
    return float(f"{number:.5g}")


def _row(problem: Problem, peer: Peer, times: dict[str, list[float]], *, threads: int, peak: float) -> Row:
    case, ours = problem.case, times[_OURS]
    seconds = statistics.median(ours)
    flops = case.flops(problem.rows)
    if case.work == "step":
        flops += 2 * problem.rows * case.shape.hidden  # the head
    gflops = flops / seconds / 1e9
    ratio = paired(ours, times[peer]) if peer in times else None
    return Row(
        regime=case.regime,
        work=case.work,
        hidden=case.shape.hidden,
        batch=case.shape.batch,
        steps=case.shape.steps,
        threads=threads,
        dtype=case.dtype,
        variant=case.variant,
        cells_per_block=case.cells_per_block,
        proj_size=case.proj_size,
        peer=peer,
        ours_ms=_told(seconds * 1e3),
        peer_ms=_told(statistics.median(times[peer]) * 1e3) if peer in times else None,
        ratio=None if ratio is None else _told(ratio.median),
        quartiles=None if ratio is None else (_told(ratio.low), _told(ratio.high)),
        turns=len(ours),
        gflops=_told(gflops),
        share=_told(gflops / peak),
        mark=case.marks.get(peer),
        share_mark=case.share_mark if peer == "torch" else None,
        others=None,
        missing="",
    )
