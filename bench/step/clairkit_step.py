"""Run clairkit's own trainer on token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clairkit.batching import EncodedPair
from clairkit.training import PreferenceTrainer, TrainConfig

# What a variant's name says beside "clairkit"; a kernel otherwise.
FORMS: Mapping[str, Mapping[str, Any]] = {
    "clairkit": {},
    "clairkit large parts": {"tokens_per_step": 8192},  # the default on a GPU
    "clairkit unshared": {"share_prompt": False},
    "clairkit padded": {"padding_free": False},
}


def clairkit_trainer(
    variant: str,
    model: Any,
    tokenizer: Any,
    pairs: Sequence[tuple[list[int], list[int], list[int]]],
    *,
    loss: str,
    beta: float,
    arguments: Mapping[str, Any],
) -> PreferenceTrainer:
    """Return the trainer; it computes the reference before its first step.

    Args:
        variant: a name of `FORMS`, or "clairkit KERNEL".
        model: a transformers causal language model; it is the reference, too.
        tokenizer: for its padding token.
        pairs: prompt, chosen and rejected token ids of each pair.
        loss: a name of `clairkit.losses`.
        beta: factor on the log-ratios.
        arguments: of TrainingArguments.
    """
    keys = FORMS.get(variant) or {"kernel": kernel_of(variant)}
    rest = dict(arguments)
    config = TrainConfig(
        model="",
        pairs="",
        output=rest.pop("output_dir"),
        loss=loss,
        beta=beta,
        max_length=None,
        arguments=rest,
        **keys,
    )
    encoded = [EncodedPair(str(index), *pair) for index, pair in enumerate(pairs)]
    return PreferenceTrainer(model, tokenizer, config, encoded)


def kernel_of(variant: str) -> str:
    """Return the kernel that a variant runs, "auto" where its name says none."""
    return "auto" if variant in FORMS else variant.partition(" ")[2]
