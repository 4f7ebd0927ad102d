"""Sequences of different lengths in one batch: by packing, as torch has it, and by lengths=.

Run: python examples/ragged_batches.py
"""

# pyright: basic
from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from peephole import nn
from peephole.spec import NetworkSpec, body_spec


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the two ways, then read the mean of each sequence's own steps."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    torch.manual_seed(0)
    lengths = [3, 9, 1, 6]
    x = torch.randn(9, 4, 5)  # [T, B, I]
    for row, length in enumerate(lengths):
        x[length:, row] = torch.nan  # whatever stands behind an end, nobody looks at it

    layer = nn.LSTM(5, 8, num_layers=2, bidirectional=True, variant="peephole")
    output, (h_n, _) = layer(x, lengths=lengths)
    print("output", tuple(output.shape), "last states", tuple(h_n.shape))

    packed, _ = layer(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False))
    unpacked, _ = pad_packed_sequence(packed)
    print("the same by packing:", torch.allclose(output, unpacked, atol=1e-6))

    alone, _ = layer(x[:3, 0])  # the first sequence by itself, [T, I]
    print("the same alone:", torch.allclose(output[:3, 0], alone, atol=1e-6))
    print("zero behind the ends:", all(not output[length:, row].any() for row, length in enumerate(lengths)))

    output.square().sum().backward()
    print("gradients are finite:", all(bool(p.grad.isfinite().all()) for p in layer.parameters() if p.grad is not None))

    network = nn.Network(NetworkSpec(body=body_spec("coupled", 5, hidden_size=8), output_size=2, readout="mean"))
    print("a network that reads the mean:", tuple(network(x, lengths=lengths).shape))


if __name__ == "__main__":
    main()
