"""A tiny training in two processes, data parallel on the CPU with gloo."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer

# gloo's threads don't get on with a process that was forked.
CONTEXT = multiprocessing.get_context("spawn")


def _begin(
    rank: int, port: int, run: Path, max_steps: int, stop: tuple[int, int] | None, answers: Any
) -> None:
    os.environ |= {"ACCELERATE_USE_CPU": "true", **environment(rank, 2, port)}
    from clairkit.training.processes import leave_group

    answers.put((rank, _train(rank, run, max_steps, stop)))
    leave_group()


def _train(rank: int, run: Path, max_steps: int, stop_at: tuple[int, int] | None) -> int:
    import torch
    from transformers import TrainerCallback

    from clairkit.errors import ResourceError
    from clairkit.training import PreferenceTrainer, TrainConfig
    from clairkit.training.checkpoint.checkpoints import resume_point
    from clairkit.training.checkpoint.interrupt import StopOnSignal

    torch.set_num_threads(1)

    class Send(TrainerCallback):
        def on_step_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
            if (rank, state.global_step + 1) == stop_at:
                signal.raise_signal(signal.SIGTERM)

    arguments = {
        "per_device_train_batch_size": 2,
        "max_steps": max_steps,
        "save_steps": 2,
        "learning_rate": 1e-3,
        "use_cpu": True,
        "disable_tqdm": True,
        "save_total_limit": 1,
    }
    config = TrainConfig(model="m", pairs="p", output=str(run), arguments=arguments)
    stop = StopOnSignal(lambda text: None)
    trainer = PreferenceTrainer(
        make_llama(), make_tokenizer(), config, make_pairs(12), callbacks=[Send(), stop]
    )
    try:
        checkpoint: str | None = str(resume_point(run)[0])
    except ResourceError:
        checkpoint = None
    with stop.listening():
        steps: int = trainer.train(resume_from_checkpoint=checkpoint).global_step
    if steps == max_steps:
        trainer.save_model()
    return steps


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    """Return what torchrun tells a process: where its agent's store is, here that of `in_each`."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }


def in_each(
    context: Any, count: int, begin: Callable[..., None], *arguments: Any
) -> list[tuple[int, Any]]:
    """Run `begin(rank, port, *arguments, answers)` in each of `count` processes.

    The first one that fails ends the others, which would wait for it.

    Args:
        context: starts the processes.
        count: of them.
        begin: puts (rank, what it has to say) into `answers`.
        arguments: go to each.

    Returns:
        What each put, by rank.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    answers = context.SimpleQueue()
    processes = [
        context.Process(target=begin, args=(rank, store.port, *arguments, answers))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    running = {process.sentinel: process for process in processes}
    while running:
        for sentinel in wait(list(running)):
            ended = running.pop(sentinel)
            ended.join()
            if ended.exitcode:
                for other in running.values():
                    other.kill()
    codes = [process.exitcode for process in processes]
    assert codes == [0] * count, codes
    return sorted(answers.get() for _ in processes)


def train_two(run: Path, *, max_steps: int, stop: tuple[int, int] | None = None) -> list[int]:
    """Begin or resume a training of two processes; return the step at which each ended.

    Args:
        run: the run directory.
        max_steps: its length; a checkpoint every other step, the newest is kept.
        stop: (rank, step) in which a process gets SIGTERM.
    """
    return [step for _, step in in_each(CONTEXT, 2, _begin, run, max_steps, stop)]
