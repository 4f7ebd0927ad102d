"""Cells and networks as data.

A variant of the LSTM is a frozen :class:`CellSpec`; the equations, the compiled kernels, the torch modules, the
runtime and the artifact all read the same one. :data:`VARIANTS` names the well-known ones. A whole network is a
frozen :class:`NetworkSpec`, or an :class:`EncoderDecoderSpec`. Nothing here computes anything; sizes of arrays follow
in :mod:`peephole.weights`.
"""

from peephole.spec.bodies import KINDS, body_spec
from peephole.spec.cell import ACTIVATIONS, Activation, CellSpec
from peephole.spec.dictionary import network_from_dict, stack_from_dict, to_dict
from peephole.spec.encoder_decoder import EncoderDecoderSpec, state_sizes, whole_state_size
from peephole.spec.networks import (
    READOUTS,
    EmbeddingSpec,
    LinearSpec,
    MLPSpec,
    NetworkSpec,
    Readout,
    RecurrentSpec,
    check_hidden_size,
)
from peephole.spec.variants import VARIANTS, Variant, variant

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "READOUTS",
    "VARIANTS",
    "Activation",
    "CellSpec",
    "EmbeddingSpec",
    "EncoderDecoderSpec",
    "LinearSpec",
    "MLPSpec",
    "NetworkSpec",
    "Readout",
    "RecurrentSpec",
    "Variant",
    "body_spec",
    "check_hidden_size",
    "network_from_dict",
    "stack_from_dict",
    "state_sizes",
    "to_dict",
    "variant",
    "whole_state_size",
]
