"""LoRA adapters (PEFT): a new one from the configuration, or one to go on with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from clairkit.errors import UsageError
from clairkit.extras import install_command
from clairkit.hub_access import check_model_there
from clairkit.training.config import TrainConfig
from clairkit.training.merge_adapter import check_mergeable

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

Say = Callable[[str], None]

_DEFAULT_SEED = 42  # of transformers.TrainingArguments

# Mamba's kernels read these layers' weights past an adapter, wherefore PEFT refuses them.
_MAMBA_TYPES = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
_MAMBA_LAYERS = ["out_proj", "conv1d"]


def add_adapter(
    model: PreTrainedModel, config: TrainConfig, say: Say = lambda text: None
) -> PeftModel:
    """Return the model under a trainable adapter; all its own weights are frozen.

    The adapter's matrices are float32, whatever the model's weights are; modules of
    `lora_modules_to_save` keep the model's dtype. A new adapter starts as nothing: its random half
    depends on the configured seed alone. Weights beside 4-bit ones stay in the dtype
    they were loaded in (PEFT's preparation casts them to float32, clairkit's default `dtype`).

    Args:
        model: a transformers causal language model.
        config: with `use_peft` or `adapter`.
        say: gets a line when the adapter was made for another base model.

    Raises:
        UsageError: PEFT is missing, a name matches nothing, the adapter can't be had, does not fit
            the model or is of a kind that can't be trained here.
    """
    _check_peft()
    adapted = _continued(model, config, say) if config.adapter else _new(model, config)
    if config.merge_adapter:
        check_mergeable(adapted)
    return adapted


def _check_peft() -> None:
    try:
        import peft  # noqa: F401 - its absence is what is asked
    except ImportError as error:
        raise UsageError(
            "adapters need PEFT, which can't be imported",
            received=str(error),
            remedy=f"run {install_command('peft')}",
        ) from error


def _new(model: PreTrainedModel, config: TrainConfig) -> PeftModel:
    from peft import LoraConfig, get_peft_model

    targets, saved = config.lora_target_modules, config.lora_modules_to_save
    if targets is not None and not isinstance(targets, str):
        _check_names("lora_target_modules", targets, model)
    _check_names("lora_modules_to_save", saved or (), model)
    mamba = model.config.model_type in _MAMBA_TYPES
    hint = _hint(model)
    try:
        with _seeded(config), quiet_peft():
            # Both are honoured: the trainer uses the model's own logits, merging unties.
            warnings.filterwarnings("ignore", message="Model with `tie_word_embeddings=True`")
            warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
            settings = LoraConfig(
                task_type="CAUSAL_LM",
                r=config.lora_r,
                lora_alpha=config.lora_alpha,
                lora_dropout=config.lora_dropout,
                target_modules=_plain(targets) if targets is not None else "all-linear",
                exclude_modules=_MAMBA_LAYERS if targets is None and mamba else None,
                modules_to_save=_plain(saved),
                use_rslora=config.use_rslora,
                use_dora=config.use_dora,
                fan_in_fan_out=_transposed(model),
            )
            adapted = get_peft_model(model, settings)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).removeprefix("[PEFT:PeftType.LORA] ").rstrip(".")
        raise UsageError(f"PEFT can't make this adapter: {reason}", remedy=hint) from error
    settings.base_model_name_or_path = _full_name(config.model)
    return adapted


def _continued(model: PreTrainedModel, config: TrainConfig, say: Say) -> PeftModel:
    from peft import PeftModel
    from safetensors import SafetensorError

    name = str(config.adapter)
    settings = load_adapter_settings(name)
    base = settings.base_model_name_or_path
    if base and _full_name(base) != _full_name(config.model):
        say(f"Warning: {name} was trained on {base}, and goes on with {config.model}.")
    try:
        with quiet_peft():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, name, config=settings, is_trainable=True)
    except (OSError, ValueError, RuntimeError, SafetensorError, UserWarning) as error:
        raise UsageError(
            f"the adapter doesn't fit the model: {_first_line(error)}",
            received=name,
            remedy=f"it was trained on {base or 'a base model that it does not name'}",
        ) from error
    settings.base_model_name_or_path = _full_name(config.model)
    return adapted


def load_adapter_settings(name: str) -> PeftConfig:
    """Return the settings of an adapter; its weights are not read.

    Raises:
        UsageError: PEFT is missing, there are none, or its kind can't be trained here.
    """
    _check_peft()
    check_model_there(name)
    from peft import PeftConfig

    try:
        settings = PeftConfig.from_pretrained(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"can't load the adapter: {_first_line(error)}",
            received=name,
            remedy="give a folder with adapter_config.json and adapter_model.safetensors",
        ) from error
    _check_kind(settings, name)
    return settings


def _check_kind(settings: PeftConfig, name: str) -> None:
    """Adapters that change the tokens or the depth would be scored against the wrong reference."""
    kind = getattr(settings.peft_type, "value", settings.peft_type)
    reason = None
    if settings.is_prompt_learning or settings.is_adaption_prompt:
        reason = "adds tokens of its own"
    elif getattr(settings, "alora_invocation_tokens", None):
        reason = "acts from certain tokens on"
    elif getattr(settings, "layer_replication", None):
        reason = "repeats layers, so that without it the model is not its base"
    if reason is not None:
        raise UsageError(
            f"an adapter of kind {kind} that {reason} can't be trained here",
            received=name,
            remedy="use LoRA or another adapter of weights",
        )


def _check_names(key: str, names: Iterable[str], model: nn.Module) -> None:
    """PEFT is content when one of several names matches."""
    known = [name for name, _ in model.named_modules()]
    for wanted in names:
        if not any(name == wanted or name.endswith(f".{wanted}") for name in known):
            raise UsageError(
                f"{key} names a module that the model doesn't have",
                received=wanted,
                remedy=_hint(model),
            )


def _hint(model: nn.Module) -> str:
    found = (n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear))
    return f"its linear layers are {', '.join(dict.fromkeys(found)) or 'none'}"


def _transposed(model: nn.Module) -> bool:
    """Whether the linear layers are GPT-2's, which hold their weights the other way round."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())


def _plain(names: Any) -> Any:
    return names if names is None or isinstance(names, str) else list(names)


def _full_name(model: str) -> str:
    """A folder's full path: the adapter may be loaded from elsewhere."""
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def quiet_peft() -> Iterator[None]:
    """PEFT asks a model by a name that transformers deprecates: nothing that a user could mend."""
    with warnings.catch_warnings():
        message = "`is_gradient_checkpointing` is deprecated"
        warnings.filterwarnings("ignore", message=message, category=FutureWarning)
        yield


@contextmanager
def _seeded(config: TrainConfig) -> Iterator[None]:
    """The generator as the run's seed leaves it; as before afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(config.arguments.get("seed", _DEFAULT_SEED))
        yield
