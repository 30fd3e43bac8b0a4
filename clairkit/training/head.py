"""Where a causal language model's hidden states end and its head begins.

`attach_logps` teaches a model's `forward` a `targets` argument: with it, the model returns the
log-prob of each target and never makes full logits. It is the model's own forward that is
extended, so wrappers around the model (LoRA, DDP, FSDP, autocast) stay in effect.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clairkit.batching.collate import IGNORED
from clairkit.kernels import choose_backend, linear_logps
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.reference import head_logits

# Configuration keys of published architectures, each with what it does to the logits.
_SOFTCAPS = ("final_logit_softcapping",)
_FACTORS = ("logit_scale", "lm_head_multiplier")  # Cohere; Falcon-H1
_DIVISORS = ("logits_scaling",)  # Granite

# Largest difference between the model's logits and ours, relative to the largest logit.
_PROBE_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}
_PROBE_TOLERANCE_HALF = 3e-2


@dataclass(frozen=True)
class Head:
    """The last step of a model: from the backbone's hidden states to logits."""

    backbone: nn.Module
    linear: nn.Linear
    options: HeadOptions


@dataclass(frozen=True)
class LogpsPath:
    """How log-probs are computed in a run; `reason` is for people."""

    kernel: str
    reason: str


def base_causal_lm(model: nn.Module) -> nn.Module:
    """Return the transformers model under a PEFT wrapper, or the model itself."""
    get_base = getattr(model, "get_base_model", None)
    return get_base() if callable(get_base) else model


def find_head(model: Any) -> Head | str:
    """Return the model's head, or why it can't be reached."""
    linear = model.get_output_embeddings()
    if type(linear) is not nn.Linear:
        return f"its output layer is a {type(linear).__name__}, not a plain linear layer"
    backbone = model.base_model
    if backbone is model:
        return f"{type(model).__name__} has no backbone apart from its head"
    config = model.config.get_text_config()
    scale = 1.0
    for key in _FACTORS:
        scale *= getattr(config, key, None) or 1.0
    for key in _DIVISORS:
        scale /= getattr(config, key, None) or 1.0
    caps = [cap for key in _SOFTCAPS if (cap := getattr(config, key, None))]
    head = Head(backbone, linear, HeadOptions(caps[0] if caps else None, scale))
    return _probe(model, head) or head


@torch.no_grad()
def _probe(model: Any, head: Head) -> str | None:
    """Compare our logits with the model's own on a few tokens; return what differs."""
    device, vocabulary = head.linear.weight.device, len(head.linear.weight)
    ids = (torch.arange(1, 9, device=device) * 7919 % vocabulary)[None]
    was_training = model.training
    model.eval()
    try:
        expected = model(input_ids=ids, use_cache=False).logits[0].float()
        hidden = head.backbone(input_ids=ids, use_cache=False).last_hidden_state[0]
    except Exception as error:  # whatever a model's code raises, eager still works
        return f"a trial run of its backbone failed: {type(error).__name__}: {error}"
    finally:
        model.train(was_training)
    ours = head_logits(hidden, head.linear.weight, head.linear.bias, head.options)
    tolerance = _PROBE_TOLERANCE.get(head.linear.weight.dtype, _PROBE_TOLERANCE_HALF)
    gap = float((ours - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
    if not gap <= tolerance:
        return f"its logits are not those of its hidden states and head (they differ by {gap:.1e})"
    return None


def attach_logps(
    model: nn.Module, kernel: str = "auto", memory_budget: int | None = None
) -> LogpsPath:
    """Extend the model's forward by `targets` [B, L]; with it, it returns log-probs [B, L].

    Position t holds log p(targets[t] | tokens up to t), 0 where the target is -100.

    Args:
        model: a transformers causal language model, perhaps under PEFT.
        kernel: auto, a backend of `clairkit.kernels`, or eager (the model's own logits).
        memory_budget: see `linear_logps`.
    """
    base = base_causal_lm(model)
    head = find_head(base)
    if kernel == "eager":
        path = LogpsPath("eager", "asked for")
    elif isinstance(head, str):
        path = LogpsPath("eager", f"{type(base).__name__} needs it: {head}")
    elif kernel == "auto":
        weight = head.linear.weight
        path = LogpsPath(*choose_backend(weight.device, weight.dtype))
    else:
        path = LogpsPath(kernel, "asked for")
    if path.kernel == "eager" or isinstance(head, str):
        compute: Callable[..., Tensor] = _eager(base.forward)
    else:
        compute = _tiled(head, path.kernel, memory_budget)
    plain_forward = base.forward

    @functools.wraps(type(base).forward)
    def forward(self: nn.Module, *args: Any, targets: Tensor | None = None, **inputs: Any) -> Any:
        if targets is None:
            return plain_forward(*args, **inputs)
        return compute(*args, targets=targets, **_without_empty(inputs))

    base.forward = types.MethodType(forward, base)
    return path


def _without_empty(inputs: dict[str, Any]) -> dict[str, Any]:
    """PEFT passes every argument it knows, absent ones as None."""
    return {key: value for key, value in inputs.items() if value is not None}


def _tiled(head: Head, backend: str, memory_budget: int | None) -> Callable[..., Tensor]:
    def compute(*args: Any, targets: Tensor, **inputs: Any) -> Tensor:
        inputs.pop("return_dict", None)
        hidden = head.backbone(*args, **inputs, use_cache=False).last_hidden_state
        logps = linear_logps(
            hidden.flatten(0, 1),
            head.linear.weight,
            targets.flatten(),
            bias=head.linear.bias,
            softcap=head.options.softcap,
            logit_scale=head.options.logit_scale,
            backend=backend,
            memory_budget=memory_budget,
        )
        return logps.view_as(targets)

    return compute


def _eager(plain_forward: Callable[..., Any]) -> Callable[..., Tensor]:
    def compute(*args: Any, targets: Tensor, **inputs: Any) -> Tensor:
        logits = plain_forward(*args, **inputs, use_cache=False).logits
        mask = targets != IGNORED
        dtype = torch.promote_types(logits.dtype, torch.float32)
        logps = torch.log_softmax(logits[mask].to(dtype), -1)
        chosen = logps.gather(1, targets[mask][:, None])[:, 0]
        return chosen.new_zeros(targets.shape).masked_scatter(mask, chosen)

    return compute
