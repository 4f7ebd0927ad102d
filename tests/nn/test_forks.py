"""A child that a process with threads forks works, alone: of the threads it has only the one that forked.

OpenMP in such a child still counts upon the threads that its parent had, and would wait for them for ever; a test that
hangs is stopped and fails.
"""

from __future__ import annotations

import os
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tests.nn.cases import close
from tests.nn.large import SHAPES, input_of, pair
from tests.nn.process import run_alone

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python 3.12 warns of what is tested here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]

FORK = """
    import os, sys, warnings, torch
    from tests.nn.cases import close
    from tests.nn.large import input_of, outcome, pair
    warnings.simplefilter("ignore", DeprecationWarning)

    def in_child(work):
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    torch.set_num_threads(2)
    _, layer = pair(40)
    x = input_of("rows")
"""


def test_after_fork_the_child_gives_what_its_parent_gives() -> None:
    run_alone(f"""{FORK}
    expected = outcome(layer, x)
    def same():
        close(outcome(layer, x), expected, "nn_threads_float64")
    in_child(same)
    in_child(lambda: in_child(same))
    same()
    """)


def test_after_fork_the_child_works_where_torch_alone_had_threads() -> None:
    """The parent has not yet run a layer: what it loads with the first one is first loaded in the child."""
    run_alone(f"""{FORK}
    a = torch.randn(400, 400)
    a @ a
    torch.arange(1 << 20).double().exp_()
    assert "peephole._openmp" not in sys.modules
    in_child(lambda: outcome(layer, x))
    """)


class Outputs(Dataset[Tensor]):
    """Outputs of a layer for inputs out of a seed."""

    def __init__(self, shape: str) -> None:
        self.shape, self.layer = shape, pair(SHAPES[shape][0])[1]

    def __len__(self) -> int:
        return 6

    def __getitem__(self, at: int) -> Tensor:
        with torch.no_grad():
            return self.layer(input_of(self.shape, seed=at))[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_layer_runs_in_the_workers_of_a_data_loader(shape: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        data = Outputs(shape)
        expected = [data[at] for at in range(len(data))]
        arguments: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60}
        loader = DataLoader(data, batch_size=None, **arguments)
        close(list(cast(Any, loader)), expected, "nn_same_bits")
    finally:
        torch.set_num_threads(before)
