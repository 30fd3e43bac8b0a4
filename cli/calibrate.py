"""Define `clairkit calibrate`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.shared.console import Console, output_options
from clairkit.cli.shared.ending import PARTIAL, leave_early
from clairkit.cli.shared.options import SectionCommand, column_options, model_settings
from clairkit.cli.shared.progress_line import ProgressLine
from clairkit.texts import languages

if TYPE_CHECKING:
    from clairkit.evaluation.calibration import Calibration
    from clairkit.evaluation.choice import Agreement, Choice
    from clairkit.evaluation.contenders import Contender
    from clairkit.records.json_types import JsonMapping

_NOT_SEPARABLE = 8


@click.command(
    "calibrate", cls=SectionCommand, short_help="Which rubric or template agrees with your labels."
)
@click.argument("labels")
@click.option("-o", "--output", metavar="REPORT", required=True, help="The JSON file to write.")
@click.option(
    "--rubric",
    "rubrics",
    metavar="NAME|FILE",
    multiple=True,
    help="To be compared; give it several times.",
)
@click.option(
    "--template",
    "templates",
    metavar="NAME|FILE",
    multiple=True,
    help="To be compared; give it several times.",
)
@click.option("--judge", metavar="SPEC", help="Model that tries the rubrics.")
@click.option(
    "--reviser",
    metavar="SPEC",
    help="Model that tries the templates; rubrics, too, without a judge.",
)
@click.option(
    "--language",
    type=click.Choice(languages("judging/texts")),
    default="en",
    show_default=True,
    help="Of the requests.",
)
@click.option("--base-url", metavar="URL", help="Server of openai: (or OPENAI_BASE_URL).")
@click.option(
    "--body",
    metavar="FIELD=JSON",
    multiple=True,
    help="A field of each request to openai:; null takes one out.",
)
@click.option("--concurrency", type=int, default=8, show_default=True, help="Requests at once.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Rows at once, hf:.")
@click.option("--max-calls", type=int, help="Stop before the call after this many, resumably.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling.")
@click.option("--limit", type=int, help="Only the first N good rows.")
@column_options
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
@click.option("--force", is_flag=True, help="Replace a file that this command did not make.")
@output_options
@click.pass_context
def command(
    context: click.Context, /, labels: str, output: str, as_json: bool, quiet: bool, **flags: Any
) -> int:
    """Compare rubrics or templates by how well they agree with LABELS that people gave.

    A row of LABELS has prompt, answer, revision and label, which is accept or reject; a file of
    build-pairs with a column label will do. Or it has prompt, a, b and label, which is a or b.
    20 labels are the fewest; several hundred tell smaller differences apart.

    A rubric agrees when the judge, asked in both orders, prefers the revision where people accept
    it. A template agrees when the reviser leaves alone what people accept. How far is far enough
    is fitted, and agreement is measured on labels that it was not fitted to (10 folds, a prompt
    never in two). One is chosen when it leads each other, and always saying what most labels say,
    by more than chance explains (paired 95 % intervals, corrected for all comparisons).

    The exit code is 0 when one is chosen and 8 when they are not separable. The same command goes
    on where it stopped; REPORT.journal.sqlite holds every reply.
    """
    from clairkit.evaluation.calibration import calibrate
    from clairkit.labels.label_files import read_labels

    console = Console(as_json=as_json, quiet=quiet)
    line = ProgressLine(console)
    contenders = list(_contenders(flags))
    stream = read_labels(
        labels, skip_bad=flags["skip_bad"], limit=flags["limit"], columns=flags["columns"]
    )
    try:
        found = calibrate(
            list(stream),
            contenders,
            output,
            max_calls=flags["max_calls"],
            force=flags["force"],
            progress=line.update,
            say=line.say,
        )
    finally:
        line.end()
    skipped = dict(sorted(stream.skipped.items()))
    if skipped:
        listed = ", ".join(f"{name} {count}" for name, count in skipped.items())
        console.warn(f"bad rows skipped: {listed}")
    console.result({**found.to_json(), "skipped": skipped, "output": output})
    if found.choice is None:
        console.note(f"{found.open:,} calls are still to be made")
        resume = f"clairkit calibrate {shlex.join(context.meta['clairkit.arguments'])}"
        return leave_early(console, found, found.stop, resume) or PARTIAL
    _show(console, found, found.choice)
    console.show(f"Report: {output}")
    return 0 if found.choice.chosen else _NOT_SEPARABLE


def _contenders(flags: JsonMapping) -> Iterator[Contender]:
    from clairkit.errors import UsageError
    from clairkit.evaluation.contenders import Trial
    from clairkit.models.specs import make_model

    if not flags["rubrics"] and not flags["templates"]:
        raise UsageError("nothing is named to be compared", remedy="give --rubric or --template")
    running = model_settings(flags)
    models = {
        role: make_model(flags[role], running, role=role)
        for role in ("judge", "reviser")
        if flags[role]
    }
    trial = Trial(**models, language=flags["language"], seed=flags["seed"])
    yield from trial.contenders(flags["rubrics"], flags["templates"])


def _show(console: Console, found: Calibration, choice: Choice) -> None:
    console.table(
        f"Agreement with {found.labels} labels on {found.prompts} prompts, 95 % intervals",
        ["", "agrees", "share", "low", "high", "no verdict"],
        [_row(each) for each in (*choice.agreements, choice.constant, choice.choosing)],
        note="Measured on labels that were not used to fit or choose; 'the one chosen' is chosen "
        f"anew in each fold. {found.usage.calls:,} calls, {found.usage.prompt_tokens:,} + "
        f"{found.usage.completion_tokens:,} tokens",
    )
    for rival in choice.rivals:
        lead = rival.difference
        console.show(
            f"{choice.best.name} leads {rival.name} by {100 * lead.estimate:.1f} points "
            f"[{100 * lead.low:.1f}, {100 * lead.high:.1f}], {100 * choice.confidence:.1f} %"
        )
    console.show(_sentence(choice))
    if found.prompts < found.labels:
        console.warn(
            "some labels share a prompt and are not independent: the intervals are too narrow"
        )


def _row(each: Agreement) -> list[str]:
    numbers = (each.share, each.interval.low, each.interval.high)
    counted = f"{each.agreed}/{len(each.hits)}"
    return [each.name, counted, *(f"{100 * number:.1f} %" for number in numbers), str(each.silent)]


def _sentence(choice: Choice) -> str:
    if choice.chosen is not None:
        return f"Chosen: {choice.chosen}"
    open_rivals = [rival for rival in choice.rivals if not rival.is_separable]
    names = ", ".join(rival.name for rival in open_rivals)
    needed = [rival.labels_needed for rival in open_rivals]
    text = f"Not separable: {choice.best.name} from {names}"
    counts = [count for count in needed if count is not None]
    if len(counts) < len(needed):
        return f"{text}."
    return f"{text}. If the lead stays as it is, about {max(counts)} labels would do."
