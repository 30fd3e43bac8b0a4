"""Pairs, models and settings for tests of references."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from tiny import make_llama
from torch import nn

from clairkit.batching import EncodedPair
from clairkit.batching.collate import PairCollator, Part
from clairkit.logprobs.head import attach_logps
from clairkit.logprobs.packing_check import packing_of
from clairkit.training.reference.compute import References
from clairkit.training.reference.models import ReferenceSettings
from clairkit.training.reference.spec import Ref

BASE = Ref("base")


def make_pairs(count: int = 12, seed: int = 0) -> list[EncodedPair]:
    """Pairs of random tokens; one has no chosen side, one no rejected, two share a sequence."""
    draw = random.Random(seed)

    def tokens(least: int, most: int) -> list[int]:
        return [draw.randrange(512) for _ in range(draw.randint(least, most))]

    pairs = [
        EncodedPair(f"{n:016x}", tokens(1, 20), tokens(1, 30), tokens(1, 30)) for n in range(count)
    ]
    pairs[1] = dataclasses.replace(pairs[1], chosen_ids=[])
    pairs[2] = dataclasses.replace(pairs[2], rejected_ids=[])
    pairs[4] = dataclasses.replace(
        pairs[4], prompt_ids=pairs[3].prompt_ids, rejected_ids=pairs[3].chosen_ids
    )
    return pairs


@torch.no_grad()
def direct(model: Any, prompt: list[int], response: list[int]) -> torch.Tensor:
    """Log-probs from the model's own logits, one sequence at a time."""
    if not response:
        return torch.zeros(0)
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0]


def check(references: References, model: Any, pairs: Sequence[EncodedPair]) -> None:
    """Compare references with a model's own logits."""
    for pair, (chosen, rejected) in zip(pairs, references.logps, strict=True):
        for found, response in ((chosen, pair.chosen_ids), (rejected, pair.rejected_ids)):
            assert found.dtype == torch.float32
            expected = direct(model, pair.prompt_ids, response)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


class Counted:
    """A collator that notes the pairs it was given."""

    def __init__(self, collate: PairCollator) -> None:
        self.collate = collate
        self.pairs: list[EncodedPair] = []

    def __call__(self, pairs: Sequence[EncodedPair]) -> list[Part]:
        self.pairs += pairs
        return self.collate(pairs)

    @property
    def sequences(self) -> int:
        return sum(bool(pair.chosen_ids) + bool(pair.rejected_ids) for pair in self.pairs)


def prepare(model: nn.Module) -> Counted:
    """Attach log-probs and return the collator, as a run does it."""
    attach_logps(model, "torch")
    return Counted(PairCollator(0, packing_of(model).form, tokens=100))


def make_settings(folder: Path) -> ReferenceSettings:
    """Return settings that keep their cache in `folder` and load `model:SEED`."""
    return ReferenceSettings(
        batch_size=5,
        prepare=prepare,
        load=lambda name: make_llama(seed=int(name)),
        folder=folder,
        name="tiny",
        say=list[str]().append,
    )


def said(settings: ReferenceSettings) -> list[str]:
    """Return the warnings that went to `make_settings`' list."""
    return settings.say.__self__  # type: ignore[attr-defined]


def lora(model: Any, seed: int | None = None, **settings: Any) -> Any:
    """Put a LoRA adapter on a model, a fresh one or one of random values."""
    settings = {"r": 4, "target_modules": ["q_proj", "down_proj"], **settings}
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    if seed is not None:
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in wrapped.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.normal_(0, 0.3)
    return wrapped


def state(model: nn.Module) -> tuple[Any, ...]:
    """All of a policy that a reference could disturb."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [(name, p.requires_grad, p.grad) for name, p in model.named_parameters()]
    modes = [(name, type(module), module.training) for name, module in model.named_modules()]
    adapters = getattr(model, "active_adapters", None), list(getattr(model, "peft_config", {}))
    switched = [
        m.disable_adapters
        for m in model.modules()
        if hasattr(m, "disable_adapters") and not callable(m.disable_adapters)
    ]
    return tensors, flags, modes, adapters, switched


def assert_same(before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
    """Compare two states bit for bit."""
    assert before[1:] == after[1:]
    assert before[0].keys() == after[0].keys()
    for name, tensor in before[0].items():
        assert torch.equal(tensor, after[0][name]), name
