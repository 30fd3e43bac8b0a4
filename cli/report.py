"""Define `clairkit report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.options import column_options
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.records import ColumnChoice
    from clairkit.report.gather import Run


@click.command("report", short_help="One HTML page: pairs and runs, an evaluation, a sweep.")
@click.argument("sources", metavar="PAIRS|RUN|EVAL|SWEEP…", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE.html", required=True, help="The page.")
@click.option(
    "--language",
    "code",
    type=click.Choice(languages("report/texts")),
    default="en",
    show_default=True,
    help="Of the page's own words.",
)
@click.option(
    "--max-pairs",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Pairs (or answers) to browse; figures are of all.",
)
@column_options
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@output_options
def command(
    sources: tuple[str, ...],
    output: str,
    code: str,
    max_pairs: int,
    columns: ColumnChoice,
    skip_bad: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write one HTML file about PAIRS and training RUNs; it loads nothing and needs no network.

    It has an overview (how the pairs are spread, what became of the prompts, what it took, the
    reviser's health, the curves of each RUN) and a browser of the pairs, with what differs between
    the two sides. What build-pairs left beside PAIRS is found by its name.

    A pair that is in several PAIRS is one: name pairs.jsonl and what `score` wrote of it, and the
    page has the scores, too. The same input gives the same bytes.

    Of an EVAL folder of `evaluate -o`, the page shows the verdict, every signal with its interval,
    guards, wins against length and by group, judge against people, and the answers side by side
    with verdicts and votes. Of a SWEEP folder it shows the choice, the grid as a heat map with
    intervals, and halving as lines.
    """
    from pathlib import Path

    from clairkit.records import atomic_write, check_output
    from clairkit.report import gather, gather_evaluation, language, make_evaluation_page, make_page
    from clairkit.report.sweep_page import is_sweep, make_sweep_page

    console = Console(as_json=as_json, quiet=quiet)
    path = check_output(output, force=force)
    words, skipped = language(code), {}
    runs: list[Run] = []
    if len(sources) == 1 and is_sweep(Path(sources[0])):
        page, noun = make_sweep_page(Path(sources[0]), words), "settings"
    elif found := gather_evaluation(sources):
        noun = "answers"
        evaluated, runs = found
        page = make_evaluation_page(evaluated, runs, words, max_items=max_pairs)
    else:
        noun = "pairs"
        gathered = gather(sources, skip_bad=skip_bad, columns=columns)
        page = make_page(gathered, words, max_pairs=max_pairs)
        runs = list(gathered.runs)
        skipped = dict(sorted(gathered.skipped.items()))
    content = page.html.encode()
    with atomic_write(path) as file:
        file.write(content)
    size = f"{len(content) / 1e6:.1f} MB"
    console.show(f"Report: {output} ({page.pairs:,} {noun}, {size}). Open it in a browser.")
    if page.browsed < page.pairs:
        is_answers = noun == "answers"
        limit = "--max-pairs; a page of answers stays below 10 MB" if is_answers else "--max-pairs"
        console.note(f"The browser has {page.browsed:,} of them ({limit}).")
    console.result(
        {
            "output": output,
            "pairs": page.pairs,
            "browsed": page.browsed,
            "runs": len(runs),
            "bytes": len(content),
            "language": code,
            "skipped": skipped,
        }
    )
