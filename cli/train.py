"""`clairkit train`."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import Any

import click

from clairkit.cli.console import Console, output_options


@click.command("train", short_help="Train a model on pairs with an anchored loss.")
@click.option("--model", help="Folder or Hub id of the model; it is the reference, too.")
@click.option("--pairs", help="File, folder or Hub id of the training pairs.")
@click.option("-o", "--output", help="The run directory.")
@click.option("--eval-pairs", help="Held-out pairs for the loss.")
@click.option("--loss", help="apo_zero (default), apo_down, sigmoid, … as TRL names them.")
@click.option("--beta", type=float, help="Strength of the anchor; 0.1 by default.")
@click.option(
    "--kernel",
    type=click.Choice(["auto", "triton", "native", "torch", "eager"]),
    help="How log-probs are computed.",
)
@click.option("--config", "file", metavar="FILE", help="A YAML file of configuration keys.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="One key; repeatable.")
@click.option("--print-config", is_flag=True, help="Show each value and its origin, then stop.")
@click.option("--resume", is_flag=True, help="Go on from the newest whole checkpoint.")
@click.option("--force", is_flag=True, help="Write into a run directory that holds something.")
@click.option("--skip-bad", is_flag=True, default=None, help="Leave out unreadable rows.")
@output_options
def command(
    file: str | None,
    settings: tuple[str, ...],
    print_config: bool,
    resume: bool,
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
    from clairkit.training.config import resolve

    console = Console(as_json=as_json, quiet=quiet)
    resolved = resolve(flags, settings, file)
    if print_config:
        from clairkit.training.files import config_text

        console.show(config_text(resolved).rstrip())
        console.result(resolved.config.to_dict())
        return 0
    from clairkit.training.run import run_training

    result = run_training(resolved, resume=resume, force=force, say=console.note)
    console.result({**dataclasses.asdict(result), "output": str(result.output)})
    if result.signal is not None:
        console.warn(f"Interrupted after step {result.steps}. To go on:\n{_resume_command()}")
        return 128 + result.signal
    metrics = {k: v for k, v in result.metrics.items() if "/" in k or k == "loss"}
    console.table(
        f"{result.steps} steps on {result.pairs} pairs, {result.seconds:.0f} s, "
        f"peak {result.peak_memory_mb:.0f} MB",
        ["last logged step", "value"],
        [[name, f"{value:.4f}"] for name, value in metrics.items()],
    )
    console.show(f"Model: {result.output}   Metrics: {result.output / 'metrics.jsonl'}")
    console.note(f"Next: clairkit evaluate PROMPTS --model hf:{result.output} --check python:…")
    return 0


def _resume_command() -> str:
    arguments = [word for word in sys.argv[1:] if word not in ("--resume", "--force")]
    return shlex.join(["clairkit", *arguments, "--resume"])
