"""Go on from a checkpoint with today's arguments, and with no step more than they say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.optim.lr_scheduler import LambdaLR
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_callback import ExportableState

from clairkit.errors import UsageError
from clairkit.training.checkpoint.interrupt import StopAtStep
from clairkit.training.movement import StartOfMovement

# Settings of a parameter group that its optimizer's saved state would bring back.
_SETTINGS = ("weight_decay", "betas", "eps")
# Callbacks whose state decides how a run ends, or what is said of it.
_RESTORED = (EarlyStoppingCallback, StartOfMovement)


@contextmanager
def _whole_steps(arguments: TrainingArguments, max_steps: int) -> Iterator[None]:
    """Hold steps that are a share of all steps as numbers of steps, as checkpoints do."""
    shares = {name: getattr(arguments, f"{name}_steps") for name in ("logging", "eval", "save")}
    shares = {f"{name}_steps": share for name, share in shares.items() if share and share < 1}
    for name, share in shares.items():
        setattr(arguments, name, math.ceil(max_steps * share))
    try:
        yield
    finally:
        for name, share in shares.items():
            setattr(arguments, name, share)


class ExactResume(Trainer):  # type: ignore[misc]  # transformers is untyped
    """A Trainer that resumes as it is configured.

    Under the configuration of then, nothing changes by a bit. Under another one transformers'
    Trainer would keep the checkpoint's learning rate, weight decay and save steps without a word.
    """

    def _init_training_state(
        self,
        max_steps: int,
        steps_per_epoch: int,
        epochs: int,
        checkpoint: str | None,
        trial: object,
    ) -> tuple[int, int]:
        """Return the epochs and batches to skip; all of them when the last step is done."""
        with _whole_steps(self.args, max_steps):  # with these the checkpoint is compared
            skipped: tuple[int, int] = super()._init_training_state(
                max_steps, steps_per_epoch, epochs, checkpoint, trial
            )
        self.state.compute_steps(self.args, max_steps)
        if checkpoint is not None:
            self._restore_best(Path(checkpoint).parent)
            self._restore_callbacks()
        # transformers would train one more step within an epoch that was begun
        is_done = self.state.global_step >= max_steps or any(
            isinstance(each, StopAtStep) and each.is_reached(self.state)
            for each in self.callback_handler.callbacks
        )
        return (epochs, 0) if is_done else skipped

    def _restore_best(self, run: Path) -> None:
        """Find the best checkpoint beside the one that is resumed: the run may have been moved."""
        step = self.state.best_global_step
        if step and (run / f"checkpoint-{step}").is_dir():
            self.state.best_model_checkpoint = str(run / f"checkpoint-{step}")

    def _restore_callbacks(self) -> None:
        """Give callbacks what the checkpoint kept of them, and it what it lacks of new ones.

        The Trainer would begin to count evaluations without a gain anew, and fail at the next save
        for a callback that came after the checkpoint.
        """
        kept = self.state.stateful_callbacks
        for callback in (*self.callback_handler.callbacks, self.control):
            if not isinstance(callback, ExportableState):
                continue
            found = kept.setdefault(type(callback).__name__, callback.state())
            if isinstance(callback, _RESTORED) and isinstance(found, dict):
                for name, value in found["attributes"].items():
                    setattr(callback, name, value)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load the optimizer's moments and the schedule's place, not their settings."""
        if checkpoint is None or self.is_deepspeed_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        groups = self.optimizer.param_groups
        settings = [{key: group[key] for key in _SETTINGS if key in group} for group in groups]
        base_rates = [group.get("initial_lr", group["lr"]) for group in groups]
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
        except ValueError as error:
            raise UsageError(
                f"the optimizer of {checkpoint} is not this run's: {error}",
                remedy="resume with the parameters and the optimizer of then",
            ) from error
        for group, values in zip(self.optimizer.param_groups, settings, strict=True):
            group.update(values)
        if isinstance(self.lr_scheduler, LambdaLR):
            set_base_rates(self.lr_scheduler, base_rates)


def set_base_rates(scheduler: LambdaLR, rates: list[float]) -> None:
    """Put a schedule, where it stands, on other base rates, its optimizer with it."""
    scheduler.base_lrs = list(rates)
    now = [
        rate * factor(scheduler.last_epoch)
        for rate, factor in zip(rates, scheduler.lr_lambdas, strict=True)
    ]
    for group, base, rate in zip(scheduler.optimizer.param_groups, rates, now, strict=True):
        group["initial_lr"], group["lr"] = base, rate
    scheduler._last_lr = [*now]
