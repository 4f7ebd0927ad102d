"""Torch modules over the compiled kernels: ``LSTM``, ``RNN``, ``MLP``, whole networks and encoder-decoders."""

from peephole.nn.attention import AdditiveAttention
from peephole.nn.encoder_decoder import Decoding, EncoderDecoder
from peephole.nn.generation import Encoded, Generated
from peephole.nn.lstm import LSTM, States
from peephole.nn.mlp import MLP
from peephole.nn.network import Network
from peephole.nn.rnn import RNN, HiddenStates

__all__ = [
    "LSTM",
    "MLP",
    "RNN",
    "AdditiveAttention",
    "Decoding",
    "Encoded",
    "EncoderDecoder",
    "Generated",
    "HiddenStates",
    "Network",
    "States",
]
