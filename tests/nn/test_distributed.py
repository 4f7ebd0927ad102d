"""Data-parallel training over several processes gives the gradients of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.nn.process import run_alone
from tests.tolerances import TOLERANCES

TRAIN = """
    import sys
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as mp
    from torch.nn.parallel import DistributedDataParallel
    from peephole import nn

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LSTM(4, 6, 2, bidirectional=True, variant="peephole", dtype=torch.float64)
            self.cell = nn.RNNCell(12, 3, dtype=torch.float64)

        def forward(self, x):
            h = None
            for one in self.layer(x)[0]:
                h = self.cell(one, h)
            return h

    def work(rank, size, folder):
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{size}", rank=rank, world_size=size)
        torch.manual_seed(0)
        model = Model()
        torch.manual_seed(1)
        x = torch.randn(5, 4, 4, dtype=torch.float64)
        parallel = DistributedDataParallel(model)
        optimiser = torch.optim.SGD(parallel.parameters(), lr=0.5)
        for _ in range(2):
            optimiser.zero_grad()
            parallel(x.chunk(size, 1)[rank]).square().mean().backward()
            gradients = [q.grad.clone() for q in model.parameters()]
            optimiser.step()
        if rank == 0:
            torch.save([*gradients, *(q.detach() for q in model.parameters())], f"{folder}/found-{size}.pt")
        dist.destroy_process_group()

    if __name__ == "__main__":
        for size in (1, 2):  # forked, so that torch is loaded once
            mp.start_processes(work, args=(size, sys.argv[1]), nprocs=size, start_method="fork")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs a torch with torch.distributed")
def test_gradients_and_weights_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    run_alone(TRAIN, str(tmp_path))
    one, two = (torch.load(tmp_path / f"found-{size}.pt", weights_only=True) for size in (1, 2))
    allowed = TOLERANCES["nn_order_of_sums"]
    torch.testing.assert_close(two, one, rtol=allowed, atol=allowed)
