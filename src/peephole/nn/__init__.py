"""Torch modules over the compiled kernels: ``LSTM``, ``RNN``, ``MLP`` and whole networks."""

from peephole.conversion.keras_weights import lengths_from_mask
from peephole.nn.keras_layers import from_keras, to_keras
from peephole.nn.layer_file import load_layer, save_layer
from peephole.nn.lstm import LSTM, States
from peephole.nn.mlp import MLP
from peephole.nn.network import Network
from peephole.nn.rnn import RNN, HiddenStates

__all__ = [
    "LSTM",
    "MLP",
    "RNN",
    "HiddenStates",
    "Network",
    "States",
    "from_keras",
    "lengths_from_mask",
    "load_layer",
    "save_layer",
    "to_keras",
]
