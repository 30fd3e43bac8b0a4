"""Prepare what a run is made of: the Trainer's arguments, pairs as tokens, a model to train."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from clairkit.batching import ChatEncoder, EncodedPair
from clairkit.errors import DataError, UsageError
from clairkit.records import Pair
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.leakage import prompt_digest
from clairkit.training.arguments.checks import checked_arguments
from clairkit.training.best_metric import greater_is_better
from clairkit.training.config import TrainConfig
from clairkit.training.data import TrainingPairs
from clairkit.training.encoding import encode_for_training


def as_training_pairs(
    pairs: Iterable[Pair] | Iterable[EncodedPair],
    tokenizer: PreTrainedTokenizerBase,
    config: TrainConfig,
) -> TrainingPairs:
    """Encode pairs as the configuration says; encoded ones are taken as they are.

    Raises:
        UsageError: they are neither records nor all encoded.
        DataError: no pair is left.
    """
    items = list(pairs)
    encoded_already = [item for item in items if isinstance(item, EncodedPair)]
    if items and len(encoded_already) == len(items):
        return TrainingPairs(encoded_already)
    records = [item for item in items if isinstance(item, Pair)]
    if len(records) < len(items):
        other = next(item for item in items if not isinstance(item, Pair))
        raise UsageError(
            "pairs must be records, or all encoded",
            received=type(other).__name__,
            remedy="read them with clairkit.records.read_pairs",
        )
    encoded = encode_for_training(records, ChatEncoder.of(tokenizer, config.chat), config)
    prompts = {prompt_digest(pair) for pair in records}
    return TrainingPairs(encoded.pairs, encoded.sources, prompts)


# Pairs to evaluate on; several sets of them by their names.
HeldOut = (
    Iterable[Pair] | Iterable[EncodedPair] | Mapping[str, Iterable[Pair] | Iterable[EncodedPair]]
)


def held_out_sets(
    pairs: HeldOut | None, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> dict[str, TrainingPairs]:
    """Return the encoded sets of held-out pairs by name: "" where there is one without a name.

    Raises:
        UsageError: there are several sets, without names.
    """
    if pairs is None:
        return {}
    if not isinstance(pairs, Mapping):
        return {"": as_training_pairs(pairs, tokenizer, config)}
    if not pairs or not all(isinstance(name, str) and name for name in pairs):
        raise UsageError(
            "several sets of eval_pairs need a name each",
            received=list(pairs),
            remedy='pass {"NAME": pairs, …}, or pairs alone',
        )
    return {name: as_training_pairs(some, tokenizer, config) for name, some in pairs.items()}


def training_arguments(config: TrainConfig) -> TrainingArguments:
    """Return the Trainer's arguments.

    Raises:
        UsageError: transformers refuses a value; its reason is passed on.
    """
    # Pinned memory is for copies to a GPU; without one torch warns of it.
    pin = {"dataloader_pin_memory": torch.cuda.is_available()}

    def build(given: JsonMapping) -> TrainingArguments:
        values = {**pin, **config.default_arguments, **_by_names_of_today(given)}
        metric = values.get("metric_for_best_model")
        if metric is not None and values.get("greater_is_better") is None:
            values["greater_is_better"] = greater_is_better(metric, config.mix)
        return TrainingArguments(
            output_dir=config.output, remove_unused_columns=False, label_names=[], **values
        )

    return checked_arguments(build, config.arguments)


# Keys that a later transformers knows by another name, and warns of under the one of before.
_RENAMED = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}


def _by_names_of_today(values: JsonMapping) -> JsonObject:
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    renamed = {old: new for old, new in _RENAMED.items() if new in known - values.keys()}
    return {renamed.get(key, key): value for key, value in values.items()}


def prepare_model(model: nn.Module, config: TrainConfig) -> None:
    """Switch dropout off and freeze what the configuration names.

    Raises:
        UsageError: a pattern of `freeze` matches no parameter.
        DataError: nothing is left to train.
    """
    if config.disable_dropout:
        for module, name in _dropout_rates(model):
            setattr(module, name, 0.0)
    names = dict(model.named_parameters())
    for pattern in config.freeze:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise UsageError(
                "a freeze pattern matches no parameter",
                received=pattern,
                remedy=f"the names look like {', '.join(list(names)[:3])}",
            )
        for name in matches:
            names[name].requires_grad_(False)
    trained = [parameter for parameter in names.values() if parameter.requires_grad]
    if not trained:
        raise DataError("nothing is trainable", remedy="freeze fewer parameters")
    refuse_float16(parameter.dtype for parameter in trained)


def refuse_float16(dtypes: Iterable[torch.dtype | None]) -> None:
    """Refuse to train weights in float16 without float32 masters.

    Squared gradients are 0 in it, so that Adam divides by nothing: after two steps no weight is
    what it was.

    Raises:
        UsageError: one of the dtypes is float16.
    """
    if torch.float16 in dtypes:
        raise UsageError(
            "weights in float16 can't be trained without float32 masters: the run would explode",
            received="dtype float16",
            remedy="set dtype: float32, with fp16: true for products in float16 on a GPU; weights "
            "under an adapter may stay in float16",
        )


def has_dropout(model: nn.Module) -> bool:
    """Tell whether anything is left out at random when the model is trained."""
    return any(getattr(module, name) for module, name in _dropout_rates(model))


def _dropout_rates(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield modules with the attribute that holds a rate of dropout.

    Beside Dropout modules there are layers that hand a rate of their own to a function
    (`attention_dropout`, OPT's `dropout`) or skip themselves (`layerdrop`).
    """
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            yield module, "p"
        held = [key for key, value in vars(module).items() if isinstance(value, float)]
        yield from ((module, name) for name in held if "drop" in name)


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id to pad with; masked everywhere, so that any token will do."""
    value = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if value is None else value)


def check_vocabulary(model: PreTrainedModel, data: TrainingPairs) -> None:
    """Refuse token ids for which the model has no embedding.

    Raises:
        DataError: there is one.
    """
    size = len(model.get_input_embeddings().weight)
    for pair in data.pairs:
        largest = max(pair.prompt_ids + pair.chosen_ids + pair.rejected_ids)
        if largest >= size:
            raise DataError(
                f"the tokenizer makes token id {largest}, and the model has {size} embeddings",
                remedy="use the model's own tokenizer, or resize its embeddings",
            )
