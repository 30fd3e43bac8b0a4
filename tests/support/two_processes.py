"""A tiny training in two processes, data parallel on the CPU with gloo."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from pathlib import Path
from typing import Any

from killed_runs import make_pairs
from tiny import make_llama, make_tokenizer

# gloo's threads don't get on with a process that was forked.
CONTEXT = multiprocessing.get_context("spawn")


def _train(
    rank: int, port: int, run: Path, max_steps: int, stop_at: tuple[int, int] | None, answers: Any
) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    import torch
    from transformers import TrainerCallback

    from clairkit.errors import ResourceError
    from clairkit.training import PreferenceTrainer, TrainConfig
    from clairkit.training.checkpoints import resume_point
    from clairkit.training.interrupt import StopOnSignal

    torch.set_num_threads(1)

    class Send(TrainerCallback):
        def on_step_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
            if (rank, state.global_step + 1) == stop_at:
                signal.raise_signal(signal.SIGTERM)

    arguments = {
        "per_device_train_batch_size": 2, "max_steps": max_steps, "save_steps": 2,
        "learning_rate": 1e-3, "use_cpu": True, "disable_tqdm": True, "save_total_limit": 1,
    }  # fmt: skip
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
        steps = trainer.train(resume_from_checkpoint=checkpoint).global_step
    if steps == max_steps:
        trainer.save_model()
    answers.put((rank, steps))
    torch.distributed.destroy_process_group()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def train_two(run: Path, *, max_steps: int, stop: tuple[int, int] | None = None) -> list[int]:
    """Begin or resume a training of two processes; return the step at which each ended.

    Args:
        run: the run directory.
        max_steps: its length; a checkpoint every other step, the newest is kept.
        stop: (rank, step) in which a process gets SIGTERM.
    """
    port = free_port()
    answers = CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=_train, args=(rank, port, run, max_steps, stop, answers))
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    return [step for _, step in sorted(answers.get() for _ in processes)]
