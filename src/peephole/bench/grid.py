"""What is measured, as data: regimes, shapes, peers, and the marks to reach.

A ratio is a peer's time over ours: above 1 ours is the faster. A mark is the ratio to reach, the same on one thread
and on two; a limit such as "at most 1.15 times its time" is the mark ``1 / 1.15``. The input has as many features as
there are units, ``I = H``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from peephole.bench.flops import backward_flops, forward_flops
from peephole.errors import ArgumentError
from peephole.spec import CellSpec, check_hidden_size, variant

Regime = Literal["step", "inference", "training", "ragged", "projection", "float64", "variants"]
Work = Literal["step", "inference", "training", "training_no_dx"]
Peer = Literal["torch", "packed", "padded", "onnxruntime", "keras", "loop", "plain_cell", "unpadded"]

REGIMES: Mapping[Regime, str] = MappingProxyType(
    {
        "step": "one step of a stream with a linear head, the state carried",
        "inference": "the forward pass without a graph",
        "training": "forward and backward, gradients of the weights and of the input",
        "ragged": "training on sequences of 1 to 500 steps",
        "projection": "a projected cell",
        "float64": "double precision",
        "variants": "cells that torch does not have",
    }
)
"""Every regime and what it is."""

PEERS: Mapping[Peer, str] = MappingProxyType(
    {
        "torch": "torch.nn.LSTM",
        "packed": "torch.nn.LSTM, packed",
        "padded": "torch.nn.LSTM, padded",
        "onnxruntime": "ONNX Runtime",
        "keras": "Keras on torch",
        "loop": "a loop of torch ops",
        "plain_cell": "our own plain cell",
        "unpadded": "our own, unpadded",
    }
)
"""Everyone we are measured beside, and how a reader calls them."""

HIDDEN_SIZES = (16, 32, 64, 128, 256, 512, 1024)
BATCH_SIZES = (1, 8, 16, 32, 64, 256)
LONG = ((16, 1, 1000), (32, 1, 1000), (64, 1, 1000), (64, 8, 1000), (128, 64, 784))
MOST_STEPS = 500
"""The longest sequence of the ragged regime; the shortest has one step."""

_AFFORDABLE = 41e9
_SHORTEST = 5
_KERAS = ((64, 32), (256, 32))
_NO_DX = ((64, 1), (64, 32), (128, 32), (256, 32), (512, 64), (1024, 16))
_SLOW_PATHS = ((32, 8, 100), (64, 32, 50), (256, 32, 50))
_RAGGED = ((64, 32), (128, 32))
_VARIANTS = ((32, 8, 100), (64, 32, 50), (256, 32, 50))
_ON_ONNX = ("peephole", "coupled")
_CELLS = 4


class Shape(NamedTuple):
    """``H`` (which is ``I`` too), ``B``, ``T``."""

    hidden: int
    batch: int
    steps: int


class Mark(NamedTuple):
    """The ratio to reach for some shapes of the grid.

    Attributes:
        work: what is done.
        hidden: the smallest and the largest ``H`` it holds for.
        batch: the smallest and the largest ``B``.
        steps: ``T``, or None for any.
        ratios: by peer.
    """

    work: Work
    hidden: tuple[int, int]
    batch: tuple[int, int]
    steps: int | None
    ratios: Mapping[Peer, float]


MARKS: tuple[Mark, ...] = (
    Mark("step", (16, 16), (1, 1), 1, {"torch": 50.0, "onnxruntime": 8.0}),
    Mark("step", (64, 64), (1, 1), 1, {"torch": 30.0, "onnxruntime": 5.0}),
    Mark("step", (256, 256), (1, 1), 1, {"torch": 25.0, "onnxruntime": 1.3}),
    Mark("inference", (64, 64), (1, 1), 100, {"torch": 5.0}),
    Mark("inference", (16, 16), (32, 32), None, {"torch": 3.0}),
    Mark("inference", (64, 64), (32, 32), None, {"torch": 2.2}),
    Mark("inference", (128, 128), (32, 32), None, {"torch": 1.7}),
    Mark("inference", (256, 256), (32, 32), None, {"torch": 1.3}),
    Mark("inference", (512, 512), (64, 64), None, {"torch": 1.15}),
    Mark("training", (32, 64), (1, 1), 100, {"torch": 4.0}),
    Mark("training", (256, 256), (1, 1), None, {"torch": 2.5}),
    Mark("training", (64, 64), (8, 256), None, {"torch": 2.0}),
    Mark("training", (128, 128), (32, 256), None, {"torch": 2.4}),
    Mark("training", (256, 256), (16, 64), None, {"torch": 1.6}),
    Mark("training", (512, 512), (64, 64), None, {"torch": 1.4}),
    Mark("training", (1024, 1024), (16, 16), None, {"torch": 1.7}),
)
"""The marks of single shapes."""

GEOMETRIC_MEANS: Mapping[Work, float] = MappingProxyType({"training": 2.5, "inference": 1.8})
"""The mark for the geometric mean over a whole grid, against torch."""
SMALLEST: Mapping[Work, float] = MappingProxyType({"training": 1.15, "inference": 1.05})
"""The mark for the smallest ratio of a whole grid, against torch."""

_SHARE, _SHARE_HIDDEN, _SHARE_BATCH = 0.75, 256, 32
_RAGGED_MARKS: Mapping[Peer, float] = {"packed": 15.0, "unpadded": 1 / 1.15}
_SLOW_PATH_MARK = 5.0
_PLAIN_CELL, _PLAIN_CELL_LAYER_NORM = 1 / 1.15, 1 / 1.5
_LOOP, _LOOP_LARGE = 25.0, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of work and everyone who does it.

    Attributes:
        regime: where it belongs.
        work: ``"training"`` is forward and backward, ``"training_no_dx"`` the same without the gradient of the input.
        shape: ``H, B, T``; ``T`` is the longest sequence of a ragged batch.
        variant: a name of :data:`peephole.spec.VARIANTS`.
        cells_per_block: ``C``.
        proj_size: ``P``, 0 without projection.
        dtype: of everything.
        ragged: whether the sequences have lengths of their own.
        peers: who is measured beside us.
        marks: the ratio to reach, by peer.
        share_mark: the share of the peak to reach, or None.
    """

    regime: Regime
    work: Work
    shape: Shape
    variant: str = "lstm"
    cells_per_block: int = 1
    proj_size: int = 0
    dtype: Literal["float32", "float64"] = "float32"
    ragged: bool = False
    peers: tuple[Peer, ...]
    marks: Mapping[Peer, float] = field(default_factory=dict[Peer, float])
    share_mark: float | None = None

    @property
    def cell(self) -> CellSpec:
        """The cell."""
        return variant(self.variant).replace(cells_per_block=self.cells_per_block, proj_size=self.proj_size)

    @property
    def trains(self) -> bool:
        """Whether there is a backward pass."""
        return self.work in ("training", "training_no_dx")

    def flops(self, rows: int) -> int:
        """Useful floating-point operations of one pass over ``rows`` steps of all sequences together."""
        sizes = {"input_size": self.shape.hidden, "hidden_size": self.shape.hidden, "rows": rows}
        count = forward_flops(self.cell, **sizes)
        if self.trains:
            count += backward_flops(self.cell, **sizes, input_gradient=self.work == "training")
        return count


def cases(
    *,
    regimes: Iterable[Regime] = tuple(REGIMES),
    peers: Iterable[Peer] = tuple(PEERS),
    quick: bool = False,
    shapes: Sequence[Shape] | None = None,
) -> list[Case]:
    """The lines to measure, regime by regime.

    Args:
        regimes: which.
        peers: beside whom; a line that is left with nobody is left out.
        quick: only the lines that have a mark for a peer.
        shapes: these in the place of each regime's own.

    Raises:
        ArgumentError: for an unknown regime or peer, or a shape below 1.
    """
    chosen, beside = tuple(dict.fromkeys(regimes)), set(peers)
    _check_names("regimes", chosen, get_args(Regime))
    _check_names("peers", beside, get_args(Peer))
    for shape in shapes or ():
        if min(shape) < 1:
            raise ArgumentError(f"bench: every size of a shape must be at least 1 (got {','.join(map(str, shape))})")
    found: list[Case] = []
    for regime in chosen:
        for case in _CASES[regime](shapes):
            left = tuple(peer for peer in case.peers if peer in beside)
            marks = {peer: ratio for peer, ratio in case.marks.items() if peer in left}
            if left and (marks or not quick):
                check_hidden_size("bench", case.cell, case.shape.hidden)
                found.append(replace(case, peers=left, marks=marks))
    return found


def affordable_steps(hidden: int, batch: int) -> int:
    """``T`` of the grid: 100 for a single sequence, else 50, and fewer where a pass would take too long."""
    most = 100 if batch == 1 else 50
    rows = forward_flops(CellSpec(), input_size=hidden, hidden_size=hidden, rows=batch)
    return max(_SHORTEST, min(most, int(_AFFORDABLE / (3 * rows))))


def marks_of(work: Work, shape: Shape) -> dict[Peer, float]:
    """The marks of :data:`MARKS` that a shape of the grid has."""
    found: dict[Peer, float] = {}
    for mark in MARKS:
        fits = mark.hidden[0] <= shape.hidden <= mark.hidden[1] and mark.batch[0] <= shape.batch <= mark.batch[1]
        if mark.work == work and fits and mark.steps in (None, shape.steps):
            found.update(mark.ratios)
    return found


def _grid() -> list[Shape]:
    grid = [Shape(H, B, affordable_steps(H, B)) for H in HIDDEN_SIZES for B in BATCH_SIZES]
    return [*grid, *(Shape(*long) for long in LONG)]


def _step(shapes: Sequence[Shape] | None) -> list[Case]:
    own = [Shape(H, B, 1) for B in (1, 32) for H in HIDDEN_SIZES]
    return [
        Case(regime="step", work="step", shape=shape, peers=("torch", "onnxruntime"), marks=marks_of("step", shape))
        for shape in ([shape._replace(steps=1) for shape in shapes] if shapes else own)
    ]


# Who makes thousands of small tensors in a call (Keras, the loops) leaves the heap in pieces to whoever comes next; so
# it has lines of its own, where no close ratio is measured.
def _inference(shapes: Sequence[Shape] | None) -> list[Case]:
    found: list[Case] = []
    for shape in shapes or _grid():
        marks = marks_of("inference", shape)
        found.append(
            Case(regime="inference", work="inference", shape=shape, peers=("torch", "onnxruntime"), marks=marks)
        )
        if shapes or shape[:2] in _KERAS:
            found.append(Case(regime="inference", work="inference", shape=shape, peers=("keras",)))
    return found


def _training(shapes: Sequence[Shape] | None) -> list[Case]:
    found: list[Case] = []
    for shape in shapes or _grid():
        full = shape.hidden >= _SHARE_HIDDEN and shape.batch >= _SHARE_BATCH
        marks, share = marks_of("training", shape), _SHARE if full else None
        found.append(
            Case(regime="training", work="training", shape=shape, peers=("torch",), marks=marks, share_mark=share)
        )
        if shapes or shape[:2] in _KERAS:
            found.append(Case(regime="training", work="training", shape=shape, peers=("keras",)))
    for shape in shapes or [Shape(H, B, affordable_steps(H, B)) for H, B in _NO_DX]:
        found.append(Case(regime="training", work="training_no_dx", shape=shape, peers=("torch",)))
    return found


def _ragged(shapes: Sequence[Shape] | None) -> list[Case]:
    peers: tuple[Peer, ...] = ("packed", "padded", "unpadded")
    return [
        Case(regime="ragged", work="training", shape=shape, ragged=True, peers=peers, marks=_RAGGED_MARKS)
        for shape in shapes or [Shape(H, B, MOST_STEPS) for H, B in _RAGGED]
    ]


def _projection(shapes: Sequence[Shape] | None) -> list[Case]:
    return [
        Case(
            regime="projection",
            work=work,
            shape=shape,
            proj_size=max(1, shape.hidden // 2),
            peers=("torch",),
            marks={"torch": _SLOW_PATH_MARK},
        )
        for work in _BOTH
        for shape in shapes or [Shape(*path) for path in _SLOW_PATHS]
    ]


def _float64(shapes: Sequence[Shape] | None) -> list[Case]:
    marks: dict[Peer, float] = {"torch": _SLOW_PATH_MARK}
    return [
        Case(regime="float64", work=work, shape=shape, dtype="float64", peers=("torch",), marks=marks)
        for work in _BOTH
        for shape in shapes or [Shape(*path) for path in _SLOW_PATHS]
    ]


def _variants(shapes: Sequence[Shape] | None) -> list[Case]:
    own = shapes or [Shape(*variant) for variant in _VARIANTS]
    found: list[Case] = []
    for work in _BOTH:
        for name in ("peephole", "coupled", "lstm", "variational_dropout", "zoneout", "layer_norm"):
            for shape in own:
                case = Case(
                    regime="variants",
                    work=work,
                    shape=shape,
                    variant=name,
                    cells_per_block=_CELLS if name == "lstm" else 1,
                    peers=("plain_cell",),
                    marks={"plain_cell": _PLAIN_CELL_LAYER_NORM if name == "layer_norm" else _PLAIN_CELL},
                )
                by_hand: tuple[Peer, ...] = ("loop",)
                by_hand += ("onnxruntime",) if work == "inference" and name in _ON_ONNX else ()
                found += [case, replace(case, peers=by_hand, marks=_loop_marks(shape))]
    for shape in own:  # beside full backpropagation through time
        found.append(Case(regime="variants", work="training", shape=shape, variant="truncated", peers=("plain_cell",)))
    return found


def _loop_marks(shape: Shape) -> dict[Peer, float]:
    if shape.hidden <= 64:
        return {"loop": _LOOP}
    return {"loop": _LOOP_LARGE} if shape.hidden == 256 else {}


_BOTH: tuple[Work, ...] = ("training", "inference")
_CASES = {
    "step": _step,
    "inference": _inference,
    "training": _training,
    "ragged": _ragged,
    "projection": _projection,
    "float64": _float64,
    "variants": _variants,
}


def _check_names(parameter: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ArgumentError(f"bench: {parameter} must be of {', '.join(known)} (got {name!r})")
