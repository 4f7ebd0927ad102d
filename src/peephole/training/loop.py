"""The training loop: epochs of batches, an optimiser's step for each, validation, stopping, checkpoints.

A run can be cut off after any batch, by Ctrl-C or by a kill, and resumed from its checkpoint to the same bits: the
checkpoint holds the weights, the best weights, the optimiser, the place in the epoch, and the states of the generators
of chance. It works out to that only with the same number of threads on the same kind of machine.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from peephole.errors import ArgumentError, ArtifactError
from peephole.training.batches import Batch, Batches
from peephole.training.checkpoint import read_checkpoint, write_checkpoint
from peephole.training.guard import diverged
from peephole.training.interrupt import Interrupted, Request, held_back
from peephole.training.losses import Objective, squared_error
from peephole.training.progress import Epoch, Progress, ProgressCallback
from peephole.training.settings import TrainingSettings

_FREE_TO_CHANGE = frozenset({"max_epochs", "checkpoint_seconds"})


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a run went; its module holds the best weights.

    Attributes:
        history: every epoch, from the first.
        best_epoch: number of the epoch whose weights were kept (the last one without validation).
        best_loss: its validation loss (its training loss without validation).
        stopped: ``"patience"`` or ``"max_epochs"``.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    best_loss: float
    stopped: Literal["patience", "max_epochs"]


def train(
    module: torch.nn.Module,
    batches: Batches,
    *,
    objective: Objective = squared_error,
    validation: Batches | None = None,
    settings: TrainingSettings | None = None,
    progress: ProgressCallback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    identity: str = "",
) -> TrainingResult:
    """Train a module in place.

    Args:
        module: the network; at the end it holds the best weights (the last ones without validation).
        batches: the training samples.
        objective: the loss of a batch.
        validation: samples to measure every epoch on, for early stopping and the choice of the weights.
        settings: the settings; None for the defaults.
        progress: called after every epoch.
        checkpoint: file to write checkpoints to; it must not exist unless ``resume``.
        resume: whether to go on from ``checkpoint``.
        identity: what else must agree between a run and its resumption, for instance a fingerprint of the data.

    Raises:
        DivergedError: for a loss or a gradient that is not finite.
        Interrupted: after Ctrl-C (SIGINT), once the checkpoint is written.
        ArgumentError: where ``checkpoint`` exists, is missing for ``resume``, or belongs to another run.
        ArtifactError: where the checkpoint cannot be written or read.
    """
    run = _Run(
        module,
        batches,
        objective=objective,
        validation=validation,
        settings=settings or TrainingSettings(),
        checkpoint=checkpoint,
        identity=identity,
    )
    with cast("Any", torch.random).fork_rng(devices=[]), held_back() as request:
        torch.default_generator.manual_seed(run.settings.seed)
        if resume:
            run.restore()
        else:
            run.begin()
        try:
            while not run.finished:
                run.one_epoch(request)
                run.tell(progress, request)
                run.save(force=request.made)
                if request.made:
                    raise Interrupted(run.epoch, run.checkpoint)
        except KeyboardInterrupt as error:
            raise error if isinstance(error, Interrupted) else Interrupted(run.epoch, run.checkpoint) from error
        run.save(force=True)
    return run.result()


class _Run:
    """The state of one run between two batches."""

    def __init__(
        self,
        module: torch.nn.Module,
        batches: Batches,
        *,
        objective: Objective,
        validation: Batches | None,
        settings: TrainingSettings,
        checkpoint: str | os.PathLike[str] | None,
        identity: str,
    ) -> None:
        self.module, self.batches, self.objective, self.validation = module, batches, objective, validation
        self.settings, self.identity = settings, identity
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.order = torch.Generator().manual_seed(settings.seed)
        self.order_at_start = self.order.get_state()
        self.epoch = self.batch = self.step = self.samples = 0
        self.loss_sum = 0.0
        self.best, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self.history: list[Epoch] = []
        self.started = self.saved = time.monotonic()
        self.epochs_before = 0

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.epoch >= self.settings.max_epochs or self._out_of_patience

    @property
    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return self.validation is not None and patience is not None and self.epoch - self.best_epoch >= patience

    def begin(self) -> None:
        """Write the first checkpoint, so that a run can be resumed from its very beginning."""
        if self.checkpoint is not None and self.checkpoint.exists():
            raise ArgumentError(
                f"train: checkpoint must name a file that does not exist (got {self.checkpoint}); "
                "pass resume=True to go on from it, or choose another name"
            )
        self.save(force=True)

    def one_epoch(self, request: Request) -> None:
        """The rest of the epoch under way, with its validation."""
        self.module.train()
        self.order.set_state(self.order_at_start)
        for index, batch in enumerate(self.batches.epoch(self.order)):
            if index < self.batch:
                continue
            self._update(batch)
            self.save(force=request.made)
            if request.made and self.batch < len(self.batches):
                raise Interrupted(self.epoch, self.checkpoint)
        train_loss = self.loss_sum / self.samples
        validation_loss = self._validate()
        self.epoch += 1
        self.history.append(Epoch(self.epoch, train_loss, validation_loss))
        watched = train_loss if validation_loss is None else validation_loss
        if validation_loss is None or watched < self.best:
            self.best, self.best_epoch = watched, self.epoch
            self.best_weights = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.order_at_start = self.order.get_state()
        self.batch = self.samples = 0
        self.loss_sum = 0.0

    def _update(self, batch: Batch) -> None:
        self.optimizer.zero_grad()
        loss = self.objective(self.module, batch)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"the loss ({value})", batch)
        cast("Any", loss).backward()
        clip = self.settings.clip_norm
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, math.inf if clip is None else clip)
        if not math.isfinite(norm.item()):
            raise self._diverged("the gradient", batch)
        self.optimizer.step()
        self.loss_sum += value * batch.size
        self.samples += batch.size
        self.batch += 1
        self.step += 1

    def _diverged(self, what: str, batch: Batch) -> Exception:
        return diverged(
            what,
            self.module,
            self.objective,
            batch,
            step=self.step + 1,
            epoch=self.epoch + 1,
            learning_rate=self.settings.learning_rate,
        )

    def _validate(self) -> float | None:
        if self.validation is None:
            return None
        self.module.eval()
        total, samples = 0.0, 0
        with torch.no_grad():
            for batch in self.validation.epoch(None):
                value = self.objective(self.module, batch).item()
                if not math.isfinite(value):
                    raise self._diverged(f"the validation loss ({value})", batch)
                total += value * batch.size
                samples += batch.size
        return total / samples

    def tell(self, progress: ProgressCallback | None, request: Request) -> None:
        """Call back; a KeyboardInterrupt in there is a request to stop like any other."""
        if progress is None:
            return
        last = self.history[-1]
        pace = (time.monotonic() - self.started) / (self.epoch - self.epochs_before)
        left = pace * (self.settings.max_epochs - self.epoch)
        try:
            progress(
                Progress(self.epoch, self.settings.max_epochs, last.train_loss, last.validation_loss, self.best, left)
            )
        except KeyboardInterrupt:
            request.made = True

    def result(self) -> TrainingResult:
        """Put the best weights into the module and say how it went."""
        self.module.load_state_dict(self.best_weights)
        self.module.eval()
        stopped = "patience" if self._out_of_patience else "max_epochs"
        return TrainingResult(tuple(self.history), self.best_epoch, self.best, stopped)

    def save(self, *, force: bool) -> None:
        """Write a checkpoint, where one is wanted and due."""
        now = time.monotonic()
        if self.checkpoint is None or not (force or now - self.saved >= self.settings.checkpoint_seconds):
            return
        write_checkpoint(
            self.checkpoint,
            {
                "settings": asdict(self.settings),
                "identity": self.identity,
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "best_weights": self.best_weights,
                "order": self.order_at_start,
                "random": torch.get_rng_state(),
                "place": [self.epoch, self.batch, self.step, self.samples, self.best_epoch],
                "losses": [self.loss_sum, self.best],
                "history": [[row.epoch, row.train_loss, row.validation_loss] for row in self.history],
            },
        )
        self.saved = now

    def restore(self) -> None:
        """Take everything from the checkpoint."""
        if self.checkpoint is None:
            raise ArgumentError("train: resume needs a checkpoint to go on from (got none); name its file")
        state = read_checkpoint(self.checkpoint)
        try:
            self._check_same_run(state)
            self._take(state)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ArtifactError(
                f"checkpoint: {self.checkpoint} lacks what this version needs or fits another network ({error}); "
                "start again without resume"
            ) from error

    def _take(self, state: Mapping[str, Any]) -> None:
        self.module.load_state_dict(cast("Mapping[str, Any]", state["module"]))
        self.optimizer.load_state_dict(cast("dict[str, Any]", state["optimizer"]))
        self.best_weights = cast("dict[str, Tensor]", state["best_weights"])
        self.order_at_start = cast("Tensor", state["order"])
        torch.set_rng_state(cast("Tensor", state["random"]))
        self.epoch, self.batch, self.step, self.samples, self.best_epoch = cast("list[int]", state["place"])
        self.loss_sum, self.best = cast("list[float]", state["losses"])
        self.history = [Epoch(*row) for row in cast("list[tuple[int, float, float | None]]", state["history"])]
        self.epochs_before = self.epoch

    def _check_same_run(self, state: Mapping[str, Any]) -> None:
        then, now = cast("dict[str, Any]", state["settings"]), asdict(self.settings)
        for name in now.keys() - _FREE_TO_CHANGE:
            if then.get(name) != now[name]:
                raise ArgumentError(
                    f"train: {name} must be what it was when {self.checkpoint} was written "
                    f"(got {now[name]!r}, then {then.get(name)!r}); set it back, or start again without resume"
                )
        if state["identity"] != self.identity:
            raise ArgumentError(
                f"train: {self.checkpoint} must belong to this run (got one of other data or another network); "
                "give the same data and parameters, or start again without resume"
            )


def _optimizer(parameters: list[torch.nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    make = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return make(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
