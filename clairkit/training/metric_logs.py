"""Log and return the metrics of steps and of evaluations, gathered part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from transformers import Trainer

from clairkit.training.metrics import MetricMeans

if TYPE_CHECKING:
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
