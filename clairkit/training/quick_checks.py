"""Check what can be told of a training run before torch and transformers are imported."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clairkit.choices import AUTO_LOSS, LOSS_ALIASES, LOSS_NAMES
from clairkit.errors import UsageError, suggest
from clairkit.hub_access import check_model_there
from clairkit.records import ColumnChoice, read_pairs
from clairkit.records.formats.yaml_file import load_yaml, read_yaml
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.source import find_source

# What other trainers call our keys; those without another name are here for the command line.
KEYS = {
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
    "rate": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "epoch": "num_train_epochs",
    "num_train_epochs": "num_train_epochs",
    "steps": "max_steps",
    "max_steps": "max_steps",
    "batch_size": "per_device_train_batch_size",
    "train_batch_size": "per_device_train_batch_size",
    "per_device_train_batch_size": "per_device_train_batch_size",
    "micro_batch_size": "per_device_train_batch_size",
    "grad_accum": "gradient_accumulation_steps",
    "gradient_accumulation": "gradient_accumulation_steps",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "weight_decay": "weight_decay",
    "warmup": "warmup_steps",
    "warmup_steps": "warmup_steps",
    "warmup_ratio": "warmup_steps",
    "scheduler": "lr_scheduler_type",
    "lr_scheduler": "lr_scheduler_type",
    "lr_scheduler_type": "lr_scheduler_type",
    "optimizer": "optim",
    "optim": "optim",
    "seed": "seed",
    "save_steps": "save_steps",
    "logging_steps": "logging_steps",
    "max_seq_length": "max_length",
    "max_seq_len": "max_length",
    "seq_len": "max_length",
    "max_length": "max_length",
    "bf16": "bf16",
    "fp16": "fp16",
    "dtype": "dtype",
    "torch_dtype": "dtype",
    "precision": "dtype",
    "rank": "lora_r",
    "lora_rank": "lora_r",
    "lora_r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora": "use_peft",
    "peft": "use_peft",
    "qlora": "load_in_4bit",
    "load_in_4bit": "load_in_4bit",
    "freeze": "freeze",
    "label_smoothing": "label_smoothing",
    "report_to": "report_to",
    "loss_type": "loss",
    "dataset": "pairs",
    "dataset_name": "pairs",
    "data": "pairs",
    "train_file": "pairs",
    "train_data": "pairs",
    "train": "pairs",
    "eval_dataset": "eval_pairs",
    "eval_file": "eval_pairs",
    "model_name_or_path": "model",
    "base_model": "model",
    "output_dir": "output",
    "out": "output",
    "ref_model": "ref",
    "adapter_path": "adapter",
    "kl_coef": "beta",
}

_TOLD_LATER = "output_dir"  # a key of transformers that is reserved, not unknown


def check_quickly(flags: JsonMapping, settings: Sequence[str], file: str | None) -> None:
    """Refuse keys under another trainer's name, pairs that can't be read, a model that is nowhere.

    Only what is certain: the rest is checked when the configuration is resolved.

    Args:
        flags: values given on the command line; None means not given.
        settings: `key=value` texts.
        file: path of a YAML file.

    Raises:
        UsageError: a key has another name here, or there is no such model.
        DataError: the pairs are not there, or their first row can't be read.
        RemoteError: the model is not here, and the Hub does not answer.
    """
    values = {**_file_values(file), **_setting_values(settings)}
    values |= {key: value for key, value in flags.items() if value is not None}
    for key in values:
        if KEYS.get(key, key) != key and key != _TOLD_LATER:
            raise UsageError(
                "unknown configuration key", received=key, remedy=f"did you mean {KEYS[key]}?"
            )
    if isinstance(values.get("loss"), str):
        _check_loss(values["loss"])
    for key in ("pairs", "eval_pairs"):
        if isinstance(values.get(key), str):
            _check_pairs(values[key], values)
    if isinstance(values.get("model"), str) and values["model"]:
        check_model_there(values["model"])


def _check_loss(text: str) -> None:
    """Refuse a single word that is no loss; sums and weights are for `parse_loss`."""
    word = text.strip().replace("-", "_")
    others = (*LOSS_ALIASES, AUTO_LOSS)
    if not word.isidentifier() or word in LOSS_NAMES or word.lower() in others:
        return
    hint = suggest(word, (*LOSS_NAMES, *others), shown=repr)
    remedy = f"{hint}Known losses: {', '.join(LOSS_NAMES)}"
    raise UsageError("unknown loss", received=text, remedy=remedy)


def _check_pairs(source: str, values: JsonMapping) -> None:
    """Read the first row; rows of one side are for the loss to accept or refuse."""
    if find_source(source).kind == "hub":
        return
    ignored = values.get("ignore_column")
    columns = ColumnChoice(
        values.get("prompt_column"),
        values.get("system_column"),
        tuple(ignored) if isinstance(ignored, list | tuple) else (),
    )
    skip_bad = bool(values.get("skip_bad"))
    next(iter(read_pairs(source, skip_bad=skip_bad, one_sided=True, columns=columns)))


def _setting_values(settings: Sequence[str]) -> JsonObject:
    found: JsonObject = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        with suppress(ValueError):  # told by `resolve`
            found[key.strip()] = load_yaml(text)
    return found


def _file_values(file: str | None) -> JsonObject:
    try:
        found = None if file is None else read_yaml(Path(file))
    except (OSError, ValueError):  # told by `resolve`
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
