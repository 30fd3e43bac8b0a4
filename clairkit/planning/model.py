"""The model, adapter and optimizer of a run, as tensors without memory."""

from __future__ import annotations

import fnmatch
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from clairkit.errors import UsageError
from clairkit.training.adapters import add_adapter, load_adapter_settings, quiet_peft
from clairkit.training.config import TrainConfig
from clairkit.training.preparation import prepare_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, TrainingArguments

# nf4 with scales that are quantised too: 4 bits, a byte for 64 weights, a float32 for 64 * 256.
_FOUR_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
_ADAPTERS = frozenset(
    ("adapter", "use_peft", "use_rslora", "use_dora", "load_in_4bit", "merge_adapter", "freeze")
)
_BLOCK = 256  # weights that share a float32 scale in 8-bit optimizers


def build_model(settings: PreTrainedConfig, config: TrainConfig) -> PreTrainedModel:
    """Return the model to train on the meta device, adapters and freezing done.

    Raises:
        UsageError: transformers has no causal language model for these settings, or the adapter
            does not fit.
    """
    from transformers import AutoModelForCausalLM

    name = config.dtype
    dtype = getattr(settings, "dtype", None) if name == "auto" else getattr(torch, name)
    with torch.device("meta"):
        try:
            model = AutoModelForCausalLM.from_config(
                settings, dtype=dtype or torch.float32, trust_remote_code=config.trust_remote_code
            )
        except ValueError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"can't make a model of {config.model!r}: {reason}") from error
        if config.adapter:
            model = _with_adapter_of(model, config.adapter)
        elif config.use_peft:
            model = add_adapter(model, config)
    prepare_model(model, config)
    return model


def without_adapter(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the keys of adapters at their defaults, and nothing frozen."""
    defaults: dict[str, Any] = {f.name: f.default for f in fields(TrainConfig)}
    own = [name for name in defaults if name in _ADAPTERS or name.startswith("lora_")]
    return replace(config, **{name: defaults[name] for name in own})


def to_fake(model: nn.Module) -> None:
    """Put tensors of the CPU in the place of those of the meta device, under a fake mode."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, old in tensors.items():
                if old is None:
                    continue
                if id(old) not in made:
                    new = torch.empty(old.shape, dtype=old.dtype)
                    if isinstance(old, nn.Parameter):
                        new = nn.Parameter(new, requires_grad=old.requires_grad)
                    made[id(old)] = new
                tensors[name] = made[id(old)]  # type: ignore[assignment]


def _with_adapter_of(model: PreTrainedModel, name: str) -> PreTrainedModel:
    """Return the model under a new adapter of the same settings: its weights are not needed."""
    from peft import get_peft_model

    settings = load_adapter_settings(name)
    settings.inference_mode = False
    with quiet_peft():
        return get_peft_model(model, settings)


def four_bit_saving(model: nn.Module) -> int:
    """Return the bytes that 4-bit weights save: those of linear layers, the head excepted."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    layers = {
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Linear) and module is not head and not module.weight.requires_grad
    }
    return round(sum(w.numel() * (w.element_size() - _FOUR_BITS) for w in layers))


def make_optimizer(model: nn.Module, arguments: TrainingArguments) -> torch.optim.Optimizer:
    """Return the optimizer that the Trainer would make.

    Raises:
        UsageError: its package is not here, and it is no 8-bit one.
    """
    from transformers import Trainer

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    name = str(getattr(arguments.optim, "value", arguments.optim))
    if fnmatch.fnmatch(name, "*8bit*"):
        return EightBits(trained, 1 if "lion" in name or "rmsprop" in name else 2)
    try:
        made, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    except (ImportError, ValueError) as error:
        raise UsageError(f"the optimizer {name} can't be planned: {error}") from error
    optimizer: torch.optim.Optimizer = made(trained, **settings)
    return optimizer


class EightBits(torch.optim.Optimizer):
    """Holds what bitsandbytes' 8-bit optimizers hold: a byte a moment, and scales."""

    def __init__(self, parameters: list[nn.Parameter], moments: int) -> None:
        super().__init__(parameters, {})
        self.moments = moments

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Allocate the state at the first step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter not in self.state:
                    self.state[parameter] = self._moments_of(parameter)

    def _moments_of(self, parameter: Tensor) -> dict[str, Tensor]:
        size = parameter.numel()
        state = {}
        for at in range(self.moments):
            state[f"moment{at}"] = torch.empty(size, dtype=torch.uint8)
            state[f"scales{at}"] = torch.empty(-(-size // _BLOCK), dtype=torch.float32)
        return state
