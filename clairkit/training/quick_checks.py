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
_OTHERS = {
    "learning_rate": "lr rate",
    "num_train_epochs": "epochs num_epochs epoch",
    "max_steps": "steps",
    "per_device_train_batch_size": "batch_size train_batch_size micro_batch_size",
    "gradient_accumulation_steps": "grad_accum gradient_accumulation",
    "warmup_steps": "warmup warmup_ratio",
    "lr_scheduler_type": "scheduler lr_scheduler",
    "optim": "optimizer",
    "max_length": "max_seq_length max_seq_len seq_len",
    "dtype": "torch_dtype precision",
    "lora_r": "rank lora_rank",
    "use_peft": "lora peft",
    "load_in_4bit": "qlora",
    "loss": "loss_type",
    "pairs": "dataset dataset_name data train_file train_data train",
    "eval_pairs": "eval_dataset eval_file",
    "model": "model_name_or_path base_model",
    "output": "output_dir out",
    "ref": "ref_model",
    "adapter": "adapter_path",
    "beta": "kl_coef",
}
_ALONE = (
    "gradient_checkpointing weight_decay seed save_steps logging_steps bf16 fp16 lora_alpha freeze "
    "label_smoothing report_to"
)
KEYS = {key: key for key in (*_OTHERS, *_ALONE.split())}
KEYS |= {name: key for key, names in _OTHERS.items() for name in names.split()}

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
