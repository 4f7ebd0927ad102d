"""The compiled core on addresses: for whoever has memory of his own, NumPy's or torch's.

Buffers are named and shaped by :mod:`peephole.kernels.layout`; here each is the address of its first element, of dense
row-major memory on the host, aligned to its elements. A name that is left out is a null pointer; one that the pass
does not know is a ``ValueError``. Nothing here can check what lies behind an address: the shapes are the caller's word.
The GIL is released while a pass runs, and the same arguments give the same bits.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from peephole.errors import BackendError
from peephole.kernels import core
from peephole.kernels.core import BYTES, Dtype
from peephole.kernels.layout import Sizes
from peephole.spec import ACTIVATIONS, Activation, CellSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peephole import _native

ACTIVATION_CODES: dict[Activation, int] = {name: code for code, name in enumerate(ACTIVATIONS)}
"""What the core calls an activation."""


class Pass(NamedTuple):
    """One pass over one cell: the arguments of :func:`run_forward` or, if ``backward``, :func:`run_backward`.

    With ``compact``, what a ragged batch keeps per step beyond ``y`` has one row for each valid step, in order of the
    steps, then the batch.
    """

    spec: CellSpec
    sizes: Sizes
    dtype: Dtype
    addresses: dict[str, int]
    reverse: bool
    backward: bool
    compact: bool = False


def run_forward(
    spec: CellSpec, sizes: Sizes, dtype: Dtype, addresses: dict[str, int], *, reverse: bool = False, threads: int = 1
) -> None:
    """Run a cell over all steps.

    Args:
        spec: the cell.
        sizes: ``T, B, I, H``.
        dtype: of every buffer but ``lengths`` (int64).
        addresses: of the parameters, the inputs and the tape, by name. Needed are the parameters (``b`` may be left
            out), ``x`` and the final state; initial states left out are zeros, and a part of the tape that is left out
            is not kept. ``h_n`` may be ``h0`` itself, as ``c_n`` and ``r_n``: a stream then steps in place.
        reverse: run from the last valid step of each row to the first.
        threads: at most so many, of the process's OpenMP runtime; one in a forked child.

    Raises:
        BackendError: for a missing buffer, a length out of range, or a size that does not suit the cell.
    """
    _run(Pass(spec, sizes, dtype, addresses, reverse, backward=False), threads)


def run_backward(
    spec: CellSpec, sizes: Sizes, dtype: Dtype, addresses: dict[str, int], *, reverse: bool = False, threads: int = 1
) -> None:
    """Carry errors back through time.

    Args:
        spec: the cell.
        sizes: ``T, B, I, H``.
        dtype: of every buffer but ``lengths`` (int64).
        addresses: of the parameters, the inputs, the tape as :func:`run_forward` left it (the final state is not
            read), the errors and the gradients, by name. Errors left out are zeros, gradients left out not wanted; the
            others are written, whatever their buffers hold.
        reverse: as in the forward pass.
        threads: as in the forward pass.

    Raises:
        BackendError: for a missing buffer, a length out of range, or a size that does not suit the cell.
    """
    _run(Pass(spec, sizes, dtype, addresses, reverse, backward=True), threads)


def run_passes(passes: Sequence[Pass], *, threads: int = 1) -> None:
    """Run passes that do not depend on one another: the two directions of a layer.

    Side by side, each by one thread, where all together are given no more threads than there are passes or a thread
    would have no row of its own; else one after the other, each by all threads.

    Args:
        passes: what to run.
        threads: at most so many, of the process's OpenMP runtime.

    Raises:
        BackendError: as :func:`run_forward`.
    """
    few = threads <= len(passes) or threads > passes[0].sizes.B
    lender = _lender() if len(passes) > 1 and threads > 1 and few else 0
    if lender:
        workspaces = [_workspace_for(one, 1, place) for place, one in enumerate(passes)]
        jobs = [(*_arguments(one), own.address, own.bytes) for one, own in zip(passes, workspaces, strict=True)]
        for status in core.module().run_beside(jobs, lender):
            check_status(status)
        return
    for one in passes:
        _run(one, threads)


def run_dense_forward(
    activation: Activation, sizes: tuple[int, int, int], dtype: Dtype, addresses: dict[str, int]
) -> None:
    """``y = φ((W ⊙ M) x + b)``.

    Args:
        activation: ``φ``.
        sizes: rows ``B``, inputs ``I``, outputs ``O``.
        dtype: of every buffer.
        addresses: of ``W`` [O, I], ``x`` [B, I], ``y`` [B, O] and, where there are such, ``b`` [O] and ``mask`` [O, I].

    Raises:
        BackendError: for a missing buffer or a size out of range.
    """
    _run_dense(activation, sizes, dtype, addresses, backward=False)


def run_dense_backward(
    activation: Activation, sizes: tuple[int, int, int], dtype: Dtype, addresses: dict[str, int]
) -> None:
    """The error ``dy`` carried back over :func:`run_dense_forward`.

    Args:
        activation: ``φ``.
        sizes: rows ``B``, inputs ``I``, outputs ``O``.
        dtype: of every buffer.
        addresses: those of the forward pass, ``dy`` [B, O], and of the gradients that are wanted and written:
            ``dx`` [B, I], ``dW`` [O, I], ``db`` [O].

    Raises:
        BackendError: for a missing buffer or a size out of range.
    """
    _run_dense(activation, sizes, dtype, addresses, backward=True)


def draw_mask(dtype: Dtype, address: int, count: int, *, seed: int, probability: float, value: float) -> None:
    """Fill memory with a random mask: ``value`` with that probability, else 0.

    Args:
        dtype: of the mask.
        address: of its first element.
        count: its elements.
        seed: of 64 bits; the same one gives the same mask on every machine and instruction set.
        probability: in [0, 1], kept to ``2^-32``.
        value: where there is no 0.

    Raises:
        BackendError: for a probability out of range.
    """
    check_status(core.module().draw_mask(BYTES[dtype] == 8, seed, probability, value, address, count))


def address_of(array: np.ndarray[Any, Any]) -> int:
    """The address of an array's first element."""
    return array.__array_interface__["data"][0]


@lru_cache(maxsize=256)
def cell_of(spec: CellSpec) -> _native.Cell:
    """The core's description of a cell."""
    rnn = spec.cell == "rnn"
    return core.module().Cell(
        rnn=rnn,
        input_gate=spec.input_gate and not rnn,
        forget_gate=spec.forget_gate and not rnn,
        output_gate=spec.output_gate and not rnn,
        coupled=spec.coupled,
        peepholes=spec.peepholes,
        full_gate_recurrence=spec.full_gate_recurrence,
        layer_norm=spec.layer_norm,
        projection=spec.proj_size > 0,
        truncated=spec.truncated,
        cells_per_block=spec.cells_per_block,
        input_activation=ACTIVATION_CODES[spec.input_activation],
        output_activation=ACTIVATION_CODES[spec.output_activation],
        zoneout_hidden=spec.zoneout_hidden,
        zoneout_cell=spec.zoneout_cell,
    )


def _run(one: Pass, threads: int) -> None:
    native, runner = core.module(), 0
    if threads > 1:
        threads = native.worthwhile_threads(*_sized_cell(one), one.backward, threads)
        runner = _lender() if threads > 1 else 0
    threads = threads if runner else 1
    workspace = _workspace_for(one, threads, 0)
    check_status(native.run(*_arguments(one), workspace.address, workspace.bytes, threads, runner))


def _sized_cell(one: Pass) -> tuple[_native.Cell, tuple[Any, ...]]:
    return cell_of(one.spec), (*one.sizes, one.spec.proj_size or one.sizes.H, one.reverse, one.compact)


def _arguments(one: Pass) -> tuple[Any, ...]:
    """What the core is told of a pass, the memory and the threads apart."""
    return (*_sized_cell(one), one.backward, BYTES[one.dtype] == 8, one.addresses)


class _Process:
    """Whether this process was forked off another: of that one's threads it has only the one that forked.

    OpenMP keeps counting upon the others and would wait for them for ever, whoever had started them, be it torch before
    the first pass. So a forked child works alone.
    """

    def __init__(self) -> None:
        self.forked = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self) -> None:
        self.forked = True


_process = _Process()


def _lender() -> int:
    """The address of what lends threads to a pass here and now; 0 for none."""
    return 0 if _process.forked else _runner()


@lru_cache(maxsize=1)
def _runner() -> int:
    """The address of what lends OpenMP's threads to a pass; 0 where there is no OpenMP."""
    try:
        from peephole import _openmp  # noqa: PLC0415 - only who asks for threads loads OpenMP
    except ImportError:
        return 0
    return _openmp.runner()


def _run_dense(
    activation: Activation, sizes: tuple[int, int, int], dtype: Dtype, addresses: dict[str, int], *, backward: bool
) -> None:
    native, code, masked, real_bytes = core.module(), ACTIVATION_CODES[activation], "mask" in addresses, BYTES[dtype]
    workspace = _workspace(native.dense_workspace_bytes(*sizes, code, masked, backward, real_bytes), sizes)
    status = native.run_dense(
        *sizes, code, masked, backward, real_bytes == 8, addresses, workspace.address, workspace.bytes
    )
    check_status(status)


class _Workspace:
    """Scratch memory, its address and its size."""

    def __init__(self, count: int) -> None:
        self.memory = np.empty(count, np.uint8)
        self.address, self.bytes = address_of(self.memory), count


class _Workspaces(threading.local):
    """The scratch memory of one Python thread, kept from pass to pass: to get it anew costs as much as a small pass."""

    def __init__(self) -> None:
        self.by_place: dict[int, _Workspace] = {}


_workspaces = _Workspaces()
_KEPTBYTES = 1 << 26
_MOSTBYTES = int(np.iinfo(np.intp).max)


def _workspace_for(one: Pass, threads: int, place: int) -> _Workspace:
    count = core.module().workspace_bytes(*_sized_cell(one), one.backward, BYTES[one.dtype], threads)
    return _workspace(count, one.sizes, place)


def _workspace(count: int, sizes: tuple[int, ...], place: int = 0) -> _Workspace:
    kept = _workspaces.by_place.get(place)
    if kept is not None and count <= kept.bytes:
        return kept
    if count > _MOSTBYTES:
        raise BackendError(f"kernels: the core refused the sizes {tuple(sizes)}; they do not suit the cell")
    workspace = _Workspace(count)
    if count <= _KEPTBYTES:
        _workspaces.by_place[place] = workspace
    return workspace


def check_status(status: int) -> None:
    """Turn what the core returned into an error.

    Raises:
        BackendError: for any status but 0.
    """
    if status:
        raise BackendError(f"kernels: the core refused the call: {core.module().status_text(status)}")
