"""Make the objective grid of docs/quickstart.md: `quickstart_grid.py -o FOLDER`.

Each objective trains the quickstart's model on the same pairs at each learning rate, through the
quickstart's own stations; the field KPI stands beside the guard skill. Prints a Markdown table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from clairkit.quickstart.stations import QuickstartPlan, Skills

OBJECTIVES = ("apo_zero", "sigmoid", "apo_down", "sft")
LEARNING_RATES = (1e-4, 3e-4)


@dataclass(frozen=True)
class Cell:
    """One objective with its numbers; the field names are the plan's."""

    loss: str
    beta: float
    learning_rate: float

    def texts(self) -> tuple[str, str, str]:
        """Return the cell's first columns."""
        beta = "none" if self.loss == "sft" else f"{self.beta:g}"
        return self.loss, beta, f"{self.learning_rate:g}"


@click.command()
@click.option("-o", "--output", required=True, help="Folder for everything that is made.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0,), show_default=True)
@click.option(
    "--learning-rate",
    "rates",
    type=float,
    multiple=True,
    default=LEARNING_RATES,
    show_default=True,
    help="Repeatable.",
)
@click.option(
    "--loss", "losses", multiple=True, default=OBJECTIVES, show_default=True, help="Repeatable."
)
@click.option(
    "--beta",
    "betas",
    type=float,
    multiple=True,
    default=(1.0,),
    show_default=True,
    help="Repeatable; sft has none.",
)
@click.option("--force", is_flag=True, help="Write over earlier results.")
def command(
    output: str,
    seeds: tuple[int, ...],
    rates: tuple[float, ...],
    losses: tuple[str, ...],
    betas: tuple[float, ...],
    force: bool,
) -> None:
    """Train the quickstart's model by each objective and print KPI and guard as Markdown."""
    from clairkit.quickstart.run import one_thread, quiet_libraries

    quiet_libraries()
    cells = [
        Cell(loss, beta, rate)
        for loss in losses
        for beta in (betas[:1] if loss == "sft" else betas)
        for rate in rates
    ]
    with one_thread():
        for line in _lines(Path(output), seeds, cells, force):
            click.echo(line)


def _lines(folder: Path, seeds: tuple[int, ...], cells: list[Cell], force: bool) -> Iterator[str]:
    from clairkit.quickstart import stations
    from clairkit.quickstart.report import change_text
    from clairkit.quickstart.stations import QuickstartPlan as Numbers

    yield "| seed | loss | beta | learning rate | KPI | change | sums in bills | guard | change |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|---:|"
    for seed in seeds:
        plan = Numbers(seed=seed)
        place = folder / f"seed-{seed}"
        before = _prepare(plan, place, force)
        yield _row((str(seed), "before", "", ""), before, ("", ""))
        for cell in cells:
            output = place / "-".join(cell.texts())
            stations.train(replace(plan, **asdict(cell)), place, output, force=force)
            after = stations.measure(plan, place, str(output))
            bills, sums = map(change_text, after.changes(before))
            yield _row((str(seed), *cell.texts()), after, (bills, sums))


def _row(first: tuple[str, ...], skills: Skills, changes: tuple[str, str]) -> str:
    from clairkit.evaluation.wording import percent
    from clairkit.quickstart.report import interval_text

    sums_right = percent(skills.parts()["sums_right"])
    cells = (
        *first,
        interval_text(skills.bills),
        changes[0],
        sums_right,
        interval_text(skills.sums),
        changes[1],
    )
    return f"| {' | '.join(cells)} |"


def _prepare(plan: QuickstartPlan, folder: Path, force: bool) -> Skills:
    """Make the pairs of one seed, and measure the model before."""
    from clairkit.quickstart import stations

    folder.mkdir(parents=True, exist_ok=True)
    stations.write_prompts(plan, folder, force=force)
    stations.make_pairs(plan, folder, force=force)
    stations.score(plan, folder, force=force)
    return stations.measure(plan, folder, plan.model)


if __name__ == "__main__":
    command()
