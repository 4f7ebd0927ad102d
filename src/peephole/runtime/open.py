"""From a folder to a model of the right kind."""

from __future__ import annotations

import os

from peephole import artifact
from peephole.runtime.forecast import ForecastModel
from peephole.runtime.model import Model
from peephole.runtime.sequence_model import SequenceModel
from peephole.spec import EncoderDecoderSpec


def load(path: str | os.PathLike[str]) -> Model | ForecastModel | SequenceModel:
    """Load a saved model; neither torch nor any other extra is needed.

    Args:
        path: the folder that :func:`peephole.artifact.save`, or ``save`` of an estimator, made.

    Returns:
        A :class:`ForecastModel` where the model was saved as a forecaster, a :class:`SequenceModel` of an
        encoder-decoder, else the network as a :class:`Model`.

    Raises:
        ArtifactError: where there is no model, or one that was altered or is newer than this version.

    Example:
        >>> import numpy as np
        >>> from peephole import artifact, runtime, spec, weights
        >>> network = spec.NetworkSpec(body=spec.body_spec("peephole", 2), output_size=3)
        >>> zeros = {name: np.zeros(shape) for name, shape in weights.network_shapes(network).items()}
        >>> artifact.save("model", network, zeros)
        >>> type(runtime.load("model")).__name__
        'Model'
    """
    saved = artifact.load(path)
    if isinstance(saved.network, EncoderDecoderSpec):
        return SequenceModel(saved)
    model = Model(saved)
    if saved.task is not None and saved.task.get("kind") == "forecast":
        return ForecastModel(model)
    return model
