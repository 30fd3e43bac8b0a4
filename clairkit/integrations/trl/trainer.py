"""TRL's DPOTrainer, its head and nothing else replaced."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

from torch import nn
from trl import DPOTrainer

from clairkit.integrations.trl.head import add_clair_head
from clairkit.integrations.trl.refusals import refuse_arguments, refuse_kernel, refuse_set_up
from clairkit.integrations.trl.seam import head_set_up_by
from clairkit.logprobs.head import LogpsPath

logger = logging.getLogger(__name__)


class ClairDPOTrainer(DPOTrainer):  # type: ignore[misc]  # trl is untyped
    """A `trl.DPOTrainer` whose log-probs and token metrics come from `clairkit.kernels`.

    Data, references, losses, metrics, logging and saving are TRL's. What the kernels compute
    differs from TRL's by rounding alone: see docs/trl.md.

    Args:
        arguments, named: as `trl.DPOTrainer` takes them.
        kernel: auto or a name of `clairkit.kernels.available_backends()`; "eager" takes the
            model's own full logits.
        memory_budget: bytes that may be kept to save a product, see `linear_logps`.

    Attributes:
        logps_path: the kernel that computes the policy's log-probs, and why that one.

    Raises:
        UsageError: an option of TRL's is set that this trainer does not support.
        ResourceError: the model's head can't be reached, the kernel can't run, or the installed
            TRL sets up its head in a way that is not known.
    """

    logps_path: LogpsPath

    def __init__(
        self,
        *arguments: Any,
        kernel: str = "auto",
        memory_budget: int | str | None = None,
        **named: Any,
    ) -> None:
        refuse_kernel(kernel)
        bound = inspect.signature(DPOTrainer.__init__).bind(self, *arguments, **named)
        refuse_arguments(bound.arguments.get("args"))

        def add_head(model: nn.Module, outputs: Sequence[str] = ("log_probs",)) -> None:
            refuse_set_up(self)
            path = add_clair_head(model, outputs, kernel, memory_budget, self.args.device)
            if not hasattr(self, "logps_path"):  # the policy comes first, then the reference
                self.logps_path = path
                logger.info("log-probs by kernel %s: %s", path.kernel, path.reason)

        with head_set_up_by(add_head):
            super().__init__(*arguments, **named)
