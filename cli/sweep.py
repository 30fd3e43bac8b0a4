"""Define `clairkit sweep`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.option_sections import ResumableCommand

if TYPE_CHECKING:
    from clairkit.sweep.result import SweepResult
    from clairkit.sweep.setting_result import SettingResult
    from clairkit.sweep.spec import SweepSpec


@click.command(
    "sweep",
    cls=ResumableCommand,
    short_help="Which data, which loss, which strength: trials and a choice.",
)
@click.argument("file", metavar="SWEEP.yaml")
@click.option("-o", "--output", metavar="SWEEP", required=True, help="Folder of the sweep.")
@click.option("--resume", is_flag=True, help="Go on; what is finished is kept.")
@click.option("--retry-failed", is_flag=True, help="Also run trials that died once more.")
@click.option(
    "--devices",
    metavar="0,1,…",
    help="GPUs, a trial at a time on each; cpu,cpu runs two on the cores. Default: all GPUs.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="A database that several machines share; default: a file in the folder.",
)
@click.option("--dry-run", is_flag=True, help="What it would take; trains nothing.")
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    file: str,
    output: str,
    resume: bool,
    retry_failed: bool,
    devices: str | None,
    storage: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train by every setting of SWEEP.yaml, measure each, and choose.

    The file names a train configuration (base), sources of pairs, factors with their values,
    seeds, and how a model is measured: prompts and an `evaluate` configuration. Each trial is a
    `train` and an `evaluate` of their own; one that dies is named in the table, and the others go
    on. strategy: halving measures all settings at a quarter of their steps and goes on with the
    better half, and at one half with the better half of these.

    The choice is the simplest setting (first in the file) within one standard error of the best,
    among those whose guards hold, and the command that repeats it. The exit code is 0 with a
    choice, 8 when the settings are not separable, 4 when trials died or are left.
    """
    from pathlib import Path

    from clairkit.sweep import read_sweep, run_sweep
    from clairkit.sweep.run import check_settings

    console = Console(as_json=as_json, quiet=quiet)
    spec = read_sweep(file)
    lanes = _devices(devices)
    if dry_run:
        check_settings(spec)
        _forecast(console, spec, Path(output), len(lanes))
        return 0
    found = run_sweep(
        spec,
        Path(output),
        devices=lanes,
        storage=storage,
        resume=resume,
        retry=retry_failed,
        say=console.note,
    )
    arguments = [word for word in context.meta["clairkit.arguments"] if word != "--resume"]
    again = f"clairkit sweep {shlex.join(arguments)} --resume"
    _show(console, found)
    console.show(f"Sweep: {output}   Page: clairkit report {output} -o sweep.html")
    if found.unfinished:
        why = "The budget is reached" if found.over_budget else "Interrupted"
        console.warn(f"{why}: {found.unfinished} trials are left. To go on:\n{again}")
    elif found.died:
        console.warn(f"{len(found.died)} trials died. To try them again:\n{again} --retry-failed")
    console.result({**found.to_json(), "output": output, "unfinished": found.unfinished})
    return found.exit_code()


def _devices(given: str | None) -> list[str]:
    """Return where trials run: as told, else on all GPUs, else on the CPU."""
    from clairkit.errors import UsageError

    if given is None:
        import torch

        return [str(number) for number in range(torch.cuda.device_count())] or ["cpu"]
    found = [each.strip() for each in given.split(",")]
    if not all(found):
        remedy = "write for instance 0,1 or cpu,cpu"
        raise UsageError("--devices names no device", received=given, remedy=remedy)
    return found


def _forecast(console: Console, spec: SweepSpec, output: object, lanes: int) -> None:
    from pathlib import Path

    from clairkit.sweep.forecast import forecast

    found = forecast(spec, Path(str(output)), lanes, console.note)
    console.table(
        f"{found.trials} trials: {len(spec.settings)} settings, {len(spec.seeds)} seeds",
        ["source", "pairs", "of", "tokens", "contrast", "steps a trial", "fits"],
        [
            [
                name or spec.base["pairs"],
                f"{each.facts.pairs:,}",
                f"{each.facts.of_pairs:,}",
                f"{each.facts.tokens:,}",
                f"{each.facts.contrastiveness or 0:.2f}",
                f"{each.steps:,}",
                {True: "yes", False: "no", None: "unknown"}[each.fits],
            ]
            for name, each in found.sources.items()
        ],
        note=found.note,
    )
    console.result(found.to_json())


def _show(console: Console, found: SweepResult) -> None:
    if found.settings:
        _show_grid(console, found)
        if len(found.settings) > 1:
            console.table(
                "All settings, the simplest first",
                ["setting", "seeds", "change", "interval", ""],
                [_row(each) for each in found.settings],
            )
    for name, failure in found.died.items():
        said = f"{failure['kind']}, while {failure['stage']}: {failure['reason']}"
        console.show(f"Died: {name}: {said}")
    if found.chosen is not None:
        console.show(f"Choice: {found.chosen.setting.label}; {found.reason}.")
        console.show(f"To train by it:\n{found.command}")
    elif found.choice is not None and not found.choice.is_separable:
        console.show(f"Not separable: {found.reason}.")
    else:
        console.show(f"No choice: {found.reason}.")


def _show_grid(console: Console, found: SweepResult) -> None:
    grid = found.grid
    rows = [
        [name or "pairs", *map(_cell, cells), f"{grid.contrastiveness[name] or 0:.2f}"]
        for name, cells in grid.rows.items()
    ]
    best = f"each cell the best over {', '.join(grid.over)}" if grid.over else "a setting a cell"
    console.table(
        f"Change of the {found.metric} against the base, points",
        ["", *grid.columns, "contrast"],
        rows,
        note=f"95 % intervals over {len(found.spec.seeds)} seeds and the prompts; {best}.\n"
        "Contrast: the mean share of both sides that a pair has in common.",
    )


def _cell(found: SettingResult | None) -> str:
    if found is None:
        return "-"
    interval = found.estimate.interval
    text = f"{100 * found.estimate.estimate:+.1f}"
    if interval is not None:
        text += f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    return f"{text} at {found.share:.0%}" if found.share < 1 else text


def _row(found: SettingResult) -> list[str]:
    estimate, *ends = _cell(found).split(" at ")[0].split(" ", 1)
    said = ends[0] if ends else "too few"
    return [found.setting.label, str(len(found.changes)), estimate, said, found.remark]
