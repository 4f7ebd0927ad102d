"""The mathematics in NumPy float64, written to be read beside the papers.

Everything else in Peephole is tested against what is here. Start with :mod:`~peephole.equations.lstm` (one step and
its mirror image) and :mod:`~peephole.equations.recurrence` (the one time loop and the one BPTT loop).
"""

from peephole.equations.composition import StackGradients, StackTape, stack_backward, stack_forward
from peephole.equations.perceptron import Layer, layer_backward, layer_forward, mlp_backward, mlp_forward, neuron
from peephole.equations.readout import readout_backward, readout_forward
from peephole.equations.recurrence import backward, forward
from peephole.equations.state import Gradients, Masks, State, Tape

__all__ = [
    "Gradients",
    "Layer",
    "Masks",
    "StackGradients",
    "StackTape",
    "State",
    "Tape",
    "backward",
    "forward",
    "layer_backward",
    "layer_forward",
    "mlp_backward",
    "mlp_forward",
    "neuron",
    "readout_backward",
    "readout_forward",
    "stack_backward",
    "stack_forward",
]
