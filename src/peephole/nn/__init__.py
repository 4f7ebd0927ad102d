"""Torch modules over the compiled kernels: ``LSTM``, ``RNN``, ``MLP`` and whole networks."""

from peephole.nn.initialisation import initialise
from peephole.nn.lstm import LSTM, States
from peephole.nn.mlp import MLP
from peephole.nn.network import Network
from peephole.nn.rnn import RNN, HiddenStates
from peephole.nn.schemes import INITIALISATIONS, Initialisation

__all__ = [
    "INITIALISATIONS",
    "LSTM",
    "MLP",
    "RNN",
    "HiddenStates",
    "Initialisation",
    "Network",
    "States",
    "initialise",
]
