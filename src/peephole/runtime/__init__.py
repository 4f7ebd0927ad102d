"""Load a saved model, predict, and step it value by value, with NumPy and safetensors alone."""

from peephole.runtime.forecast import ForecastModel, ForecastStream
from peephole.runtime.model import Model
from peephole.runtime.open import load
from peephole.runtime.sequence_model import Generated, SequenceModel
from peephole.runtime.stream import Stream

__all__ = ["ForecastModel", "ForecastStream", "Generated", "Model", "SequenceModel", "Stream", "load"]
