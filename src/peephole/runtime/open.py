"""From a folder to a model of the right kind."""

from __future__ import annotations

import os

from peephole import artifact
from peephole.runtime.forecast import ForecastModel
from peephole.runtime.model import Model


def load(path: str | os.PathLike[str]) -> Model | ForecastModel:
    """Load a saved model; neither torch nor any other extra is needed.

    Args:
        path: the folder that :func:`peephole.artifact.save`, or ``save`` of an estimator, made.

    Returns:
        A :class:`ForecastModel` where the model was saved as a forecaster, else the network as a :class:`Model`.

    Raises:
        ArtifactError: where there is no model, or one that was altered or is newer than this version.
    """
    saved = artifact.load(path)
    model = Model(saved)
    if saved.task is not None and saved.task.get("kind") == "forecast":
        return ForecastModel(model)
    return model
