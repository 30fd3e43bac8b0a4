"""TRL's DPOTrainer, its head and nothing else replaced.

TRL's trainer gives its models a second way through their forward. `add_fused_lm_head(model,
outputs=...)` sets it up, once a model, inside of `DPOTrainer.__init__`: after the models are made,
before they are wrapped for a device and before reference log-probs are computed. From then on
`model(..., labels=labels, fused_lm_head=True)` returns a `FusedCausalLMOutput` of per-token
values, and all losses, references and metrics are made from it. So this one call is replaced and
nothing else; options that this head does not support are refused, none is dropped.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from trl import DPOTrainer
from trl.trainer import dpo_trainer

from clairkit.errors import ResourceError, UsageError
from clairkit.integrations.trl.head import add_clair_head
from clairkit.integrations.trl.installed import TRL_VERSION
from clairkit.kernels import available_backends
from clairkit.logprobs.head import LogpsPath

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

_NAME = "add_fused_lm_head"
_one_at_a_time = threading.RLock()


@contextlib.contextmanager
def head_set_up_by(add_head: Callable[..., None]) -> Iterator[None]:
    """Within this context TRL's trainer calls `add_head` where it would set up its own head.

    Raises:
        ResourceError: the installed TRL has no such call, or leaves the context without making it.
    """
    calls = 0

    def add_and_count(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        add_head(*args, **options)

    with _one_at_a_time:
        original = getattr(dpo_trainer, _NAME, None)
        if original is None:
            raise _unknown_trl()
        setattr(dpo_trainer, _NAME, add_and_count)
        try:
            yield
        finally:
            setattr(dpo_trainer, _NAME, original)
    if not calls:
        raise _unknown_trl()


def _unknown_trl() -> ResourceError:
    return ResourceError(
        "this version of TRL sets up its head in another way than clairkit knows",
        received=TRL_VERSION,
        remedy="upgrade clairkit, or install the TRL that its constraints.txt names",
    )


# Field of DPOConfig -> why it is refused when it is set.
_REASONS = {
    "use_weighting": "WPO's weights need the sum of squared probabilities of every token",
    "use_liger_kernel": "Liger changes the model's layers after its head was checked",
    "parallelism_config": "the head has to be whole on each device",
}


def refuse_kernel(kernel: str) -> None:
    """Check that the kernel's name is known.

    Raises:
        UsageError: it is not.
    """
    known = ("auto", *available_backends())
    if kernel not in known:
        raise UsageError("unknown kernel", received=kernel, remedy=f"known are {', '.join(known)}")


def refuse_arguments(arguments: TrainingArguments) -> None:
    """Check that a DPOConfig sets only what is supported; None is TRL's default.

    Raises:
        UsageError: it sets something else.
    """
    for field, reason in _REASONS.items():
        if value := getattr(arguments, field, None):
            raise _refusal(f"{field}: {reason}", value, f"leave {field} out")
    plugin = getattr(arguments, "deepspeed_plugin", None)
    if plugin is not None and plugin.zero_stage == 3:
        raise _sharded("DeepSpeed ZeRO-3")


def refuse_set_up(trainer: Trainer) -> None:
    """Check what is known once the trainer has its model and accelerator.

    Raises:
        UsageError: FSDP, another parallelism, or a model that sees pictures.
    """
    if trainer.is_fsdp_enabled:
        raise _sharded("FSDP")
    if trainer.accelerator.parallelism_config is not None:
        reason = _REASONS["parallelism_config"]
        raise _refusal(f"parallelism: {reason}", None, "leave it out of the accelerate config")
    if trainer._is_vlm:
        raise _refusal(
            "vision-language models: only a tokenizer's tokens are scored",
            type(trainer.processing_class).__name__,
            "pass the processor's tokenizer as processing_class for data without images",
        )


def _sharded(strategy: str) -> UsageError:
    return _refusal(
        f"{strategy}: the head's weight is in parts", None, "use DDP or DeepSpeed ZeRO-1 or 2"
    )


def _refusal(problem: str, received: object, remedy: str) -> UsageError:
    return UsageError(
        f"ClairDPOTrainer does not support {problem}",
        received=received,
        remedy=f"{remedy}, or use trl.DPOTrainer",
    )


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
