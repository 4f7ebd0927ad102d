"""Everyone who is measured beside us computes what we compute: the output and every gradient."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from peephole.bench import Case, Shape, cases
from peephole.bench.grid import Peer
from peephole.bench.peers import make_entrant
from peephole.bench.problem import Entrant, make_problem, our_layer, our_unpadded
from peephole.errors import MissingDependencyError
from tests.tolerances import TOLERANCES

ANOTHER_FUNCTION = ("plain_cell", "unpadded")
SHAPES = [Shape(8, 3, 5), Shape(8, 1, 4)]
STEPS = 3


class Pair(NamedTuple):
    case: Case
    peer: Peer


PAIRS = {
    f"{case.regime}-{case.work}-{case.variant}-{case.cells_per_block}-B{case.shape.batch}-{peer}": Pair(case, peer)
    for case in cases(shapes=SHAPES)
    for peer in case.peers
    if peer not in ANOTHER_FUNCTION
}


def tolerance(case: Case) -> float:
    return TOLERANCES[f"bench_{'layer_norm_' if case.variant == 'layer_norm' else ''}{case.dtype}"]


def assert_close(got: Tensor, wanted: Tensor, limit: float, what: str) -> None:
    assert got.shape == wanted.shape, what
    assert torch.isfinite(got).all(), what
    error = float((got - wanted).abs().max() / wanted.abs().max())
    assert error <= limit, f"{what}: {error:.1e}"


def passed(entrant: Entrant) -> Tensor:
    """One pass with the random masks of one seed."""
    torch.default_generator.manual_seed(7)
    return entrant.output()


@pytest.mark.parametrize("name", PAIRS)
def test_everyone_computes_the_same(name: str) -> None:
    case, peer = PAIRS[name]
    problem = make_problem(case)
    ours, theirs = our_layer(problem), make_entrant(peer, problem, threads=1)
    for step in range(STEPS if case.work == "step" else 1):
        wanted, got = passed(ours), passed(theirs)
        if problem.lengths is not None:
            got = got * (torch.arange(len(got))[:, None] < problem.lengths)[..., None]
        assert_close(got, wanted, tolerance(case), f"output {step}")


@pytest.mark.parametrize("name", [name for name, pair in PAIRS.items() if pair.case.trains])
def test_everyone_gives_the_same_gradients(name: str) -> None:
    case, peer = PAIRS[name]
    problem = make_problem(case)
    ours, theirs = our_layer(problem), make_entrant(peer, problem, threads=1)
    passed(ours)
    wanted = ours.gradients()
    passed(theirs)
    passed(theirs)  # a gradient is begun anew, not added to
    got = theirs.gradients()
    assert got.keys() == wanted.keys()
    assert ("x" in wanted) == (case.work == "training")
    for parameter, gradient in wanted.items():
        assert_close(got[parameter], gradient, tolerance(case), parameter)


def test_inference_leaves_no_graph() -> None:
    for case in cases(regimes=["inference", "variants"], shapes=SHAPES[:1]):
        if case.work == "inference":
            problem = make_problem(case)
            for entrant in (our_layer(problem), *(make_entrant(peer, problem, threads=1) for peer in case.peers)):
                assert not entrant.output().requires_grad


def test_unpadded_has_as_many_useful_steps() -> None:
    (case,) = cases(regimes=["ragged"], shapes=[Shape(8, 7, 40)])
    problem = make_problem(case)
    assert problem.lengths is not None
    assert 1 <= int(problem.lengths.min()) < int(problem.lengths.max()) <= 40
    dense = our_unpadded(problem).output()
    assert dense.shape[0] * dense.shape[1] == int(problem.lengths.sum()) == problem.rows


@pytest.mark.parametrize(
    ("peer", "package"), [("onnxruntime", "onnxruntime"), ("onnxruntime", "onnx"), ("keras", "keras")]
)
def test_a_peer_that_is_not_installed_says_so(peer: Peer, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (case,) = cases(regimes=["inference"], peers=[peer], shapes=SHAPES[:1])
    with pytest.raises(MissingDependencyError, match=f"{package} is not installed; pip install {package}"):
        make_entrant(peer, make_problem(case), threads=1)
