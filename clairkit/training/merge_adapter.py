"""Merge a model's adapter into its weights, for writing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clairkit.errors import UsageError
from clairkit.training.models import is_4bit, is_quantised

if TYPE_CHECKING:
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper
    from transformers import PreTrainedModel

# What PEFT and transformers write.
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.*")
_MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
)


def remove_stale(folder: Path, *, adapter: bool) -> None:
    """Remove the model of an earlier run from a folder with an adapter, and the other way round.

    With both in one folder, transformers loads that model and puts that adapter on it.
    """
    for pattern in _MODEL_FILES if adapter else _ADAPTER_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def check_mergeable(model: PeftModel) -> None:
    """Refuse to merge what can't be merged, before anything is trained.

    Raises:
        UsageError: with the reason.
    """
    from peft.utils.other import AuxiliaryTrainingWrapper, ModulesToSaveWrapper

    reason = None
    wrappers = [part for part in model.modules() if isinstance(part, AuxiliaryTrainingWrapper)]
    settings = model.peft_config[model.active_adapters[0]]
    if len(model.active_adapters) != 1:
        reason = f"{len(model.active_adapters)} adapters are active"
    elif not all(isinstance(part, ModulesToSaveWrapper) for part in wrappers):
        reason = "it trains single tokens of the embeddings"
    elif is_quantised(model) and getattr(settings, "use_dora", False):
        reason = "DoRA's magnitudes are those of 4-bit weights"
    elif is_quantised(model) and getattr(settings, "lora_bias", False):
        reason = "it has biases, and lies on 4-bit weights"
    if reason is not None:
        raise UsageError(
            f"this adapter can't be merged: {reason}",
            remedy="set merge_adapter: false; the adapter is saved by itself",
        )


def merged_model(model: PeftModel) -> PreTrainedModel:
    """Return the merged model, for saving; the model under training is not changed.

    Only layers with an adapter are new tensors (in main memory), the others are the model's own.
    4-bit weights are dequantised: the merged model is what was trained, not the base with the
    adapter on it. Embeddings that the adapter set apart are no longer tied. The result has no
    buffers outside of its state and can't run; load what it saves.
    """
    base = model.get_base_model()
    settings = copy.deepcopy(base.config)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config
    with torch.device("meta"):
        merged = type(base)(settings)
    merged.load_state_dict(merged_state(model), assign=True)
    merged.generation_config = base.generation_config
    if hasattr(base, "_weight_conversions"):  # how transformers names and splits them in files
        merged._weight_conversions = base._weight_conversions
    read, made = merged.get_input_embeddings(), merged.get_output_embeddings()
    if made is not None and made.weight.data_ptr() != read.weight.data_ptr():
        for part in (settings, settings.get_text_config()):
            part.tie_word_embeddings = False
    return merged


@torch.no_grad()
def merged_state(model: PeftModel) -> dict[str, Tensor]:
    """Return the base model's state with the active adapter merged in.

    Raises:
        UsageError: the adapter can't be merged.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    check_mergeable(model)
    base, adapter = model.get_base_model(), model.active_adapters[0]
    dtype = base.get_input_embeddings().weight.dtype
    parts: dict[str, dict[str, Tensor]] = {}
    for name, module in base.named_modules():
        if any(name.startswith(f"{done}.") for done in parts):
            continue
        if isinstance(module, BaseTunerLayer):
            parts[name] = _merged_layer(module, adapter, dtype)
        elif isinstance(module, ModulesToSaveWrapper):
            parts[name] = _saved_module(module, adapter)
        elif is_4bit(module):
            parts[name] = _dequantised(module, dtype)
    prefixes = tuple(f"{name}." for name in parts)
    state = {key: value for key, value in base.state_dict().items() if not key.startswith(prefixes)}
    for name, part in parts.items():
        state.update({f"{name}.{key}": value for key, value in part.items()})
    return state


def _merged_layer(layer: BaseTunerLayer, adapter: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """PEFT merges in place: let it, into a copy at least as fine as float32, rounded once."""
    base = layer.get_base_layer()
    if is_4bit(base):
        state = _dequantised(base, torch.float32)
        state["weight"] += layer.get_delta_weight(adapter).cpu()
        return {key: value.to(dtype) for key, value in state.items()}
    parameters = dict(base.named_parameters())
    originals = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for parameter in parameters.values():
            fine = torch.promote_types(parameter.dtype, torch.float32)
            parameter.data = parameter.data.to(fine, copy=True)
        for part in _nested(layer):
            part.merge(adapter_names=[adapter])
        state = {
            name: parameter.data.to("cpu", originals[name].dtype, copy=True)
            for name, parameter in parameters.items()
        }
        for part in reversed(_nested(layer)):
            part.unmerge()
    finally:
        for name, parameter in parameters.items():
            parameter.data = originals[name]
    return state


def _nested(layer: BaseTunerLayer) -> list[BaseTunerLayer]:
    """The layer and the adapter layers inside of it: PEFT wraps each parameter by itself."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer]
    while isinstance(layers[-1].base_layer, BaseTunerLayer):
        layers.append(layers[-1].base_layer)
    return layers


def _saved_module(wrapper: ModulesToSaveWrapper, adapter: str) -> dict[str, Tensor]:
    """The trained copy of a module, in the dtype of the original."""
    kinds = {key: value.dtype for key, value in wrapper.original_module.state_dict().items()}
    trained = wrapper.modules_to_save[adapter].state_dict()
    return {key: value.to(kinds[key]) for key, value in trained.items()}


def _dequantised(layer: nn.Linear, dtype: torch.dtype) -> dict[str, Tensor]:
    from bitsandbytes.functional import dequantize_4bit

    weight: Any = layer.weight
    state = {"weight": dequantize_4bit(weight.data, weight.quant_state).to("cpu", dtype)}
    if layer.bias is not None:
        state["bias"] = layer.bias.data.to("cpu", dtype)
    return state
