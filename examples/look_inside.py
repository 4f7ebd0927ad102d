"""A network learns to remember the last marked value; then its gates are drawn, and it is saved.

Run: python examples/look_inside.py --out inside
Then: python examples/step_without_torch.py inside/model
"""

# pyright: basic
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from peephole import artifact, inspection, nn
from peephole.spec import NetworkSpec, body_spec

STEPS, UPDATES = 30, 400


def batch(count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Values and marks ``[T, B, 2]``; wanted is the value that was marked last ``[T, B, 1]``."""
    values = 2 * torch.rand((STEPS, count), generator=random) - 1
    marks = (torch.rand((STEPS, count), generator=random) < 0.15).float()
    marks[0] = 1.0
    place = torch.where(marks > 0, torch.arange(STEPS).unsqueeze(1), 0).cummax(0).values
    return torch.stack([values, marks], -1), values.gather(0, place).unsqueeze(-1)


def train(network: nn.Network) -> float:
    """The loss of the last update."""
    random, loss = torch.Generator().manual_seed(1), torch.tensor(float("nan"))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(UPDATES):
        x, wanted = batch(64, random)
        loss = torch.nn.functional.mse_loss(network(x), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, look and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gates.png and the saved model")
    out: Path = parser.parse_args(arguments).out

    torch.manual_seed(0)
    spec = NetworkSpec(body=body_spec("lstm", 2, hidden_size=8), output_size=1, readout="every")
    network = nn.Network(spec)
    assert isinstance(network.body, nn.LSTM)
    print(f"squared error: {train(network):.4f} (0.33 is a guess)")

    x, wanted = batch(1, torch.Generator().manual_seed(5))
    with torch.no_grad():
        _, _, states = network.body(x, return_states=True)
    marked = x[:, 0, 1] > 0
    keeps = states.f[0, :, 0]  # [T, N]: the one layer, all steps, the one sequence
    longest = keeps[:, keeps[~marked].mean(0).argmax()]
    print(f"the unit that keeps most: f = {longest[~marked].mean():.2f}, and {longest[marked].mean():.2f} at a mark")

    traces = {letter: part[0, :, 0].numpy() for letter, part in states._asdict().items()}
    figure = inspection.gates(traces, wanted[:, 0, 0].numpy(), value_label="to remember")
    print("drawn:", inspection.save(figure, out / "gates.png"))
    artifact.save(out / "model", spec, network.to_arrays(), overwrite=True)
    print("saved:", out / "model")


if __name__ == "__main__":
    main()
