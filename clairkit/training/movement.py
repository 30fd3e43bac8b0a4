"""Measure what training did to the model: rewards on a few pairs, a sample of its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import Subset
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from clairkit.runs.diagnosis.facts import METRICS, Movement
from clairkit.training.checkpoint.interrupt import EvaluationStopped, StopOnSignal
from clairkit.training.checkpoint.nan_guard import local_part
from clairkit.training.metrics import MetricMeans

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from transformers.trainer_utils import EvalLoopOutput


class MetricLogs(Trainer):  # type: ignore[misc]  # transformers is untyped
    """A Trainer that logs the means of its steps, and whose evaluations return all of theirs."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._means = {"train": MetricMeans(), "eval": MetricMeans()}
        super().__init__(*args, **kwargs)

    def log(self, logs: dict[str, float], *args: object, **kwargs: object) -> None:
        """Log; a row of training steps gets the metrics gathered since the last one."""
        if "loss" in logs or "train_loss" in logs:
            logs.update(self._means["train"].take(self._sum_over_processes))
        super().log(logs, *args, **kwargs)  # adds the epoch, in place

    def evaluation_loop(
        self, *args: object, metric_key_prefix: str = "eval", **kwargs: object
    ) -> EvalLoopOutput:
        """Run over held-out pairs; what it returns holds all metrics, as callbacks and logs do."""
        self._means["eval"].take()  # of an evaluation that was broken off
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        means = self._means["eval"].take(self._sum_over_processes)
        output.metrics.update({f"{metric_key_prefix}_{key}": mean for key, mean in means.items()})
        return output

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        total: Tensor = self.accelerator.reduce(values, reduction="sum")
        return total


# Pairs on which the movement is measured: a forward of so many costs next to nothing in a run.
_PAIRS = 32
# Parameters that are looked at, and elements of each: enough for a share to a percent, and few
# enough launches not to be felt on a GPU.
_TENSORS = 32
_ELEMENTS = 2048
# Share of updates that rounding would undo from which a run is warned before it starts.
_WARN = 0.5


@dataclass(frozen=True)
class _Sampled:
    """Some elements of a trained parameter."""

    parameter: nn.Parameter
    places: Tensor  # [n], into what this process holds of it, flattened
    size: int  # elements of all of that

    def values(self) -> Tensor:
        return _flat(self.parameter.detach())[self.places]

    def gradients(self) -> Tensor | None:
        gradient = self.parameter.grad
        return None if gradient is None else _flat(gradient)[self.places]


def _flat(tensor: Tensor) -> Tensor:
    return local_part(tensor).reshape(-1)


def sampled_parameters(model: nn.Module) -> list[_Sampled]:
    """Return evenly chosen elements of evenly chosen trained parameters."""
    trained = [p for p in model.parameters() if p.requires_grad and p.is_floating_point()]
    step = max(1, -(-len(trained) // _TENSORS))
    found = []
    for parameter in trained[::step]:
        size = _flat(parameter.detach()).numel()
        if size:  # a process may hold no part of it
            count = min(size, _ELEMENTS)
            places = torch.arange(count, device=parameter.device) * size // count
            found.append(_Sampled(parameter, places, size))
    return found


def trained_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the weights that are trained, that of most of them."""
    sizes: dict[torch.dtype, int] = {}
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            sizes[parameter.dtype] = sizes.get(parameter.dtype, 0) + parameter.numel()
    return max(sizes, key=lambda dtype: sizes[dtype], default=torch.float32)


def rounding_warning(model: nn.Module, learning_rate: float, optimizer: str) -> str | None:
    """Return a warning when most updates would be lost in the weights' rounding.

    Adam's updates have about the size of the learning rate, whatever the gradient; of other
    optimizers nothing is known before.
    """
    dtype = trained_dtype(model)
    if dtype not in (torch.bfloat16, torch.float16) or "adam" not in optimizer:
        return None
    lost = total = 0.0
    for item in sampled_parameters(model):
        values = item.values()
        kept = (values + learning_rate != values) & (values - learning_rate != values)
        lost += item.size * (1 - kept.float().mean().item())
        total += item.size
    share = lost / total if total else 0.0
    if share < _WARN:
        return None
    return (
        f"Warning: the weights are trained in {_name(dtype)}, without float32 masters, and about "
        f"{share:.0%} of them are too large for updates of {learning_rate:g} (learning_rate) to "
        "change them. Set dtype: float32, with bf16: true on a GPU, or raise learning_rate."
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class WeightWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Counts which sampled weights change, and which updates rounding undoes."""

    def __init__(self) -> None:
        self._sample: list[_Sampled] = []
        self._first: list[Tensor] = []
        self._before: list[Tensor] = []
        self._due: list[Tensor | None] = []
        self._totals: Tensor | None = None  # [2]: updates that were due, and that came to nothing

    def on_train_begin(self, *_: object, model: nn.Module, **__: object) -> None:
        self._sample = sampled_parameters(model)
        self._first = [item.values() for item in self._sample]
        self._totals = None

    def on_pre_optimizer_step(self, *_: object, **__: object) -> None:
        self._before = [item.values() for item in self._sample]
        self._due = [
            None if (found := item.gradients()) is None else found != 0 for item in self._sample
        ]

    def on_optimizer_step(self, *_: object, optimizer: Optimizer, **__: object) -> None:
        rates = [group["lr"] for group in getattr(optimizer, "param_groups", ())]
        if getattr(optimizer, "step_was_skipped", False) or not any(rates):
            return
        for item, before, due in zip(self._sample, self._before, self._due, strict=True):
            if due is not None:
                undone = due & (item.values() == before)
                counts = torch.stack([due.sum(), undone.sum()]).double() * item.size / len(due)
                self._totals = (
                    counts
                    if self._totals is None
                    else self._totals + counts.to(self._totals.device)
                )

    @property
    def lost(self) -> float | None:
        """Share of the updates that came to nothing; None where no gradient could be seen."""
        due, undone = (0.0, 0.0) if self._totals is None else self._totals.tolist()
        return undone / due if due else None

    @property
    def changed(self) -> float | None:
        """Share of the weights that differ from those before the first step."""
        total = sum(item.size for item in self._sample)
        if not total:
            return None
        shares = [
            item.size * (item.values() != first).float().mean().item()
            for item, first in zip(self._sample, self._first, strict=True)
        ]
        return sum(shares) / total


class StartOfMovement(TrainerCallback, ExportableState):  # type: ignore[misc]  # untyped
    """Where the model was before the first step; kept in checkpoints for a run that is resumed."""

    def __init__(self, measure: Callable[[], dict[str, float]] = dict) -> None:
        self.values: dict[str, float] = {}
        self._measure = measure

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, *_: object, **__: object
    ) -> None:
        if state.global_step == 0:
            self.values = self._measure()

    def state(self) -> dict[str, object]:
        return {"args": {}, "attributes": {"values": self.values}}


class Movements(MetricLogs):
    """A Trainer that measures how far it moved its model."""

    is_in_train: bool

    def __init__(self, *args: object, callbacks: list[TrainerCallback], **kwargs: object) -> None:
        self._watch = WeightWatch()
        self.movement: Movement | None = None
        start = StartOfMovement(
            lambda: {} if self.starts_as_reference() else self._means_of_sample()
        )
        super().__init__(*args, callbacks=[self._watch, start, *callbacks], **kwargs)

    def starts_as_reference(self) -> bool:
        """Whether rewards and log-ratios are 0 before the first step."""
        return True

    def measure_movement(self) -> None:
        """Measure, on the weights as they are now; not in a run that a signal ended."""
        callbacks = self.callback_handler.callbacks
        signals = [item.signal for item in callbacks if isinstance(item, StopOnSignal)]
        if any(signals) and self.state.global_step < self.state.max_steps:
            return
        try:
            end = self._means_of_sample()
        except EvaluationStopped:
            return
        if any(name in end for name in METRICS if name != "loss"):
            self.movement = Movement(
                pairs=len(self._sampled_pairs()),
                end=end,
                start=next(item.values for item in callbacks if isinstance(item, StartOfMovement)),
                dtype=_name(trained_dtype(self.model)),
                changed=self._watch.changed,
                lost=self._watch.lost,
            )

    def _sampled_pairs(self) -> list[int]:
        size = len(self.train_dataset)
        count = min(size, _PAIRS)
        return [index * size // count for index in range(count)]

    def _means_of_sample(self) -> dict[str, float]:
        """Return the metrics of some training pairs; neither logs nor the random state change."""
        devices = [torch.cuda.current_device()] if self.args.device.type == "cuda" else []
        training = self.is_in_train
        self.is_in_train = True  # else bf16_full_eval casts the weights
        try:
            with torch.random.fork_rng(devices):
                loader = self.get_test_dataloader(Subset(self.train_dataset, self._sampled_pairs()))
                found = self.evaluation_loop(loader, "Movement", prediction_loss_only=True).metrics
        finally:
            self.is_in_train = training
        return {name: found[f"eval_{name}"] for name in METRICS if f"eval_{name}" in found}
