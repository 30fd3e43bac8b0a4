"""Extend a causal language model's forward to return log-probs without full logits.

`attach_logps` teaches a model's `forward` a `targets` argument: with it, the model returns the
log-prob of each target and never makes full logits. It is the model's own forward that is
extended, so wrappers around the model (LoRA, DDP, FSDP, autocast) stay in effect. With
`token_stats=True` beside it the model returns `ScoredTokens`: log-probs and what else a metric
reads. With `scored`, the places of M tokens in a packed sequence, there is a target for each of
them and a log-prob for each target.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from clairkit.batching.collate import IGNORED
from clairkit.errors import ResourceError, UsageError
from clairkit.kernels import (
    TokenStats,
    available_backends,
    choose_backend,
    gather_logps,
    linear_logps,
    linear_token_stats,
)
from clairkit.kernels.options import HeadOptions
from clairkit.kernels.reference import head_logits, logps_of
from clairkit.logprobs.packed_attention import no_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Configuration keys of published architectures, each with what it does to the logits.
_SOFTCAPS = ("final_logit_softcapping",)
_FACTORS = ("logit_scale", "lm_head_multiplier")  # Cohere; Falcon-H1
_DIVISORS = ("logits_scaling",)  # Granite

# Operations whose backward does not read their result, which may thus be overwritten by then.
_FREE_OF_THEIR_RESULT = (
    "AddmmBackward0",
    "AddBackward0",
    "DivBackward0",
    "IndexBackward0",
    "MmBackward0",
    "MulBackward0",
    "ToCopyBackward0",
    "UnsafeViewBackward0",
    "ViewBackward0",
)

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


class ScoredTokens(NamedTuple):
    """What the extended forward returns under `token_stats`."""

    stats: TokenStats  # each [B, L], or [M] under `scored`
    outputs: Any  # of the backbone (under the eager kernel, of the model): router logits and such


def base_causal_lm(model: nn.Module) -> nn.Module:
    """Return the transformers model under a PEFT wrapper, or the model itself."""
    get_base = getattr(model, "get_base_model", None)
    return get_base() if callable(get_base) else model


def find_head(model: PreTrainedModel) -> Head | str:
    """Return the model's head, or why it can't be reached."""
    linears = _linears(model.get_output_embeddings())
    if odd := [linear for linear in linears if type(linear) is not nn.Linear]:
        kind = f"{type(odd[0]).__module__}.{type(odd[0]).__name__}"
        return f"its output layer is a {kind}, not a plain linear layer"
    linear = linears[0]
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


def _linears(layer: Any) -> list[Any]:
    """Return the layers that an output layer may run, first the one that it runs now.

    Under PEFT's `modules_to_save` it is a wrapper of the original and a copy an adapter, and runs
    the active one's, or the original while adapters are disabled.
    """
    copies, original = (
        getattr(layer, name, None) for name in ("modules_to_save", "original_module")
    )
    if not isinstance(copies, nn.ModuleDict) or original is None:
        return [layer]
    active = [] if layer.disable_adapters else layer.active_adapters
    return [*(copies[name] for name in active[:1]), original, *copies.values()]


@torch.no_grad()
def _probe(model: PreTrainedModel, head: Head) -> str | None:
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
    if hidden.shape[0] != expected.shape[0]:
        return "its positions are not those of its input"
    ours = head_logits(hidden, head.linear.weight, head.linear.bias, head.options)
    tolerance = _PROBE_TOLERANCE.get(head.linear.weight.dtype, _PROBE_TOLERANCE_HALF)
    gap = float((ours - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
    if not gap <= tolerance:
        return f"its logits are not those of its hidden states and head (they differ by {gap:.1e})"
    return None


def attach_logps(
    model: nn.Module,
    kernel: str = "auto",
    memory_budget: int | str | None = None,
    device: torch.device | None = None,
) -> LogpsPath:
    """Extend the model's forward by `targets` [B, L]; with it, it returns log-probs [B, L].

    Position t holds log p(targets[t] | tokens up to t), 0 where the target is -100. With
    `token_stats=True` beside `targets` it returns `ScoredTokens`. A packed sequence, for a model
    that `packing_of` admits, comes as `input_ids` and `position_ids` [1, T], its `layout`,
    `scored` [M] and `targets` [M]; then the model returns log-probs [M].

    Args:
        model: a transformers causal language model, perhaps under PEFT.
        kernel: auto, a backend of `clairkit.kernels`, or eager (the model's own logits).
        memory_budget: see `linear_logps`.
        device: where the model will run; where it is now by default.

    Raises:
        ResourceError: a kernel asked for by name can't run there.
    """
    base: PreTrainedModel = base_causal_lm(model)
    head = find_head(base)
    path = _choose(base, head, kernel, device)
    plain_forward = unbound_forward(base)
    if kernel == "eager":
        compute = _eager(plain_forward)
    elif isinstance(head, str):
        compute = _gathered(plain_forward)
    else:
        for linear in dict.fromkeys(_linears(base.get_output_embeddings())):
            _measure_in(linear)
        # "auto" stays auto: the model may move to another device after this.
        compute = _tiled(head.options, kernel, memory_budget)

    @functools.wraps(type(base).forward)
    def forward(
        self: nn.Module,
        *args: Any,
        targets: Tensor | None = None,
        token_stats: bool = False,
        **inputs: Any,
    ) -> Any:
        if targets is None:
            return plain_forward(self, *args, **inputs)
        inputs = {**_without_empty(inputs), "use_cache": False}
        if "layout" in inputs:
            inputs["attention_mask"] = no_mask(targets.device)
        return compute(self, *args, targets=targets, token_stats=token_stats, **inputs)

    base.forward = types.MethodType(forward, base)
    return path


def _choose(
    base: PreTrainedModel, head: Head | str, kernel: str, device: torch.device | None
) -> LogpsPath:
    if kernel == "eager":
        return LogpsPath("eager", "asked for")
    if kernel != "auto" and not (state := available_backends()[kernel]).available:
        raise ResourceError(f"kernel {kernel} can't run here: {state.reason}")
    if isinstance(head, str):
        return LogpsPath("eager", f"{type(base).__name__} needs it: {head}")
    weight = head.linear.weight
    device = device or weight.device
    if kernel == "auto":
        name, reason = choose_backend(device, weight.dtype)
        return LogpsPath(name, f"{reason}; {_schedule(head.linear)}")
    if kernel == "native" and device.type != "cpu":
        raise ResourceError(f"kernel native runs on a CPU, and the model on {device}")
    return LogpsPath(kernel, f"asked for; {_schedule(head.linear)}")


def _schedule(linear: nn.Linear) -> str:
    if any(parameter.requires_grad for parameter in linear.parameters()):
        return "the head is trained: logits beyond memory_budget are made again for the gradient"
    return "the head is frozen: one pass"


def unbound_forward(model: nn.Module) -> Callable[..., Any]:
    """Return the model's forward as a function of it, so that a deep copy runs its own weights."""
    forward = model.forward
    if isinstance(forward, types.MethodType):
        return forward.__func__
    return lambda _model, *args, **inputs: forward(*args, **inputs)


def _without_empty(inputs: dict[str, Any]) -> dict[str, Any]:
    """PEFT passes every argument it knows, absent ones as None."""
    return {key: value for key, value in inputs.items() if value is not None}


def _tiled(
    options: HeadOptions, backend: str, memory_budget: int | str | None
) -> Callable[..., Any]:
    def compute(
        model: PreTrainedModel,
        *args: Any,
        targets: Tensor,
        token_stats: bool,
        scored: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor | ScoredTokens:
        inputs.pop("return_dict", None)
        outputs = model.base_model(*args, **inputs)
        head = model.get_output_embeddings()
        # With layers on several devices, the last one need not be where the head is.
        hidden, targets = (
            tensor.to(head.weight.device) for tensor in (outputs.last_hidden_state, targets)
        )
        if scored is None:
            _check_positions(hidden, targets)
            hidden = hidden.flatten(0, 1)
        else:
            _check_positions(hidden, inputs["position_ids"])
            hidden = hidden[0, scored.to(hidden.device)]

        def measure(head: nn.Linear, hidden: Tensor) -> Tensor | TokenStats:
            found: Tensor | TokenStats = (linear_token_stats if token_stats else linear_logps)(
                hidden,
                head.weight,
                targets.flatten(),
                bias=head.bias,
                softcap=options.softcap,
                logit_scale=options.logit_scale,
                backend=backend,
                memory_budget=memory_budget,
            )
            return found

        found = head(hidden, measure=measure)
        if isinstance(found, Tensor):
            return _shaped(found, targets)
        return ScoredTokens(TokenStats(*(_shaped(part, targets) for part in found)), outputs)

    return compute


def _measure_in(linear: nn.Linear) -> None:
    """Teach a head's forward a `measure` argument, which then computes in place of it.

    Only within its own forward does a module of a model that FSDP cut have its whole weights.
    """
    plain_forward = unbound_forward(linear)

    @functools.wraps(type(linear).forward)
    def forward(
        self: nn.Linear, input: Tensor, measure: Callable[[nn.Linear, Tensor], Any] | None = None
    ) -> Any:
        return plain_forward(self, input) if measure is None else measure(self, input)

    linear.forward = types.MethodType(forward, linear)  # type: ignore[method-assign]


def _shaped(values: Tensor, targets: Tensor) -> Tensor:
    """Return the values in the shape of the targets; the same tensor if they have it already."""
    return values if values.shape == targets.shape else values.view_as(targets)


def _gathered(plain_forward: Callable[..., Any]) -> Callable[..., Any]:
    """Log-probs over the model's own logits, whose memory their gradient takes."""
    eager = _eager(plain_forward)

    def compute(
        model: PreTrainedModel, *args: Any, targets: Tensor, token_stats: bool, **inputs: Any
    ) -> Tensor | ScoredTokens:
        if token_stats:
            scored: ScoredTokens = eager(model, *args, targets=targets, token_stats=True, **inputs)
            return scored
        logits = _own_logits(plain_forward, model, *args, targets=targets, **inputs)[0]
        made_by = "" if logits.grad_fn is None else logits.grad_fn.name()
        inplace = made_by in _FREE_OF_THEIR_RESULT
        logps = gather_logps(logits, targets.view(logits.shape[:-1]), inplace=inplace)
        return logps.view_as(targets)

    return compute


def _eager(plain_forward: Callable[..., Any]) -> Callable[..., Any]:
    def compute(
        model: PreTrainedModel, *args: Any, targets: Tensor, token_stats: bool, **inputs: Any
    ) -> Tensor | ScoredTokens:
        logits, outputs = _own_logits(plain_forward, model, *args, targets=targets, **inputs)
        mask = targets != IGNORED
        logits = logits[mask.view(logits.shape[:-1])].to(
            torch.promote_types(logits.dtype, torch.float32)
        )
        found = [
            values.new_zeros(targets.shape).masked_scatter(mask, values)
            for values in logps_of(logits, targets[mask], token_stats)
        ]
        if not token_stats:
            return found[0]
        stats = TokenStats(*found)
        return ScoredTokens(stats, outputs)

    return compute


def _own_logits(
    plain_forward: Callable[..., Any],
    model: PreTrainedModel,
    *args: Any,
    targets: Tensor,
    scored: Tensor | None = None,
    **inputs: Any,
) -> tuple[Tensor, Any]:
    """Return the model's logits at `targets`, [B, L, V] or [1, M, V], and its outputs."""
    if scored is None:
        outputs = plain_forward(model, *args, **inputs)
        _check_positions(outputs.logits, targets)
        return outputs.logits, outputs
    if "logits_to_keep" in inspect.signature(type(model).forward).parameters:
        outputs = plain_forward(model, *args, logits_to_keep=scored, **inputs)
        _check_positions(outputs.logits, targets[None])
        return outputs.logits, outputs
    outputs = plain_forward(model, *args, **inputs)
    _check_positions(outputs.logits, inputs["position_ids"])
    return outputs.logits[:, scored], outputs


def _check_positions(states: Tensor, targets: Tensor) -> None:
    if states.shape[:2] != targets.shape:
        raise UsageError(
            "the model's positions are not those of its input",
            received=f"{list(states.shape[:2])} for {list(targets.shape)}",
            remedy="prompt tuning adds tokens of its own; use LoRA or another adapter of weights",
        )
