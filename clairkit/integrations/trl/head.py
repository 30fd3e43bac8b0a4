"""Put a head with the contract of TRL's own on clairkit's kernels.

Shapes: B sequences, L tokens; TRL's per-token fields are [B, L-1], for the tokens from the second.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from trl.trainer.utils import FusedCausalLMOutput

from clairkit.errors import ResourceError, UsageError
from clairkit.kernels import IGNORED, TokenStats
from clairkit.logprobs.head import LogpsPath, attach_logps, unbound_forward

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

# TRL's names -> ours
_FIELDS = {
    "log_probs": "logps",
    "entropy": "entropy",
    "mean_logits": "mean_logits",
    "is_top1": "hits",
}


def add_clair_head(
    model: nn.Module,
    outputs: Sequence[str],
    kernel: str,
    memory_budget: int | str | None,
    device: torch.device,
) -> LogpsPath:
    """Extend the model's forward as TRL's `add_fused_lm_head` does; return how it computes.

    `model(..., labels=labels, fused_lm_head=True)` then returns a `FusedCausalLMOutput` whose
    fields are those in `outputs`, float32 and 0 where the label is -100; log-probs are
    differentiable. Its `loss` stays None.

    Args:
        model: whose forward is extended, in its place.
        outputs: names of the fields to compute.
        kernel: how, as in a training run.
        memory_budget: as of `linear_logps`.
        device: where the run is.

    Raises:
        ResourceError: the model's head can't be reached, or the kernel can't run there.
        UsageError: an output is wanted that the kernels don't compute.
    """
    if unknown := [name for name in outputs if name not in _FIELDS]:
        raise UsageError(
            "TRL wants a per-token value that clairkit's kernels don't compute",
            received=", ".join(unknown),
            remedy=f"switch off the option that needs it; there are {', '.join(_FIELDS)}",
        )
    path = attach_logps(model, kernel, memory_budget, device)
    if path.kernel == "eager" != kernel:
        raise ResourceError(
            f"the model's head can't be reached: {path.reason}",
            remedy="use trl.DPOTrainer, or pass kernel='eager' for the model's own full logits",
        )
    model.forward = types.MethodType(_forward(model, set(outputs) != {"log_probs"}), model)
    return path


def _forward(model: nn.Module, token_stats: bool) -> Any:
    extended = unbound_forward(model)

    @functools.wraps(type(model).forward)
    def forward(
        self: nn.Module,
        *args: Any,
        fused_lm_head: bool = False,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        if not fused_lm_head:
            if labels is not None:
                inputs["labels"] = labels
            return extended(self, *args, **inputs)
        if labels is None:
            raise UsageError("the fused head needs labels", remedy="pass labels [B, L]")
        # Position t is scored on the token after it; after the last one there is none.
        targets = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        scored = extended(self, *args, targets=targets, token_stats=token_stats, **inputs)
        if not token_stats:
            return FusedCausalLMOutput(log_probs=scored[:, :-1])
        stats: TokenStats = scored.stats
        return FusedCausalLMOutput(
            **{name: getattr(stats, ours)[:, :-1] for name, ours in _FIELDS.items()},
            label_mask=targets[:, :-1] != IGNORED,
            aux_loss=_router_loss(self, scored.outputs, inputs),
        )

    return forward


def _router_loss(
    model: PreTrainedModel, outputs: ModelOutput, inputs: Mapping[str, object]
) -> Tensor | None:
    """Return the load-balancing loss of a mixture of experts, if its router logits were wanted."""
    if not inputs.get("output_router_logits"):
        return None
    # every family of mixtures in transformers shares Mixtral's
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    config = model.config.get_text_config()
    loss: Tensor = load_balancing_loss_func(
        outputs.router_logits,
        config.num_experts,
        config.num_experts_per_tok,
        inputs.get("attention_mask"),
    )
    return loss
