"""Define `clairkit plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.config_command import ConfigCommand
from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.options import config_column_options, once
from clairkit.cli.shared.size_option import SIZE

if TYPE_CHECKING:
    from clairkit.planning.estimate import Bounds, Plan
    from clairkit.planning.remedies import Remedy


@click.command(
    "plan",
    cls=ConfigCommand,
    short_help="Whether a training run fits, how long it takes, its cost.",
)
@once("--model", help="Folder or Hub id of the model; its weights are not read.")
@once("--pairs", help="File, folder or Hub id of the training pairs.")
@click.option("--lengths", metavar="P,C,R", help="Tokens of prompt, chosen, rejected; no --pairs.")
@click.option("--rows", type=int, default=1000, show_default=True, help="Pairs of --lengths.")
@click.option("--loss", help="As in train.")
@click.option("--ref", help="As in train.")
@click.option("--tokens-per-step", type=int, help="As in train.")
@click.option("--adapter", help="A LoRA adapter to go on training.")
@click.option("--use-peft", is_flag=True, default=None, help="Train a new LoRA adapter.")
@click.option("--config", "file", metavar="FILE", help="A YAML file of configuration keys.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="One key; repeatable.")
@config_column_options
@click.option("--skip-bad", is_flag=True, default=None, help="Leave out unreadable rows.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, or a GPU's name.")
@click.option(
    "--memory", type=SIZE, metavar="SIZE", help="Of the device, where it differs: 24GB, 24GiB."
)
@click.option("--flops", type=float, help="Operations a second that training reaches there.")
@click.option("--price-per-hour", type=float, help="Of the device, for the cost.")
@click.option("--probe", is_flag=True, help="Time two layers of random weights on this machine.")
@output_options
def command(
    file: str | None,
    settings: tuple[str, ...],
    lengths: str | None,
    rows: int,
    device: str,
    memory: int | None,
    flops: float | None,
    price_per_hour: float | None,
    probe: bool,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> int:
    """Tell whether a training run fits, how long it takes and what it costs.

    Takes what `clairkit train` takes, and reads no weights. Exits with 0 when the run fits, with 7
    when it does not; then it shows what would help.
    """
    from clairkit.planning import Request, make_plan

    console = Console(as_json=as_json, quiet=quiet)
    request = Request(flags, settings, file, lengths, rows, device, memory, flops, probe)
    made = make_plan(request, console.note)
    plan = made.plan
    console.result(made.to_dict(price_per_hour))
    _show_memory(console, plan, made.capacity, made.device.name)
    _show_time(console, plan, price_per_hour)
    for warning in made.warnings:
        console.warn(warning)
    if made.fits is not False:
        return 0
    _show_remedies(console, made.remedies, made.capacity)
    return 7


def _show_memory(console: Console, plan: Plan, capacity: int | None, device: str) -> None:
    total = plan.memory.total
    rows = [[name, _size(part)] for name, part in plan.memory.parts.items() if part]
    console.table(
        f"Peak memory, in the {plan.memory.phase}",
        ["part", "size"],
        [*rows, ["together", _size(total)]],
    )
    if capacity is None:
        console.show(f"What {device} holds is not known; pass --memory.")
    elif total <= capacity:
        console.show(f"Fits {device} ({_size(capacity)}){_margin(total, capacity)}.")
    else:
        console.show(f"Does not fit {device} ({_size(capacity)}).")
    console.show(
        f"Largest part: {plan.work.part_tokens} tokens, {plan.form}. Trained: "
        f"{plan.step.trainable:,} of {plan.step.parameters:,} parameters."
    )


def _margin(total: int, capacity: int) -> str:
    from clairkit.planning import MEMORY_ERROR

    if total * (1 + MEMORY_ERROR) <= capacity:
        return ""
    return f", perhaps: peaks up to {MEMORY_ERROR:.0%} above the plan were measured"


def _show_time(console: Console, plan: Plan, price: float | None) -> None:
    if plan.seconds is None or plan.step_seconds is None or plan.rate is None:
        console.show("Time: not known for this device; pass --probe, or --flops.")
        return
    console.show(
        f"Time: {_span(plan.seconds)} for {plan.work.steps} steps of {_span(plan.step_seconds)} "
        f"({plan.rate.source})."
    )
    if price is not None:
        cost = plan.seconds.times(price / 3600)
        console.show(f"Cost: {_number(cost.low)} to {_number(cost.high)} at {price:g} an hour.")


def _show_remedies(console: Console, found: list[Remedy], capacity: int | None) -> None:
    if not found:
        console.show("No change of the configuration that is known here would help.")
        return
    rows = [
        [
            " ".join(f"{key}={str(value).lower()}" for key, value in remedy.changes.items()),
            _size(remedy.saved),
            _size(remedy.total),
            "yes" if capacity is not None and remedy.total <= capacity else "no",
            remedy.effect,
        ]
        for remedy in found
    ]
    console.table("Try, the least harmful first", ["--set", "saves", "peak", "fits", "but"], rows)


def _size(count: float) -> str:
    if count < 1e9:
        return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"
    return f"{count / 1e9:.2f} GB" if count < 1e10 else f"{count / 1e9:.1f} GB"


def _span(seconds: Bounds) -> str:
    unit, size = next(
        (
            (u, s)
            for u, s in (("d", 86400.0), ("h", 3600.0), ("min", 60.0))
            if seconds.high >= 2 * s
        ),
        ("s", 1.0),
    )
    return f"{_number(seconds.low / size)} to {_number(seconds.high / size)} {unit}"


def _number(value: float) -> str:
    from clairkit.planning.estimate import rounded

    return f"{rounded(value):g}"
