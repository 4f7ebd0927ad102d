"""What is measured: counts of operations by hand, shapes, marks, choices."""

from __future__ import annotations

import pytest

from peephole.bench import PEERS, REGIMES, Shape, cases
from peephole.bench.flops import backward_flops, forward_flops
from peephole.bench.grid import BATCH_SIZES, HIDDEN_SIZES, affordable_steps, marks_of
from peephole.errors import ArgumentError
from peephole.spec import CellSpec

# one multiplication and one addition for each weight and row: H 3, I 2, 5 rows
BY_HAND = {
    "plain": (CellSpec(), 2 * 5 * (12 * 2 + 12 * 3)),
    "coupled": (CellSpec(coupled=True), 2 * 5 * (9 * 2 + 9 * 3)),
    "three cells a block": (CellSpec(cells_per_block=3), 2 * 5 * (6 * 2 + 6 * 3)),
    "projected to 1": (CellSpec(proj_size=1), 2 * 5 * (12 * 2 + 12 * 1 + 1 * 3)),
    "rnn": (CellSpec(cell="rnn"), 2 * 5 * (3 * 2 + 3 * 3)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_operations_are_those_counted_by_hand(name: str) -> None:
    cell, forward = BY_HAND[name]
    sizes = {"input_size": 2, "hidden_size": 3, "rows": 5}
    assert forward_flops(cell, **sizes) == forward
    assert backward_flops(cell, **sizes, input_gradient=True) == 2 * forward


def test_the_gradient_of_the_input_is_one_product() -> None:
    sizes = {"input_size": 2, "hidden_size": 3, "rows": 5}
    with_dx = backward_flops(CellSpec(), **sizes, input_gradient=True)
    assert with_dx - backward_flops(CellSpec(), **sizes, input_gradient=False) == 2 * 5 * 12 * 2


def test_work_is_counted_as_it_is_done() -> None:
    (forward,) = cases(regimes=["inference"], peers=["torch"], shapes=[Shape(3, 1, 5)])
    with_dx, without = cases(regimes=["training"], peers=["torch"], shapes=[Shape(3, 1, 5)])
    one = 2 * 5 * 12 * 6
    assert [case.flops(5) for case in (forward, with_dx, without)] == [one, 3 * one, 3 * one - 2 * 5 * 12 * 3]


def test_the_grid_has_every_size_and_every_mark_has_its_shape() -> None:
    lines = cases()
    assert {line.regime for line in lines} == set(REGIMES)
    assert {peer for line in lines for peer in line.peers} == set(PEERS)
    for work in ("inference", "training"):
        shapes = [line.shape for line in lines if line.regime == line.work == work and "torch" in line.peers]
        assert len(shapes) == len(set(shapes))
        assert {shape.hidden for shape in shapes} == set(HIDDEN_SIZES)
        assert {shape.batch for shape in shapes} == set(BATCH_SIZES)
        assert {1000, 784, 100, 50} <= {shape.steps for shape in shapes}
    assert {line.shape.steps for line in lines if line.regime == "step"} == {1}


MARKED = {  # a few of docs/performance.md, by hand
    ("step", Shape(256, 1, 1)): {"torch": 25.0, "onnxruntime": 1.3},
    ("inference", Shape(64, 1, 100)): {"torch": 5.0},
    ("inference", Shape(512, 64, 50)): {"torch": 1.15},
    ("training", Shape(32, 1, 100)): {"torch": 4.0},
    ("training", Shape(128, 64, 784)): {"torch": 2.4},
    ("training", Shape(256, 16, 50)): {"torch": 1.6},
    ("training", Shape(1024, 16, 50)): {"torch": 1.7},
    ("training", Shape(16, 1, 100)): {},
}


def test_marks_stand_at_their_shapes() -> None:
    lines = cases(regimes=["step", "inference", "training"], peers=["torch", "onnxruntime"])
    by_shape = {(line.work, line.shape): line for line in lines}
    for key, marks in MARKED.items():
        assert by_shape[key].marks == marks, key
    assert marks_of("training", Shape(64, 1, 1000)) == {}
    large = by_shape["training", Shape(256, 32, 50)]
    assert (large.share_mark, by_shape["training", Shape(128, 32, 50)].share_mark) == (0.75, None)
    for line in cases(regimes=["variants"], peers=["plain_cell"]):
        limit = 1 / (1.5 if line.variant == "layer_norm" else 1.15)
        assert line.marks == ({} if line.variant == "truncated" else {"plain_cell": limit})


def test_large_shapes_have_few_steps() -> None:
    assert affordable_steps(64, 1) == 100
    assert affordable_steps(1024, 16) == 50
    assert 5 <= affordable_steps(1024, 256) < 10


def test_quick_is_what_has_a_mark() -> None:
    quick = cases(quick=True)
    assert all(line.marks for line in quick)
    assert {line.regime for line in quick} == set(REGIMES)
    assert len(quick) < 2 / 3 * len(cases())


def test_who_leaves_the_heap_in_pieces_has_lines_of_its_own() -> None:
    for line in cases():
        assert not {"keras", "loop"} & set(line.peers) or not {"torch", "plain_cell"} & set(line.peers)


def test_a_line_without_its_peers_is_left_out() -> None:
    assert {line.regime for line in cases(peers=["loop"])} == {"variants"}
    assert cases(peers=["loop"], regimes=["training"]) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"regimes": ["nonsense"]}, "regimes must be of step, inference"),
        ({"peers": ["nonsense"]}, "peers must be of torch, packed"),
        ({"shapes": [Shape(4, 0, 1)]}, "at least 1 (got 4,0,1)"),
        ({"regimes": ["variants"], "shapes": [Shape(6, 1, 1)]}, "multiple of cells_per_block"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, list[str]], told: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        cases(**wrong)  # pyright: ignore[reportArgumentType] - on purpose
    assert told in str(caught.value)
