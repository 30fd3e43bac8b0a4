"""Training runs in processes of their own, killed at a moment of choice and resumed until done."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from moments import Clock, Moment, watch_disk
from tiny import make_llama, make_tokenizer

from clairkit.errors import ResourceError
from clairkit.records import Pair, write_pairs

# One process imports torch and transformers; each run is forked from it within milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "clairkit.training.run",
        "clairkit.training.trainer",
        "transformers.models.llama.modeling_llama",
        "yaml",
    ]
)
DISK_FAILED = 5
# Three micro-batches a step and two steps an epoch; a checkpoint each step, two kept.
SETTINGS = {
    "max_steps": 5,
    "save_steps": 1,
    "save_total_limit": 2,
    "logging_steps": 1,
    "eval_steps": 2,
    "eval_strategy": "steps",
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 2,
    "gradient_accumulation_steps": 3,
    "learning_rate": 1e-3,
    "use_cpu": True,
}


def watch(clock: Clock) -> None:
    """Count micro-batches, evaluation batches, steps, logs, and all that touches the disk."""
    import torch
    import transformers.modeling_utils

    from clairkit.training import PreferenceTrainer
    from clairkit.training.checkpoint.interrupt import StopOnSignal
    from clairkit.training.run_directory.files import MetricsFile

    clock.before(PreferenceTrainer, "training_step", "micro-batch")
    clock.before(PreferenceTrainer, "prediction_step", "evaluation")
    clock.before(StopOnSignal, "on_step_end", "step")
    clock.before(MetricsFile, "on_log", "log")
    clock.half_written(torch, "save", "torch.save", 1)
    clock.half_written(transformers.modeling_utils, "safe_save_file", "weights", 1)
    watch_disk(clock)


def make_pairs(count: int) -> list[Pair]:
    """Return pairs that differ in length and in one word or more."""
    return [
        Pair(
            prompt=({"role": "user", "content": f"say {n}"},),
            chosen=({"role": "assistant", "content": f"the {n} fox"},),
            rejected=({"role": "assistant", "content": f"the {n} dog is here"},),
        )
        for n in range(count)
    ]


def make_inputs(folder: Path) -> dict[str, str]:
    """Write a model, training and evaluation pairs; return them as flags."""
    make_llama().save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    write_pairs(folder / "pairs.jsonl", make_pairs(12))
    write_pairs(folder / "eval.jsonl", make_pairs(4))
    return {
        "model": str(folder / "model"),
        "pairs": str(folder / "pairs.jsonl"),
        "eval_pairs": str(folder / "eval.jsonl"),
    }


def train(flags: Mapping[str, Any], moment: Moment | None) -> None:
    """Begin or resume a run, as somebody would who finds its folder; runs in its own process.

    Leaves with 5, as the command does, when the disk fails.
    """
    import torch

    from clairkit.training import resolve, run_training

    torch.set_num_threads(1)
    gc.freeze()  # what was forked is not looked through again and again
    clock = Clock(moment)
    watch(clock)
    run = Path(flags["output"])
    resolved = resolve({**flags}, [f"{key}={value}" for key, value in SETTINGS.items()])
    resume = (run / "config.yaml").exists()
    try:
        run_training(resolved, resume=resume, force=not resume)
    except ResourceError as error:  # killed before the first checkpoint
        if "there is no checkpoint" not in str(error):
            leave_failed(error, moment)
        run_training(resolved, force=True)
    except OSError as error:
        leave_failed(error, moment)
    (run / "seen.json").write_text(json.dumps(clock.seen))


def leave_failed(error: Exception, moment: Moment | None) -> NoReturn:
    """Leave as the command does on a failing disk, if that was asked for."""
    code = error.errno if isinstance(error, OSError) else None
    if moment is None or moment.error is None or code not in (None, moment.error):
        raise error
    os._exit(DISK_FAILED)


def run_once(
    flags: Mapping[str, Any], moment: Moment | None = None, *, seconds: float | None = None
) -> bool:
    """Train until done or killed, at the moment or after some seconds; return whether it is done.

    Raises:
        AssertionError: it ended in another way.
    """
    process = CONTEXT.Process(target=train, args=(flags, moment))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    codes = (0, DISK_FAILED) if moment and moment.error else (0, -signal.SIGKILL)
    assert process.exitcode in codes
    return process.exitcode == 0


def outcome(run: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Return the final weights, and the metrics of each step without what a clock said."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    clocks = ("runtime", "per_second", "train_loss", "total_flos")
    return (run / "model.safetensors").read_bytes(), [
        {key: value for key, value in row.items() if not key.endswith(clocks)} for row in rows
    ]
