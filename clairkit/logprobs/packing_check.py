"""Find out whether a model can run packed sequences: run a few tokens both ways and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from clairkit.batching.collate import Form, PairCollator, Part
from clairkit.batching.encode import EncodedPair
from clairkit.errors import UsageError
from clairkit.logprobs.head import base_causal_lm
from clairkit.logprobs.packed_attention import no_mask, packed_implementation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Largest difference between both forms' logits, relative to the largest logit.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_TOLERANCE_HALF = 3e-2


@dataclass(frozen=True)
class Packing:
    """The form of a run's batches; `reason` is for people."""

    form: Form
    reason: str


def packing_of(model: nn.Module, wanted: bool | Literal["auto"] = "auto") -> Packing:
    """Return the form of batches for a model, and prepare its attention for the packed form.

    Args:
        model: a transformers causal language model, perhaps under PEFT, where it will run.
        wanted: whether to pack; auto: where the model gives the padded form's logits.

    Raises:
        UsageError: packing is wanted and the model can't.
    """
    if wanted is False:
        return Packing("padded", "asked for")
    base: PreTrainedModel = base_causal_lm(model)
    former = base.config._attn_implementation
    reason = _unfit(base)
    if reason is None:
        base.set_attn_implementation(packed_implementation(former))
        reason = _probe(base)
        if reason is not None:
            base.set_attn_implementation(former)
    if reason is None:
        return Packing("packed", f"{type(base).__name__}'s packed logits equal its padded ones")
    if wanted is True:
        raise UsageError(
            f"{type(base).__name__} can't run without padding: {reason}",
            remedy="set padding_free to auto or false",
        )
    return Packing("padded", f"{type(base).__name__} needs it: {reason}")


def _unfit(base: PreTrainedModel) -> str | None:
    """Return what is known to mix tokens outside of attention."""
    if getattr(base, "_is_stateful", False):
        return "it carries a state from token to token, which would run on into the next sequence"
    if not base._can_set_attn_implementation():
        return "its attention can't be exchanged"
    rates = [getattr(module, "attention_dropout", 0.0) for module in base.modules()]
    if _on_gpu(base) and any(isinstance(rate, float) and rate > 0 for rate in rates):
        return "attention dropout is on, which FlexAttention does not know"
    return None


def _on_gpu(base: PreTrainedModel) -> bool:
    return any(parameter.is_cuda for parameter in base.parameters())


@torch.no_grad()
def _probe(base: PreTrainedModel) -> str | None:
    """Run two pairs both ways; return what differs."""
    weight = next(p for p in base.parameters() if p.is_floating_point())
    pairs = _trial_pairs(base.config.get_text_config().vocab_size)
    forms: tuple[Form, Form] = ("packed", "padded")
    packed, padded = (
        PairCollator(0, form, share_prompt=True).part(pairs, [0, 1]).to(weight.device)
        for form in forms
    )
    was_training = base.training
    base.eval()
    try:
        ours = _logits(base, packed, attention_mask=no_mask(weight.device))
        expected = _logits(base, padded).flatten(0, 1)[padded.side_index]
    except Exception as error:  # whatever a model's code raises, the padded form still works
        return f"a packed trial run failed: {type(error).__name__}: {error}"
    finally:
        base.train(was_training)
    if ours.shape[1] != packed.input_tokens:
        return "its positions are not those of its input"
    ours = ours[0, packed.model["scored"]][packed.side_index]
    gap = float((ours - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
    if not gap <= _TOLERANCE.get(weight.dtype, _TOLERANCE_HALF):
        return f"its packed logits are not its padded ones (they differ by {gap:.1e})"
    return None


def _logits(base: PreTrainedModel, part: Part, **others: Tensor) -> Tensor:
    inputs = {k: v for k, v in part.model.items() if k not in ("targets", "scored")}
    logits: Tensor = base(**inputs, **others, use_cache=False).logits
    return logits.double()


def _trial_pairs(vocabulary: int) -> Sequence[EncodedPair]:
    """Return two pairs of unequal sides; the first one's responses begin alike."""
    tokens = [place * 7919 % vocabulary for place in range(1, 33)]
    first = EncodedPair("first", tokens[:5], tokens[5:11], tokens[5:7] + tokens[11:14])
    second = EncodedPair("second", tokens[14:18], tokens[18:23], tokens[23:32])
    return first, second
