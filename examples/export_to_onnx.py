"""A network with peepholes goes to ONNX Runtime and gives the same there; what ONNX cannot say is refused by name.

Run, with pip install "peephole[train,onnx]" onnxruntime: python examples/export_to_onnx.py --out classifier.onnx
"""

# pyright: basic
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch

from peephole import nn
from peephole.errors import ArgumentError
from peephole.spec import EmbeddingSpec, NetworkSpec, body_spec


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, run elsewhere, compare, read back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the file to write, usually *.onnx")
    path: Path = parser.parse_args(arguments).out

    torch.manual_seed(0)
    spec = NetworkSpec(
        input=EmbeddingSpec(num_embeddings=100, embedding_dim=16),
        body=body_spec("coupled_peephole", 16, hidden_size=24, num_layers=2, bidirectional=True),
        output_size=4,
        readout="mean",
    )
    network = nn.Network(spec)
    nn.export_onnx(network, path, lengths=True)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for batch, steps in ((1, 5), (8, 30)):  # batch and time are free in every call
        words, lengths = random.integers(100, size=(steps, batch)), random.integers(1, steps + 1, size=batch)
        there = cast("list[np.ndarray[Any, Any]]", session.run(None, {"input": words, "lengths": lengths}))[0]
        here = network(torch.as_tensor(words), lengths=lengths).detach().numpy()
        print(f"{batch} x {steps}: the same in ONNX Runtime: {np.allclose(here, there, atol=1e-5)}")

    print("read back:", nn.load_onnx(path)[0].layer)
    try:
        nn.export_onnx(nn.LSTM(16, 24, variant="layer_norm"), path)
    except ArgumentError as error:
        print("refused:", error)


if __name__ == "__main__":
    main()
