"""The training loop: batches and the loss are arguments; stopping, checkpoints and resuming are its work."""

from peephole.training.batches import ArrayBatches, Batch, Batches
from peephole.training.checkpoint import read_checkpoint, write_checkpoint
from peephole.training.guard import DivergedError
from peephole.training.interrupt import Interrupted
from peephole.training.loop import TrainingResult, train
from peephole.training.losses import Objective, squared_error
from peephole.training.progress import Epoch, Progress, ProgressCallback
from peephole.training.settings import TrainingSettings

__all__ = [
    "ArrayBatches",
    "Batch",
    "Batches",
    "DivergedError",
    "Epoch",
    "Interrupted",
    "Objective",
    "Progress",
    "ProgressCallback",
    "TrainingResult",
    "TrainingSettings",
    "read_checkpoint",
    "squared_error",
    "train",
    "write_checkpoint",
]
