"""Torch modules over the compiled kernels: ``LSTM``, ``RNN``, their cells, ``MLP``, networks and encoder-decoders."""

from peephole.conversion.keras_weights import lengths_from_mask
from peephole.nn.attention import AdditiveAttention
from peephole.nn.cells import LSTMCell, RNNCell
from peephole.nn.convert import ConversionWarning, convert
from peephole.nn.encoder_decoder import EncoderDecoder
from peephole.nn.generation import Decoding, Encoded, Generated
from peephole.nn.initialisation import initialise
from peephole.nn.keras_layers import from_keras, to_keras
from peephole.nn.layer_file import load_layer, save_layer
from peephole.nn.lstm import LSTM, States
from peephole.nn.mlp import MLP
from peephole.nn.network import Network
from peephole.nn.onnx_files import LoadedLayer, export_onnx, load_onnx
from peephole.nn.onnx_translation import onnx_translations
from peephole.nn.rnn import RNN, HiddenStates
from peephole.nn.schemes import INITIALISATIONS, Initialisation

__all__ = [
    "INITIALISATIONS",
    "LSTM",
    "MLP",
    "RNN",
    "AdditiveAttention",
    "ConversionWarning",
    "Decoding",
    "Encoded",
    "EncoderDecoder",
    "Generated",
    "HiddenStates",
    "Initialisation",
    "LSTMCell",
    "LoadedLayer",
    "Network",
    "RNNCell",
    "States",
    "convert",
    "export_onnx",
    "from_keras",
    "initialise",
    "lengths_from_mask",
    "load_layer",
    "load_onnx",
    "onnx_translations",
    "save_layer",
    "to_keras",
]
