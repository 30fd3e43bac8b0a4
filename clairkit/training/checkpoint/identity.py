"""Identify what a run started from by content: token ids and weights, not their paths."""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clairkit.batching import EncodedPair
from clairkit.errors import UsageError
from clairkit.training.run_directory.files import RUN

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

# What a run started from, with the configuration key under which it may change by name.
_INPUTS = {
    "data_sha256": ("the training pairs", "pairs"),
    "weights_sha256": ("the model's weights", "model"),
    "adapter_sha256": ("the adapter's weights", "adapter"),
    "reference_sha256": ("the reference", "ref"),
}
_PIECE = 64 << 20  # bytes that are copied from a GPU at once
_THREADS = 4  # hashlib lets go of the interpreter

# Configuration keys without a say in log-probs: names, versions, what acts in training alone, and
# where an adapter sits, which the names of its weights tell.
_SILENT_KEYS = {
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "auto_mapping",
    "base_model_name_or_path",
    "bos_token_id",
    "chunk_size_feed_forward",
    "corda_config",
    "dtype",
    "eos_token_id",
    "eva_config",
    "exclude_modules",
    "id2label",
    "inference_mode",
    "init_lora_weights",
    "initializer_range",
    "label2id",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "modules_to_save",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "peft_version",
    "return_dict",
    "revision",
    "target_modules",
    "target_parameters",
    "task_type",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}


def data_digest(pairs: Sequence[EncodedPair]) -> str:
    """Return the sha256 of all token ids, in order."""
    total = hashlib.sha256()
    for pair in pairs:
        for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids):
            total.update(array("q", [len(ids), *ids]).tobytes())
    return total.hexdigest()


@torch.no_grad()
def weights_digest(model: nn.Module) -> str:
    """Return the sha256 of the base model: every parameter and saved buffer, whole.

    Names, shapes, dtypes and bytes count, and so do the configuration's settings that act on
    log-probs (the base of the rotary angles is in no weight). Adapters of PEFT do not: a model has
    the same digest with and without them. Tied weights count once. Weights may lie on a GPU; with
    sharded weights, ask before they are sharded.

    Raises:
        UsageError: an adapter is merged into the weights, or they are not in memory.
    """
    get_base = getattr(model, "get_base_model", None)
    base = get_base() if callable(get_base) else model
    named: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in _base_tensors(base, ""):
        if id(tensor) not in seen:
            named[name] = tensor
            seen.add(id(tensor))
    return _combined(named, _settings(getattr(base, "config", None)))


@torch.no_grad()
def adapter_digest(model: PreTrainedModel) -> str:
    """Return the sha256 of the active PEFT adapters; "" for none, or one that adds nothing yet.

    A fresh LoRA adapter adds nothing: one of its factors is 0. Its name does not count.
    """
    configs = getattr(model, "peft_config", None)
    if not configs or not hasattr(model, "active_adapters") or adds_nothing(model):
        return ""
    from peft import get_peft_model_state_dict

    parts = []
    for name in sorted(model.active_adapters):
        state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
        parts.append(_combined(state, _settings(configs[name])))
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


@torch.no_grad()
def adds_nothing(model: PreTrainedModel) -> bool:
    """Tell whether the active adapters leave the model as its base is."""
    configs = [model.peft_config[name] for name in model.active_adapters]
    if any(str(config.peft_type).rpartition(".")[2] != "LORA" for config in configs):
        return False
    if any(getattr(config, "trainable_token_indices", None) for config in configs):
        return False
    return not any(
        _differs(module, name) for module in model.modules() for name in model.active_adapters
    )


def _differs(module: nn.Module, adapter: str) -> bool:
    """Tell whether a module acts otherwise than its base by this LoRA adapter."""
    for factor in ("lora_B", "lora_embedding_A"):  # the one that is 0 at first
        factors = getattr(module, factor, {})
        if adapter in factors:
            found = factors[adapter]
            tensors = [found] if isinstance(found, Tensor) else found.parameters()
            if any(bool(tensor.any()) for tensor in tensors):
                return True
    copies = getattr(module, "modules_to_save", None)
    if isinstance(copies, nn.ModuleDict) and adapter in copies:
        original: Any = module.original_module
        pairs = zip(copies[adapter].parameters(), original.parameters(), strict=True)
        return not all(torch.equal(now, before) for now, before in pairs)
    return False


def base_module(module: nn.Module) -> nn.Module:
    """Return the module under its adapters, or the module itself.

    Raises:
        UsageError: an adapter is merged into it.
    """
    if "peft" not in sys.modules:
        return module
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    while isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
        if isinstance(module, BaseTunerLayer) and module.merged:
            raise UsageError(
                "an adapter is merged into the base weights, which are thus not to be had",
                remedy="unmerge it and load the base anew, or merge for good (merge_and_unload)",
            )
        inner = "base_layer" if isinstance(module, BaseTunerLayer) else "original_module"
        module = getattr(module, inner)
    return module


def check_same_inputs(run: Path, now: Mapping[str, object], allowed: Sequence[str] = ()) -> None:
    """Refuse to resume from other pairs, weights or reference, or in other processes.

    Args:
        run: the run directory.
        now: today's digests, and the number of `processes`.
        allowed: configuration keys whose change is allowed; the reference goes with the model.

    Raises:
        UsageError: with what differs.
    """
    if "model" in allowed:
        allowed = (*allowed, "ref")
    try:
        before = json.loads((run / RUN).read_text(encoding="utf-8"))
        changed = [
            what
            for key, (what, name) in _INPUTS.items()
            if before.get(key) != now.get(key) and name not in allowed
        ]
        processes = before.get("processes", now.get("processes"))
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{run / RUN} can't be read: {error}") from error
    if processes != now.get("processes"):
        raise UsageError(
            f"{run} was started in another number of processes: {processes} then, "
            f"{now.get('processes')} now",
            remedy="launch as many as then: random states are saved by process, and a step holds "
            "so many pairs for each; or start a new run with another --output",
        )
    if changed:
        raise UsageError(
            f"{' and '.join(changed)} changed since {run} was started",
            remedy="bring back what it started from, or start a new run with another --output",
        )


def _base_tensors(module: nn.Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and saved buffers under the names that they have without adapters."""
    module = base_module(module)
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield prefix + name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield prefix + name, buffer
    for name, child in module._modules.items():
        if child is not None:
            yield from _base_tensors(child, f"{prefix}{name}.")


def _combined(named: Mapping[str, Tensor], settings: str) -> str:
    names = sorted(named)
    with ThreadPoolExecutor(_THREADS) as threads:
        digests = threads.map(_tensor_digest, [named[name] for name in names])
        lines = [f"{name} {digest}" for name, digest in zip(names, digests, strict=True)]
    return hashlib.sha256("\n".join([settings, *lines]).encode()).hexdigest()


def _tensor_digest(tensor: Tensor) -> str:
    if tensor.is_meta:
        raise UsageError("weights that are not in memory can't be identified (device meta)")
    total = hashlib.sha256()
    for part in _plain_parts(tensor):
        total.update(f"{list(part.shape)} {part.dtype}\n".encode())
        raw = part.detach().contiguous().reshape(-1).view(torch.uint8)
        for start in range(0, len(raw), _PIECE):
            total.update(raw[start : start + _PIECE].cpu().numpy().data)
    return total.hexdigest()


def _plain_parts(tensor: Tensor) -> Iterator[Tensor]:
    """Yield what a tensor consists of: quantised weights have scales beside their codes."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is not None and type(tensor) not in (Tensor, nn.Parameter):
        for name in flatten()[0]:
            yield from _plain_parts(getattr(tensor, name))
        return
    yield tensor.data if type(tensor) is nn.Parameter else tensor
    state = getattr(tensor, "quant_state", None)  # of bitsandbytes, 4 bits
    if state is not None:
        packed = state.as_dict(packed=True)
        yield from (packed[name] for name in sorted(packed))
    scales = getattr(tensor, "SCB", None)  # of bitsandbytes, 8 bits
    if isinstance(scales, Tensor):
        yield scales


def _settings(config: PeftConfig) -> str:
    """Return the settings that act on log-probs as one text.

    Those at their class's defaults are left out: a release of transformers may add some.
    """
    if not hasattr(config, "to_dict"):
        return ""
    try:
        usual = type(config)().to_dict()
    except (TypeError, ValueError):  # a class without defaults: all its settings count
        usual = {}
    kept = {
        key: value
        for key, value in config.to_dict().items()
        if key not in _SILENT_KEYS and "dropout" not in key and value != usual.get(key)
    }
    named = {"kind": type(config).__name__, **kept}
    return json.dumps(
        named,
        sort_keys=True,
        default=lambda value: sorted(value) if isinstance(value, set) else str(value),
    )
