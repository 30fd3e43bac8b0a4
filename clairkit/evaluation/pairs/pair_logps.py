"""Measure what models make of pairs: log-probs of both sides, and gains over a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clairkit.batching import ChatEncoder, EncodedPair
from clairkit.batching.collate import PairCollator
from clairkit.batching.encode import Unrenderable
from clairkit.display import excerpt
from clairkit.errors import ResourceError, UsageError
from clairkit.logprobs.head import attach_logps
from clairkit.logprobs.packing_check import packing_of
from clairkit.records import Pair
from clairkit.records.json_types import JsonObject
from clairkit.training.config import TrainConfig
from clairkit.training.data import TrainingPairs
from clairkit.training.encoding import encode_pair_for_training
from clairkit.training.masks import edited_tokens, weights_of
from clairkit.training.models import adapter_base, load_model, load_tokenizer
from clairkit.training.preflight import step_tokens
from clairkit.training.preparation import check_vocabulary, pad_id
from clairkit.training.reference.compute import cache_folder, compute_references
from clairkit.training.reference.models import ReferenceSettings
from clairkit.training.reference.spec import Ref

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


SIDES = ("chosen", "rejected")
_LEFT_OUT = (
    "too_long",
    "identical",
    "identical_but_thoughts",
    "identical_after_truncation",
    "only_thoughts",
    "refused",
)
_PAIRS_AT_ONCE = 64  # enough to fill parts with sequences of like length
_DIGITS = 6  # of a written log-prob: more than float32 holds

Say = Callable[[str], None]
Logps = Sequence[tuple[Tensor, Tensor]]  # of each pair: chosen's and rejected's, [tokens] each


@dataclass(frozen=True)
class PairColumns:
    """Columns of pairs by their place in the input, and how many pairs got none, by reason."""

    columns: dict[int, JsonObject]
    left_out: dict[str, int]
    """By the reasons for which `encode_pairs` drops a pair."""


@dataclass(frozen=True)
class _Model:
    """A model as the command line names it: itself, or an adapter on its base."""

    name: str
    base: str
    ref: Ref

    @classmethod
    def named(cls, name: str) -> _Model:
        name = name.removeprefix("hf:")
        base = adapter_base(name)
        if base is None:
            return cls(name, name, Ref("base"))
        if not base:
            remedy = "set base_model_name_or_path in its adapter_config.json"
            raise UsageError("the adapter names no base model", received=name, remedy=remedy)
        return cls(name, base, Ref("adapter", name))


def model_columns(
    pairs: Sequence[Pair],
    config: TrainConfig,
    reference: str | None = None,
    say: Say = lambda text: None,
) -> PairColumns:
    """Return what the target, and a reference, make of each pair; see `columns_of`.

    Log-probs are computed and kept as `clairkit train` does for its reference: a run that starts
    from the same model finds them. One model is in memory at a time.

    Args:
        pairs: pairs of two sides.
        config: of a training run. Its `model` is the target, a model or an adapter; max_length,
            truncation, dtype, kernel and the chat template mean what they mean there.
        reference: a model or an adapter that reads the same tokens.
        say: gets a line for people for each model.

    Raises:
        UsageError: a model can't be loaded, or reads other tokens.
        DataError: a pair can't be rendered, or has ids that the model has no embedding for.
        ResourceError: a log-prob is not finite, or memory ran out.
    """
    if config.adapter is not None:
        remedy = "leave the key adapter out, and name the adapter as the target"
        raise UsageError("the target is named twice", received=config.adapter, remedy=remedy)
    models = [_Model.named(name) for name in (config.model, reference) if name is not None]
    configs = [replace(config, model=model.base) for model in models]
    tokenizer = load_tokenizer(configs[0])
    encoded, left_out = encode_by_place(pairs, tokenizer, config)
    items = list(encoded.values())
    for other in configs[1:]:
        _check_same_tokens(items, tokenizer, load_tokenizer(other), models[1].name)
    logps = [
        _logps(model, own, items, pad_id(tokenizer), say) if items else []
        for model, own in zip(models, configs, strict=True)
    ]
    names = {"logps_target": models[0].name, "logps_reference": reference}
    columns = {
        place: names | columns_of(pair, *sides)
        for place, pair, *sides in zip(encoded, items, *logps, strict=True)
    }
    return PairColumns(columns, left_out)


def columns_of(
    pair: EncodedPair,
    target: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor] | None = None,
) -> JsonObject:
    """Return a pair's columns; log-probs are sums over tokens in nats.

    For each side: `tokens_*` of the response, end of turn included; `edited_*`, those in edit
    spans; `logp_*` under the target, `logp_edits_*` over edited tokens alone, and
    `logp_per_token_*`, a mean; `logp_margin` = chosen - rejected. With a reference also
    `reference_logp_*`; `gain_*` = target - reference, and its two parts `gain_edits_*` over edited
    tokens and `gain_shared_*` over the others; `gain_margin`. Times beta, a gain is the reward of
    the preference losses. Tokens of others' turns that the pair marks as foreign count nowhere.

    Args:
        pair: the pair as token ids.
        target: log-probs of chosen's and rejected's tokens, [tokens] each.
        reference: the same under the reference.
    """
    found: JsonObject = {}
    edited = edited_tokens(pair)
    kept = [weights > 0 for weights in weights_of("all", 1.0, edited, pair.foreign)]
    for place, (side, own) in enumerate(zip(SIDES, kept, strict=True)):
        ours, marks = target[place].double()[own], edited[place][own]
        found |= {
            f"tokens_{side}": len(marks),
            f"edited_{side}": int(marks.sum()),
            f"logp_{side}": _sum(ours),
            f"logp_edits_{side}": _sum(ours[marks]),
            f"logp_per_token_{side}": round(float(ours.sum()) / max(1, len(ours)), _DIGITS),
        }
        if reference is not None:
            theirs = reference[place].double()[own]
            gain = ours - theirs
            found |= {
                f"reference_logp_{side}": _sum(theirs),
                f"gain_{side}": _sum(gain),
                f"gain_edits_{side}": _sum(gain[marks]),
                f"gain_shared_{side}": _sum(gain[~marks]),
            }
    for name in ("logp", "gain")[: 1 if reference is None else 2]:
        margin = found[f"{name}_chosen"] - found[f"{name}_rejected"]
        found[f"{name}_margin"] = round(margin, _DIGITS)
    return found


def _sum(values: Tensor) -> float:
    return round(float(values.sum()), _DIGITS) + 0.0  # without a negative zero


def encode_by_place(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[dict[int, EncodedPair], dict[str, int]]:
    """Return the pairs that training would see, by their place, and why others are left out."""
    encoder = ChatEncoder.of(tokenizer, config.chat)
    counts: Counter[str] = Counter()
    found = {}
    for place, pair in enumerate(pairs):
        try:
            encoded = encode_pair_for_training(pair, encoder, counts, config)
        except Unrenderable:
            counts["refused"] += 1
            continue
        if encoded is not None:
            found[place] = encoded
    return found, {key: counts[key] for key in _LEFT_OUT if counts[key]}


def _check_same_tokens(
    pairs: Sequence[EncodedPair],
    tokenizer: PreTrainedTokenizerBase,
    other: PreTrainedTokenizerBase,
    reference: str,
) -> None:
    """Refuse a reference to which the ids of these pairs mean something else."""
    used = sorted(
        {
            token
            for pair in pairs
            for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)
            for token in ids
        }
    )
    ours, theirs = (each.convert_ids_to_tokens(used) for each in (tokenizer, other))
    for token, mine, its in zip(used, ours, theirs, strict=True):
        if mine != its:
            raise UsageError(
                f"the reference reads other tokens: {token} is {excerpt(repr(mine), 40)} to the "
                f"target and {excerpt(repr(its), 40)} to it",
                received=reference,
                remedy="name a model with the target's tokenizer",
            )


def _logps(
    model: _Model, config: TrainConfig, pairs: Sequence[EncodedPair], pad: int, say: Say
) -> Logps:
    """Return a model's log-probs of the pairs, from the cache as far as they are there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokens = step_tokens(config, device.type)

    def prepare(network: nn.Module) -> PairCollator:
        attach_logps(network, config.kernel, config.memory_budget, device)
        form = packing_of(network, config.padding_free).form
        return PairCollator(pad, form, config.share_prompt, tokens)

    try:
        network = load_model(config).to(device)
        check_vocabulary(network, TrainingPairs(pairs))
        settings = ReferenceSettings(
            batch_size=_PAIRS_AT_ONCE,
            prepare=prepare,
            load=lambda name: load_model(replace(config, model=name)),
            folder=cache_folder(),
            name=model.base,
            say=say,
        )
        found = compute_references(network, model.ref, pairs, prepare(network), settings)
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            f"out of memory while {model.name} reads the pairs",
            remedy=f"halve tokens_per_step (now {tokens}), or set dtype to bfloat16",
        ) from error
    words = found.description.removeprefix("Reference: ")
    say(f"{model.name}: {words.replace('the model before training', 'the model itself')}")
    return found.logps
