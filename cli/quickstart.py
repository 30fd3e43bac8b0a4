"""Define `clairkit quickstart`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options

if TYPE_CHECKING:
    from clairkit.quickstart.outcome import QuickstartResult


@click.command("quickstart", short_help="The whole road on a small model that ships inside.")
@click.option(
    "-o",
    "--output",
    default="quickstart-run",
    show_default=True,
    help="Folder for everything that is made.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the prompts, the sampling and the training.",
)
@click.option("--force", is_flag=True, help="Write into a folder that holds something else.")
@output_options
def command(output: str, seed: int, force: bool, as_json: bool, quiet: bool) -> None:
    """Walk the whole road, from prompts to a measured gain, on a small model that ships inside.

    The model writes bills: "Bill: 2 pens at 6, 3 mugs at 7". Its sums are right, but it often
    forgets the house rules: every amount has its unit, and the bill ends with a line of thanks. A
    program corrects its own answers minimally, the model is trained on the pairs, and both models
    are asked the same held-out prompts. Needs no network and no GPU.
    """
    from clairkit.quickstart.run import run_quickstart
    from clairkit.quickstart.stations import QuickstartPlan

    console = Console(as_json=as_json, quiet=quiet)
    outcome = run_quickstart(QuickstartPlan(seed=seed), output, force=force, say=console.note)
    _show(console, outcome)
    console.result(outcome.to_json())


def _show(console: Console, outcome: QuickstartResult) -> None:
    from clairkit.quickstart.report import closing_lines, table_rows

    console.table(
        "Held-out prompts, sampled as deployed",
        ["share, %", "before", "after", "change, points"],
        table_rows(outcome.before, outcome.after),
        note="Guard: sums such as 17 + 25, where no house rule applies. In brackets: 95 %\n"
        "intervals (Wilson; for the change Newcombe's, paired by prompt).",
    )
    for line in closing_lines(outcome):
        console.show(line)
