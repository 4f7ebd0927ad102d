"""Torch modules over the compiled kernels: ``LSTM``, ``RNN``, their cells, ``MLP`` and whole networks."""

from peephole.nn.cells import LSTMCell, RNNCell
from peephole.nn.convert import ConversionWarning, convert
from peephole.nn.lstm import LSTM, States
from peephole.nn.mlp import MLP
from peephole.nn.network import Network
from peephole.nn.rnn import RNN, HiddenStates

__all__ = [
    "LSTM",
    "MLP",
    "RNN",
    "ConversionWarning",
    "HiddenStates",
    "LSTMCell",
    "Network",
    "RNNCell",
    "States",
    "convert",
]
