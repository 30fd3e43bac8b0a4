"""Options of TRL's trainer that this head does not support; each is refused, none is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clairkit.errors import UsageError
from clairkit.kernels import available_backends

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments


# Field of DPOConfig -> why it is refused when it is set.
_REASONS = {
    "use_weighting": "WPO's weights need the sum of squared probabilities of every token",
    "use_liger_kernel": "Liger changes the model's layers after its head was checked",
    "parallelism_config": "the head has to be whole on each device",
}


def refuse_kernel(kernel: str) -> None:
    """Raise UsageError unless the kernel's name is known."""
    known = ("auto", *available_backends())
    if kernel not in known:
        raise UsageError("unknown kernel", received=kernel, remedy=f"known are {', '.join(known)}")


def refuse_arguments(arguments: TrainingArguments) -> None:
    """Raise UsageError if a DPOConfig sets what is not supported; None is TRL's default."""
    for field, reason in _REASONS.items():
        if value := getattr(arguments, field, None):
            raise _refusal(f"{field}: {reason}", value, f"leave {field} out")
    plugin = getattr(arguments, "deepspeed_plugin", None)
    if plugin is not None and plugin.zero_stage == 3:
        raise _sharded("DeepSpeed ZeRO-3")


def refuse_set_up(trainer: Trainer) -> None:
    """Raise UsageError for what is known once the trainer has its model and accelerator."""
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
