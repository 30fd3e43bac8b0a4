"""Define what `clairkit score` asks of a set as a whole: checks, slices and workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.options import add_options

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.records.json_types import JsonMapping, JsonObject
    from clairkit.scoring import Checks, ScoredPairs


_SHOWN_SLICES = 20
_LABEL = 21  # characters; with the heads below a row takes no more than 80
_HEADS = {
    "contrastiveness": "contrast",
    "length_balance": "balance",
    "overlap": "overlap",
    "edit_share_chosen": "edit ch.",
    "edit_share_rejected": "edit rej.",
    "length_ratio": "length",
}

set_options = add_options(
    click.option(
        "--eval",
        "evaluation",
        metavar="FILE",
        help="Flag pairs whose prompt is also in this file of prompts or pairs.",
    ),
    click.option(
        "--benchmark",
        multiple=True,
        metavar="FILE",
        help="Flag pairs that hold 13 words (50 letters in Japanese) of it; repeatable.",
    ),
    click.option(
        "--near-duplicates", is_flag=True, help="Look for them; --drop near_duplicate does too."
    ),
    click.option(
        "--by", metavar="COLUMN", help="Means for each value of a column, as source or lang."
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes that score; all processors unless given. Changes no byte.",
    ),
)
"""Adds the options that look at the pairs together."""


def set_asked(flags: JsonMapping) -> bool:
    """Tell whether any of these options was given."""
    names = ("workers", "by", "near_duplicates", "benchmark", "evaluation")
    return any(flags[name] for name in names)


def requested_checks(flags: JsonMapping, reasons: Sequence[str]) -> Checks:
    """Return the checks that the options ask for, their files read.

    Raises:
        UsageError: a reason to drop pairs needs a file that is not given.
        DataError: a file cannot be read.
    """
    from clairkit.errors import UsageError
    from clairkit.scoring import Checks
    from clairkit.scoring.checks import read_benchmark, read_evaluation

    for reason, option, given in (
        ("in_eval", "--eval", flags["evaluation"]),
        ("contaminated", "--benchmark", flags["benchmark"]),
    ):
        if reason in reasons and not given:
            raise UsageError(
                f"--drop {reason} finds nothing without {option}", remedy=f"add {option} FILE"
            )
    skip_bad = flags["skip_bad"]
    return Checks(
        near=flags["near_duplicates"] or "near_duplicate" in reasons,
        evaluation=read_evaluation(flags["evaluation"], skip_bad=skip_bad)
        if flags["evaluation"]
        else frozenset(),
        benchmark=read_benchmark(flags["benchmark"], skip_bad=skip_bad)
        if flags["benchmark"]
        else None,
    )


def requested_workers(flags: JsonMapping) -> int:
    """Return how many processes are to score."""
    from clairkit.scoring import default_workers

    return flags["workers"] or default_workers()


def show_slices(
    console: Console, scored: ScoredPairs, column: str, number: Callable[[str, float], str]
) -> JsonObject:
    """Show the means of each slice; return them as the result object has them.

    Args:
        console: where to.
        scored: pairs with labels.
        column: whose values the labels are.
        number: writes a metric's value.
    """
    from clairkit.display import excerpt
    from clairkit.scoring import SLICE_METRICS, slice_means

    found = slice_means(scored.scores, scored.labels)
    rows = [
        [excerpt(each.label, _LABEL), str(each.n)]
        + [
            "-" if (mean := each.means[metric]) is None else number(metric, mean)
            for metric in SLICE_METRICS
        ]
        for each in found[:_SHOWN_SLICES]
    ]
    hidden = len(found) - len(rows)
    more = f"; and {hidden} smaller ones: --json has all" if hidden else ""
    console.table(
        f"Means by {column}",
        [excerpt(column, _LABEL), "n", *(_HEADS[metric] for metric in SLICE_METRICS)],
        rows,
        note=f"edit ch., edit rej.: edit shares; length: chosen over rejected{more}",
    )
    return {
        "column": column,
        "slices": [{"value": each.label, "n": each.n, **each.means} for each in found],
    }
