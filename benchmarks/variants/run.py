"""Compare the variants on real tasks: one run for each task, network, learning rate and seed, kept as it ends.

``python -m benchmarks.variants.run --data FOLDER`` does what is not yet in the file of results. Each network's learning
rate is chosen on the first seed by its validation loss; the other seeds are then run at that rate.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.variants.networks import NETWORKS, Learner, build, weights_of
from benchmarks.variants.results import Comparison, Run, chosen_rate, read, write
from benchmarks.variants.tasks import TASKS, Data, Part, Task, floors_of, loss_of, metric_of
from peephole.bench.machine import describe_machine

SEEDS = (0, 1, 2)
CLIP = 1.0
"""The largest norm of a gradient."""
HERE = Path(__file__).parent


def train(task_name: str, network: str, data: Data, *, rate: float, seed: int, epochs: int | None = None) -> Run:
    """Train one network with Adam until its validation loss gets no better, and test its best weights.

    Args:
        task_name: a name out of ``TASKS``.
        network: a name out of ``NETWORKS``.
        data: the parts of the task.
        rate: of learning.
        seed: of the weights and of the order of the sequences.
        epochs: at most; as the task says if left out.
    """
    task = TASKS[task_name]
    torch.default_generator.manual_seed(seed)
    learner = build(network, task, data.train.x.shape[2])
    optimiser = torch.optim.Adam(learner.parameters(), lr=rate)
    best = {name: value.clone() for name, value in learner.state_dict().items()}
    best_loss, best_epoch, epoch, spent = float("inf"), 0, 0, 0.0
    while epoch < (epochs or task.epochs) and epoch - best_epoch < task.patience:
        epoch += 1
        begun = time.process_time()
        order = torch.randperm(len(data.train.lengths))
        for first in range(0, len(order), task.batch):
            _update(task, learner, optimiser, data.train.rows(order[first : first + task.batch]))
        spent += time.process_time() - begun
        loss = loss_of(task, predict(learner, data.valid), data.valid).item()
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best = {name: value.clone() for name, value in learner.state_dict().items()}
    learner.load_state_dict(best)
    return Run(
        task=task_name,
        network=network,
        rate=rate,
        seed=seed,
        weights=weights_of(learner),
        epochs=epoch,
        best_epoch=best_epoch,
        valid_loss=best_loss,
        valid=metric_of(task, predict(learner, data.valid), data.valid),
        test=metric_of(task, predict(learner, data.test), data.test),
        epoch_seconds=spent / epoch,
    )


def _update(task: Task, learner: Learner, optimiser: torch.optim.Optimizer, part: Part) -> None:
    optimiser.zero_grad()
    loss = loss_of(task, learner(part.x, part.lengths), part)
    cast("Any", loss).backward()
    torch.nn.utils.clip_grad_norm_(learner.parameters(), CLIP)
    optimiser.step()


@torch.no_grad()
def predict(learner: Learner, part: Part) -> Tensor:
    """The logits of a whole part, without what only training does."""
    learner.eval()
    logits = learner(part.x, part.lengths)
    learner.train()
    return logits


def compare(folder: Path, out: Path, tasks: Sequence[str], networks: Sequence[str], seeds: Sequence[int]) -> None:
    """Do every run that is not in the file ``out`` yet."""
    found = read(out) if out.exists() else Comparison(machine=describe_machine(), floors={}, runs=[])
    for task_name in tasks:
        data = TASKS[task_name].load(folder)
        if task_name not in found.floors:
            found.floors[task_name] = floors_of(TASKS[task_name], data)
        for network, seed in itertools.product(networks, seeds):
            first = seed == SEEDS[0]
            rates = TASKS[task_name].rates if first else (chosen_rate(found.runs, task_name, network, SEEDS[0]),)
            done = {run.rate for run in found.runs if (run.task, run.network, run.seed) == (task_name, network, seed)}
            for rate in rates:
                if rate in done:
                    continue
                run = train(task_name, network, data, rate=rate, seed=seed)
                found.runs.append(run)
                write(found, out)
                print(f"{task_name} {network} seed {seed} rate {rate}: {run.test:.4g}, {run.epochs} epochs", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("PEEPHOLE_DATA"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=HERE / "variants.json", help="file of results, gone on with")
    parser.add_argument("--task", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--variant", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--seed", nargs="+", type=int, default=list(SEEDS))
    given = parser.parse_args()
    if given.data is None:
        parser.error("--data must name the folder of the data sets (or set PEEPHOLE_DATA)")
    torch.set_num_threads(1)
    compare(given.data, given.out, given.task, given.variant, given.seed)


if __name__ == "__main__":
    main()
