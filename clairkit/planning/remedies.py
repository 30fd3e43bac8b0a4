"""Find what makes a run smaller: each remedy planned anew, the least harmful first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clairkit.errors import ClairError
from clairkit.planning.estimate import Plan
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.training.config import TrainConfig

Replan = Callable[[TrainConfig], Plan]

# Least that a remedy must save to be shown, as a share of the peak.
_WORTH = 0.01


@dataclass(frozen=True)
class Remedy:
    """A change of the configuration and what it does."""

    changes: JsonMapping  # configuration keys and their new values
    effect: str  # what it costs, in words
    total: int  # peak memory with it, in bytes
    saved: int  # bytes less than without
    slower: float  # operations of the run as a multiple of those without


def remedies(config: TrainConfig, plan: Plan, capacity: int, replan: Replan) -> list[Remedy]:
    """Return the remedies that help, the least harmful first; all together last if none suffices.

    Args:
        config: of the run that does not fit.
        plan: of the run.
        capacity: bytes that there are.
        replan: plans another configuration.
    """
    found: list[Remedy] = []
    together: JsonObject = {}
    for changes, effect in candidates(config, plan):
        remedy = _tried(config, plan, changes, effect, replan)
        if remedy is not None:
            found.append(remedy)
    if any(remedy.total <= capacity for remedy in found):
        return found
    for remedy in found:
        if remedy.changes.keys() & {"use_peft"} and "use_peft" in together:
            continue
        together |= remedy.changes
        if len(together) == len(remedy.changes):
            continue
        combined = _tried(config, plan, together, "all of these together", replan)
        if combined is not None and combined.total <= capacity:
            return [*found, dataclasses.replace(combined, effect="these together")]
    return found


def candidates(config: TrainConfig, plan: Plan) -> Iterator[tuple[JsonObject, str]]:
    """Yield changes of the configuration with what they cost, in the order of their harm."""
    get = config.arguments.get
    largest = plan.work.largest_pair
    tokens = min(plan.work.limit or plan.work.part_tokens, plan.work.part_tokens)
    for divisor in (2, 4, 8):
        if tokens // divisor >= largest and not config.mix.coupled:
            yield {"tokens_per_step": tokens // divisor}, "same loss, more and smaller forwards"
    if largest < tokens // 8:
        yield {"tokens_per_step": largest}, "same loss, a pair at a time"
    if not (get("gradient_checkpointing") or get("activation_checkpointing")):
        yield {"gradient_checkpointing": True}, "same loss, forwards are made again"
    if not config.trains_adapter and "8bit" not in str(get("optim", "")):
        yield {"optim": "adamw_bnb_8bit"}, "rounded optimizer state; needs bitsandbytes"
        if get("optim") != "adafactor":
            yield {"optim": "adafactor"}, "another optimizer, with other dynamics"
    if not (get("bf16") or get("fp16")) and config.dtype == "float32":
        yield {"bf16": True}, "products in bfloat16"
    if config.dtype == "float32":
        yield {"dtype": "bfloat16"}, "weights in bfloat16: small updates are lost"
    if not config.trains_adapter and not config.freeze:
        yield {"use_peft": True}, "an adapter is trained instead of the weights"
        yield {"use_peft": True, "load_in_4bit": True}, "an adapter on weights of 4 bits"
    elif config.use_peft and not config.load_in_4bit:
        yield {"load_in_4bit": True}, "frozen weights of 4 bits"
    if config.max_length is not None:
        yield {"max_length": config.max_length // 2}, "longer pairs are dropped or cut"


def _tried(
    config: TrainConfig, plan: Plan, changes: JsonMapping, effect: str, replan: Replan
) -> Remedy | None:
    try:
        other = replan(changed(config, changes))
    except ClairError:  # not for this model, or its package is not here
        return None
    saved = plan.memory.total - other.memory.total
    if saved < _WORTH * plan.memory.total:
        return None
    return Remedy(dict(changes), effect, other.memory.total, saved, other.flops / plan.flops)


def changed(config: TrainConfig, changes: JsonMapping) -> TrainConfig:
    """Return a configuration with some keys changed, its own or the Trainer's."""
    own = {field.name for field in dataclasses.fields(TrainConfig)}
    arguments = {key: value for key, value in changes.items() if key not in own}
    return dataclasses.replace(
        config,
        **{key: value for key, value in changes.items() if key in own},
        arguments={**config.arguments, **arguments},
    )
