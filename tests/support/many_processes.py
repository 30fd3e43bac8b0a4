"""Tiny runs of one process or several, which gloo connects, forked from one that has the imports.

accelerate shards a model over GPUs alone; `shard_without_gpu` lets it do so on a CPU.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killed_runs import CONTEXT
from two_processes import environment, in_each

from clairkit.records import Pair

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a process ended: the parts of each batch that it trained on, and its error if any."""

    parts: tuple[int, ...]
    error: str = ""
    signal: int | None = None


def uneven_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Return pairs of very different lengths."""
    chance = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(chance.choices(("fox", "dog", "is", "quick"), k=chance.randint(1, most)))

    return [
        Pair(
            prompt=({"role": "user", "content": f"{n} {words(30)}"},),
            chosen=({"role": "assistant", "content": f"the {words(25)}"},),
            rejected=({"role": "assistant", "content": f"here {words(25)}"},),
        )
        for n in range(count)
    ]


def shard_without_gpu(state_dict_type: str) -> None:
    """Set FSDP2 up as accelerate's launcher does, and let accelerate take a CPU for a GPU.

    Only the choice is changed: wrapping, sharding, saving and loading are accelerate's own.
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_RESHARD_AFTER_FORWARD": "true",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_STATE_DICT_TYPE": state_dict_type,
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
        "FSDP_OFFLOAD_PARAMS": "false",
    }
    begin = AcceleratorState.__init__

    def begin_sharded(self: Any, *args: Any, **kwargs: Any) -> None:
        known = bool(AcceleratorState._shared_state)
        begin(self, *args, **kwargs)
        if not known and kwargs.get("fsdp_plugin") is not None:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = kwargs["fsdp_plugin"]
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = begin_sharded


def _train(
    rank: int,
    port: int,
    count: int,
    flags: Settings,
    settings: Settings,
    sharded: str,
    stop: tuple[int, int] | None,
    answers: Any,
) -> None:
    os.environ |= {"ACCELERATE_USE_CPU": "true", "CLAIRKIT_CACHE": flags["output"] + "-cache"}
    if count > 1:
        os.environ |= environment(rank, count, port)
    import torch

    from clairkit.errors import ClairError
    from clairkit.training import PreferenceTrainer, resolve, run_training
    from clairkit.training.processes import leave_group

    torch.set_num_threads(1)
    if sharded:
        shard_without_gpu(sharded)
    parts: list[int] = []
    original = PreferenceTrainer.training_step

    def counted(self: Any, model: Any, inputs: Any, *args: Any) -> Any:
        parts.append(len(inputs["parts"]))
        if (rank, self.state.global_step + 1) == stop:
            signal.raise_signal(signal.SIGTERM)
        return original(self, model, inputs, *args)

    PreferenceTrainer.training_step = counted  # type: ignore[method-assign]
    run = Path(flags["output"])
    resume = (run / "config.yaml").exists()
    try:
        result = run_training(
            resolve(flags, [f"{key}={value}" for key, value in settings.items()]), resume=resume
        )
        found = Ended(tuple(parts), signal=result.signal)
    except ClairError as error:
        found = Ended(tuple(parts), str(error))
    answers.put((rank, found))
    leave_group()


def train_in(
    count: int,
    flags: Settings,
    settings: Settings,
    *,
    sharded: str = "",
    stop: tuple[int, int] | None = None,
) -> Sequence[Ended]:
    """Begin a run in `count` processes, or resume the one in its folder; return how each ended.

    Args:
        count: of processes.
        flags: of `clairkit train`.
        settings: its `--set`.
        sharded: FSDP2's state dict type; "" for data parallel.
        stop: (rank, step) in which a process gets SIGTERM.
    """
    found = in_each(CONTEXT, count, _train, count, flags, settings, sharded, stop)
    return [ended for _, ended in found]
