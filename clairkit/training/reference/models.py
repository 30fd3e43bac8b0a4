"""Open the model behind a reference: the policy's base, an adapter on it, or another model."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from clairkit.batching import EncodedPair
from clairkit.batching.collate import Part
from clairkit.errors import UsageError
from clairkit.extras import install_command
from clairkit.logprobs.head import base_causal_lm
from clairkit.training.adapters import quiet_peft
from clairkit.training.checkpoint.identity import adapter_digest, base_module, weights_digest
from clairkit.training.reference.cache import Source
from clairkit.training.reference.spec import Ref
from clairkit.training.run_directory.portable import portable

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

Collate = Callable[[Sequence[EncodedPair]], Sequence[Part]]

# Ways to begin an adapter that leave the base weights alone; PiSSA and its like move a part of them
# into the adapter, so that the base without it is not the model before training.
_PLAIN_BEGINNINGS = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class ReferenceSettings:
    """How references are computed and where they are kept."""

    batch_size: int  # pairs given to the collator at once
    prepare: Callable[[nn.Module], Collate]
    """Attaches log-probs to another model than the policy, as it was done to the policy, and
    returns the collator for it."""
    load: Callable[[str], nn.Module]
    """Loads the model of `model:ID`, in the policy's dtype, on the CPU."""
    folder: Path | None = None
    """Folder of the cache, see `cache_folder`; None: nothing is looked up or kept."""
    first: Path | None = None
    """A file of the folder to look into first: that of the run that is resumed."""
    name: str = ""  # the policy's name, for people
    weights_sha256: str | None = None  # `weights_digest` of the policy, when it is known already
    say: Callable[[str], None] = lambda text: None  # gets warnings
    progress: Callable[[int, int], None] = lambda done, total: None
    """Called with the pairs computed and all that have to be."""


@dataclass(frozen=True)
class ReferenceModel:
    """A reference that is open."""

    source: Source
    words: str  # what it is, for people
    ready: Callable[[], tuple[nn.Module, Collate]]
    """Returns the model with `targets` in its forward, on its device, and its collator."""
    named: str = ""  # the path or id in `words`, if any

    @property
    def portable_words(self) -> str:
        """`words` without the folders of this machine."""
        return self.words.replace(self.named, portable(self.named)) if self.named else self.words


@contextmanager
def reference_model(
    policy: nn.Module, ref: Ref, collate: Collate, settings: ReferenceSettings, weights: str
) -> Iterator[ReferenceModel]:
    """Open a reference of kind start, base, adapter or model; the policy is left as it was.

    Args:
        policy: the model to train.
        ref: the reference.
        collate: makes the parts of the policy's forwards.
        settings: how to load.
        weights: digest of the policy's base weights.

    Raises:
        UsageError: it can't be loaded, or does not fit the policy.
    """
    device = next(policy.parameters()).device
    if ref.kind == "model":
        held: list[nn.Module] = []
        try:
            yield _other_model(policy, ref.value, settings, device, held)
        finally:
            held.clear()
            _free(device)
        return
    precision = precision_of(policy, device)
    adapter = adapter_digest(policy) if ref.kind == "start" else ""
    if adapter:
        source = Source(weights, precision, adapter, settings.name)
        start = base_causal_lm(policy)
        yield ReferenceModel(
            source, "the model before training, with its adapter", lambda: (start, collate)
        )
        return
    _refuse_base_out_of_reach(policy)
    with _flags_kept(policy), ExitStack() as stack:
        if ref.kind == "adapter":
            yield _with_adapter(policy, ref.value, settings, Source(weights, precision))
            return
        words = "the model before training"
        disable: Callable[[], AbstractContextManager[None]] | None = getattr(
            policy, "disable_adapter", None
        )
        if disable is not None:
            words = "the base model without adapters"
            stack.enter_context(disable())
        source = Source(weights, precision, model=settings.name)
        base = base_causal_lm(policy)
        yield ReferenceModel(source, words, lambda: (base, collate))


def precision_of(model: nn.Module, device: torch.device) -> str:
    """Return the dtype of the weights and, where it is another, that of the products."""
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    parts = [dtype]
    if torch.is_autocast_enabled(device.type):
        parts.append(torch.get_autocast_dtype(device.type))
    names = [str(part).removeprefix("torch.") for part in dict.fromkeys(parts)]
    if device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32:
        names.append("tf32")
    return "+".join(names)


def shared_base(policy: nn.Module) -> nn.Module:
    """Return the policy's base model without adapters, as modules of its own on the same tensors.

    Costs no memory for weights; the policy's modules don't change with it.
    """
    base = base_causal_lm(policy)
    tensors = [*base.parameters(), *base.buffers()]
    shell = copy.deepcopy(base, {id(tensor): tensor for tensor in tensors})
    _strip(shell)
    if hasattr(shell, "peft_config"):
        del shell.peft_config
    return shell


def _strip(module: nn.Module) -> None:
    for name, child in module.named_children():
        base = base_module(child)
        if base is not child:
            setattr(module, name, base)
        _strip(base)


def _with_adapter(
    policy: nn.Module, path: str, settings: ReferenceSettings, source: Source
) -> ReferenceModel:
    try:
        from peft import PeftModel
    except ImportError as error:
        remedy = f"run {install_command('peft')}"
        raise UsageError("ref adapter:PATH needs peft", remedy=remedy) from error
    try:
        with quiet_peft():
            model: PeftModel = PeftModel.from_pretrained(shared_base(policy), path)
    except Exception as error:  # whatever PEFT, safetensors or the Hub's client raise
        raise UsageError(
            f"can't load the adapter of the reference: {error}",
            received=path,
            remedy="name a folder or Hub id of an adapter for this model",
        ) from error
    for config in model.peft_config.values():
        if config.is_prompt_learning or getattr(config, "alora_invocation_tokens", None):
            raise UsageError(
                "the reference's adapter acts on tokens, not on weights",
                received=path,
                remedy="name a LoRA adapter, or another one of weights",
            )
    adapter = adapter_digest(model)
    if not adapter:
        settings.say(f"Warning: the adapter {path} adds nothing: the reference is the base model")
    source = Source(source.weights, source.precision, adapter, settings.name)

    def ready() -> tuple[nn.Module, Collate]:
        # anew: the adapter may sit on the head, which the policy's way would pass by
        collate = settings.prepare(model)
        return base_causal_lm(model), collate

    return ReferenceModel(source, f"the base model with adapter {path}", ready, path)


def _other_model(
    policy: nn.Module,
    name: str,
    settings: ReferenceSettings,
    device: torch.device,
    held: list[nn.Module],
) -> ReferenceModel:
    """Open another model; it stays in memory as long as `held` holds it."""
    model = settings.load(name)
    held.append(model)
    _refuse_base_out_of_reach(model)
    own, other = _embeddings(policy), _embeddings(model)
    if own != other:
        raise UsageError(
            f"the reference {name} has {other} embeddings, and the model to train {own}",
            remedy="the reference must read the same token ids: name a model with the same "
            "tokenizer and vocabulary",
        )
    source = Source(weights_digest(model), precision_of(model, device), model=name)

    def ready() -> tuple[nn.Module, Collate]:
        if next(held[0].parameters()).device != device:
            held[0].to(device)
        return held[0], settings.prepare(held[0])

    return ReferenceModel(source, f"the model {name}", ready, name)


def _embeddings(model: PreTrainedModel) -> int:
    return len(base_causal_lm(model).get_input_embeddings().weight)  # type: ignore[operator]


def _refuse_base_out_of_reach(policy: PreTrainedModel) -> None:
    if not hasattr(policy, "disable_adapter") and any(
        base_module(module) is not module for module in policy.modules()
    ):
        raise UsageError(
            "the model has adapters that can't be switched off",
            remedy="wrap it with peft.PeftModel or peft.get_peft_model",
        )
    for config in getattr(policy, "peft_config", {}).values():
        beginning = getattr(config, "init_lora_weights", True)
        if beginning not in _PLAIN_BEGINNINGS:
            raise UsageError(
                "the adapter's beginning changed the base weights, so that they are no reference",
                received=f"init_lora_weights {beginning!r}",
                remedy="begin it with init_lora_weights=True, or name the reference with model:ID",
            )


@contextmanager
def _flags_kept(policy: nn.Module) -> Iterator[None]:
    """Restore what PEFT makes trainable or not, also when it switches adapters off and on."""
    flags = [(parameter, parameter.requires_grad) for parameter in policy.parameters()]
    try:
        yield
    finally:
        for parameter, flag in flags:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
