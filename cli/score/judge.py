"""Run `clairkit score --judge`: is chosen better, and better than the target's own answer?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.ending import PARTIAL, leave_early, raised
from clairkit.cli.shared.options import PACE_OPTIONS, add_options, model_settings
from clairkit.cli.shared.progress_line import ProgressLine
from clairkit.errors import EvidenceError, UsageError
from clairkit.models.sampling import Sampling

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.evaluation.pairs.pair_judging import Judged
    from clairkit.judging.judge import Judge
    from clairkit.records import Pair
    from clairkit.records.json_types import JsonMapping
    from clairkit.statistics.win_rate import WinRate

_OWN = ("rubric", "judge_base_url", "judge_body", "max_calls", "max_cost", "prices", "price")

judge_options = add_options(
    click.option(
        "--judge",
        metavar="SPEC",
        help="Says in both orders whether chosen is better; its verdict becomes a score.",
    ),
    click.option("--rubric", metavar="NAME|FILE,…", help="What the judge looks at."),
    click.option(
        "--language",
        type=click.Choice(("en", "ja")),
        default="en",
        help="Of the requests to the judge.",
    ),
    click.option("--judge-base-url", metavar="URL", help="The judge's server."),
    click.option(
        "--judge-body", metavar="FIELD=JSON", multiple=True, help="A field of each request."
    ),
    *PACE_OPTIONS,
)
"""Adds the options of a judge of the pairs."""


def requested_judge(flags: JsonMapping, output: str | None, *, is_comparison: bool) -> Judge | None:
    """Return the judge that shall look at the pairs, None where none is named.

    Raises:
        UsageError: options that do not go together, or the spec or rubric is not valid.
    """
    from clairkit.judging.judge import Judge
    from clairkit.judging.rubrics import load_rubric
    from clairkit.models.specs import make_model

    spec = flags["judge"]
    if spec is None:
        idle = next((name for name in _OWN if flags[name]), None)
        if idle is not None:
            option = f"--{idle.replace('_', '-')}"
            raise UsageError(f"{option} is for a judge", remedy="add --judge SPEC, or leave it out")
        return None
    if is_comparison:
        remedy = "score each set with -o first"
        raise UsageError("--compare asks no judge", received=spec, remedy=remedy)
    if output is None:
        problem = "a judge's replies are kept beside the output"
        raise UsageError(problem, received=f"--judge {spec}", remedy="add -o FILE")
    language = flags["language"]
    rubric = load_rubric(flags["rubric"], language)
    sampling = Sampling(temperature=0.0, max_new_tokens=1024)
    return Judge(
        make_model(spec, model_settings(flags), role="judge"), sampling, rubric.text, language
    )


def is_known(output: str) -> bool:
    """Whether the output has a journal, so that it may be written anew."""
    from clairkit.journal.results import journal_path

    return journal_path(Path(output).resolve()).exists()


def add_verdicts(
    console: Console, pairs: Sequence[Pair], output: str, judge: Judge, flags: JsonMapping
) -> tuple[list[Pair], Judged]:
    """Ask the judge about the pairs and show what it says.

    Args:
        console: where to.
        pairs: to be judged.
        output: where they go; the journal stands beside it.
        judge: whom to ask.
        flags: of the command: caps and prices.

    Returns:
        The pairs with the verdicts among their `scores`, and all verdicts.
    """
    from clairkit.evaluation.pairs.pair_judging import judge_pairs
    from clairkit.generation.settings import BuildSettings
    from clairkit.journal.prices import Prices

    line = ProgressLine(console)
    settings = BuildSettings(
        max_calls=flags["max_calls"],
        max_cost=flags["max_cost"],
        prices=Prices.load(flags["prices"], flags["price"]),
    )
    try:
        found = judge_pairs(
            pairs,
            judge,
            Path(output).resolve(),
            settings=settings,
            progress=line.update,
            say=line.say,
        )
    finally:
        line.end()
    if not found.unfinished:
        _show(console, found, judge.model.name)
    kept = [
        replace(pair, scores={**pair.scores, **found.columns.get(pair.id, {})}) for pair in pairs
    ]
    return kept, found


def stopped(console: Console, found: Judged, arguments: Sequence[str]) -> int:
    """Say how to go on with a run that was stopped; return its exit code."""
    resume = f"clairkit score {shlex.join(arguments)}"
    console.result({"judge": found.to_json(), "resume": raised(resume, found.control)})
    console.note(f"{found.unfinished:,} pairs are still to be judged")
    return leave_early(console, found.control, found.control.error, resume) or PARTIAL


def check_read(found: Judged) -> None:
    """Refuse to pass over verdicts that could not be read.

    Raises:
        EvidenceError: there are more than one in twenty.
    """
    from clairkit.statistics.win_rate import MOST_UNPARSED

    if found.wins is not None and found.wins.unparsed_share > MOST_UNPARSED:
        raise EvidenceError(
            f"{found.wins.unparsed} of {found.wins.verdicts} verdicts could not be read: W is "
            f"between {_percent(found.wins.worst)} and {_percent(found.wins.best)}",
            remedy="take another judge",
        )


def _show(console: Console, found: Judged, name: str) -> None:
    rows = [
        _row(label, each)
        for label, each in (
            ("chosen beats rejected", found.wins),
            ("q: chosen beats the target's own", found.own),
        )
        if each is not None
    ]
    console.table(
        f"Verdicts of {name} in both orders, 95 % intervals",
        ["", "pairs", "share", "low", "high", "consistent", "first wins"],
        rows,
        note="a tie counts half; pairs of one prompt are drawn together",
    )
    if found.wins is not None and found.wins.unparsed:
        console.warn(f"{found.wins.unparsed} of {found.wins.verdicts} verdicts could not be read")
    if found.unknown:
        listed = ", ".join(f"{count} {source}" for source, count in found.unknown.items())
        console.show(f"q leaves out pairs that do not tell the target's own answer: {listed}")
    if found.own is not None:
        console.show(_sentence(found))


def _row(label: str, found: WinRate) -> list[str]:
    estimate, positions = found.estimate, found.positions
    if estimate is None:
        return [label, "0", "", "", "", "", ""]
    interval = estimate.interval
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    consistency = None if positions.consistency is None else positions.consistency.estimate
    figures = (estimate.estimate, low, high, consistency, positions.first_wins)
    return [label, f"{estimate.n:,}", *map(_percent, figures)]


def _percent(value: float | None) -> str:
    return "too few" if value is None else f"{100 * value:.1f} %"


def _sentence(found: Judged) -> str:
    estimate = None if found.own is None else found.own.estimate
    if estimate is None or estimate.interval is None:
        return "q: too few verdicts."
    if estimate.interval.low > 0.5:
        return "Chosen answers are better than the target's own: apo_zero is made for them."
    if estimate.interval.high < 0.5:
        return "Chosen answers are worse than the target's own: apo_down is made for them."
    more = found.needed
    about = f": about {more.more:,} more pairs would tell" if more and more.more else ""
    return f"Whether chosen answers are better than the target's own is open{about}."
