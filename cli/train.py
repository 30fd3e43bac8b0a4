"""Define `clairkit train`."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from typing import Any

import click

from clairkit.choices import KERNELS, LOSS_ALIASES, LOSS_MASKS, TRUNCATIONS
from clairkit.cli.config_command import ConfigCommand
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.options import config_column_options, once


@click.command(
    "train", cls=ConfigCommand, short_help="Train a model on pairs with an anchored loss."
)
@once("--model", help="Folder or Hub id of the model; it is the reference, too.")
@once("--pairs", help="File, folder or Hub id of the training pairs.")
@click.option("-o", "--output", help="The run directory.")
@once("--eval-pairs", help="Held-out pairs for the loss.")
@click.option("--loss", help="apo_zero (default), apo_down, sigmoid, … as TRL names them; auto.")
@click.option("--beta", type=float, help="Strength of the anchor; 0.1 by default.")
@click.option(
    "--kernel",
    type=click.Choice(KERNELS),
    help="How log-probs are computed.",
)
@click.option(
    "--ref",
    help="The reference: start (default: the model as it is before training), base (adapters off), "
    "adapter:PATH, model:ID, cache:FILE.",
)
@click.option(
    "--loss-mask",
    type=click.Choice(LOSS_MASKS),
    help="Response tokens that count in the loss.",
)
@click.option(
    "--truncation",
    type=click.Choice(TRUNCATIONS),
    help="What a pair longer than max_length gets.",
)
@click.option(
    "--tokens-per-step",
    type=int,
    help="Most tokens in one forward; by default 1024 on a CPU, else 8192.",
)
@click.option("--adapter", help="A LoRA adapter to go on training.")
@click.option("--use-peft", is_flag=True, default=None, help="Train a new LoRA adapter.")
@click.option("--config", "file", metavar="FILE", help="A YAML file of configuration keys.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="One key; repeatable.")
@click.option("--print-config", is_flag=True, help="Show each value and its origin, then stop.")
@click.option("--resume", is_flag=True, help="Go on from the newest whole checkpoint.")
@click.option(
    "--allow-change",
    metavar="KEY",
    multiple=True,
    help="A key that may differ from the run that is resumed; repeatable.",
)
@click.option(
    "--stop-at",
    type=float,
    metavar="STEP|SHARE",
    help="End after a step, or a share of all below 1, with a checkpoint; --resume goes on.",
)
@click.option("--force", is_flag=True, help="Write into a run directory that holds something.")
@config_column_options
@click.option("--skip-bad", is_flag=True, default=None, help="Leave out unreadable rows.")
@output_options
def command(
    file: str | None,
    settings: tuple[str, ...],
    print_config: bool,
    resume: bool,
    allow_change: tuple[str, ...],
    stop_at: float | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> int:
    """Train a model on preference pairs with an anchored loss.

    Keys of --config and --set are those of transformers.TrainingArguments (learning_rate,
    max_steps, per_device_train_batch_size, …), TRL's beta and max_length, and clairkit's own.
    Flags win over --set, --set over the file, the file over defaults.
    """
    from clairkit.training.quick_checks import check_quickly

    # Of the processes of `accelerate launch` and torchrun the first one speaks.
    silent = os.environ.get("RANK", "0") != "0"
    console = Console(as_json=as_json, quiet=quiet, silent=silent)
    if not print_config:
        check_quickly(flags, settings, file)
    from clairkit.training.config_sources import resolve

    resolved = resolve(flags, settings, file)
    if (said := resolved.config.loss) != (given := (flags["loss"] or said)):
        _say_alias(console, given, said)
    if print_config:
        from clairkit.training.run_directory.files import config_text

        console.show(config_text(resolved).rstrip())
        console.result(resolved.config.to_dict())
        return 0
    from clairkit.training.processes import leave_group
    from clairkit.training.run import run_training

    result = run_training(
        resolved,
        resume=resume,
        force=force,
        allowed=allow_change,
        stop_at=stop_at,
        say=console.note,
    )
    leave_group()
    console.result(
        {
            **dataclasses.asdict(result),
            "output": str(result.output),
            "diagnosis": result.diagnosis.to_dict(),
        }
    )
    if result.signal is not None:
        console.warn(f"Interrupted after step {result.steps}. To go on:\n{_resume_command()}")
        return 128 + result.signal
    if result.is_paused:
        console.show(f"Stopped after step {result.steps}, as asked. To go on:\n{_resume_command()}")
        return 0
    metrics = {k: v for k, v in result.metrics.items() if k.startswith(_SHOWN)}
    console.table(
        f"{result.steps} steps on {result.pairs} pairs, {result.seconds:.0f} s, "
        f"peak {result.peak_memory_mb:.0f} MB",
        ["last logged step", "value"],
        [[name, f"{value:.4f}"] for name, value in metrics.items()],
    )
    if result.best is not None:
        best = result.best
        loaded = ", which is the model that was written" if best["loaded"] else ""
        console.show(f"Best {best['metric']}: {best['value']:.4g}, at step {best['step']}{loaded}.")
    for line in result.diagnosis.lines:
        console.show(line)
    console.show(f"Curves: {result.output / 'training.html'}")
    console.show(f"Model: {result.output}   Metrics: {result.output / 'metrics.jsonl'}")
    console.note(f"Next: clairkit evaluate PROMPTS --model hf:{result.output} --check python:…")
    return 0


def _say_alias(console: Console, given: str, said: str) -> None:
    """Tell once that a loss is known under another name here."""
    if LOSS_ALIASES.keys() & set(re.split(r"[+*\s]+", given.lower())):
        console.note(f"The loss {given} is {said} here, as TRL names it.")


# The others are in metrics.jsonl; the diagnosis reads them.
_SHOWN = ("loss", "rewards/", "logps/", "quadrants/", "kl/")


def _resume_command() -> str:
    arguments = _without_stop(
        [word for word in sys.argv[1:] if word not in ("--resume", "--force")]
    )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        launched = shlex.join(["-m", "clairkit.cli", *arguments, "--resume"])
        return f"accelerate launch … {launched}   (with the launcher's options of before)"
    return shlex.join(["clairkit", *arguments, "--resume"])


def _without_stop(arguments: list[str]) -> list[str]:
    """Leave out where this run was to stop."""
    kept = [word for word in arguments if not word.startswith("--stop-at=")]
    if "--stop-at" in kept:
        at = kept.index("--stop-at")
        del kept[at : at + 2]
    return kept
