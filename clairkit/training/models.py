"""Loading what is trained: tokenizer and model, whole or quantised to 4 bits."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from clairkit.errors import DataError, UsageError
from clairkit.extras import install_command
from clairkit.hub_access import check_model_there
from clairkit.records.formats.encodings import read_text_file
from clairkit.training.config import TrainConfig

if TYPE_CHECKING:
    from transformers import (
        BitsAndBytesConfig,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

ADAPTER_CONFIG = "adapter_config.json"


def load_tokenizer(config: TrainConfig) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, with the configured chat template if any.

    Raises:
        UsageError: there is none, the model is an adapter, or the template can't be read.
    """
    check_model_there(config.model)
    from transformers import AutoTokenizer

    refuse_adapter_as_model(config.model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            config.model, trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"can't load the tokenizer of {config.model!r}: {error}") from error
    if config.chat_template_path is not None:
        path = Path(config.chat_template_path)
        try:
            tokenizer.chat_template = read_text_file(path, "chat template")
        except DataError as error:
            problem = f"can't read chat_template_path: {error.problem}"
            raise UsageError(problem, received=str(path), remedy=error.remedy) from error
    return tokenizer


def load_settings(model: str, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """Return a model's configuration; no weight is read.

    Raises:
        UsageError: there is none, or it is an adapter.
    """
    check_model_there(model)
    from transformers import AutoConfig

    refuse_adapter_as_model(model)
    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        remedy = "give a folder with config.json, or a Hub id"
        problem = f"can't read the configuration of {model!r}: {reason}"
        raise UsageError(problem, remedy=remedy) from error


def load_model(config: TrainConfig) -> PreTrainedModel:
    """Return the model to train, in the configured dtype.

    With `load_in_4bit` the linear layers but the head are quantised (nf4, scales quantised too,
    products in bfloat16); the rest is in the configured dtype.

    Raises:
        UsageError: there is no such model, it is an adapter, or it can't be quantised.
    """
    check_model_there(config.model)
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    refuse_adapter_as_model(config.model)
    quantisation = {"quantization_config": _four_bits(config)} if config.load_in_4bit else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            config.model,
            dtype=config.dtype,
            trust_remote_code=config.trust_remote_code,
            **quantisation,
        )
    except (OSError, ValueError, SafetensorError, ImportError) as error:
        raise UsageError(f"can't load the model {config.model!r}: {error}") from error
    for layer in filter(is_4bit, model.modules()):
        # On a CPU with AVX512-BF16, bitsandbytes 0.50 repacks the weights in an evaluation, and
        # from then on no gradient passes the layer.
        layer.support_avx512bf16_for_cpu = False
    return model


def refuse_adapter_as_model(model: str) -> None:
    """Refuse a folder or Hub id that holds an adapter.

    Raises:
        UsageError: with the base model that the adapter names.
    """
    base = adapter_base(model)
    if base is not None:
        raise UsageError(
            "the model is an adapter",
            received=model,
            remedy=f"to train it further, set model: {base or 'BASE'} and adapter: {model}",
        )


def adapter_base(model: str) -> str | None:
    """Return the base model that an adapter names, "" for none; None for what is no adapter."""
    import json

    from transformers.utils.peft_utils import find_adapter_config_file

    try:
        found = find_adapter_config_file(model)
        adapter = None if found is None else json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such model: the loader says so better
        return None
    return None if adapter is None else adapter.get("base_model_name_or_path") or ""


def is_4bit(module: nn.Module) -> bool:
    """Whether a module is a linear layer with 4-bit weights of bitsandbytes."""
    return type(getattr(module, "weight", None)).__name__ == "Params4bit" and isinstance(
        module, nn.Linear
    )


def is_quantised(model: nn.Module) -> bool:
    """Whether any layer has 4-bit weights."""
    return any(is_4bit(module) for module in model.modules())


def _four_bits(config: TrainConfig) -> BitsAndBytesConfig | None:
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageError("load_in_4bit needs bitsandbytes", remedy=f"run {install_command('bnb')}")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
