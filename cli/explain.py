"""Define `clairkit explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clairkit.cli.shared.console import Console, output_options
from clairkit.errors import UsageError

if TYPE_CHECKING:
    from clairkit.audit.explain import Attempt, Explanation
    from clairkit.journal.results import Usage


@click.command("explain", short_help="From a pair back to its prompt, replies and edits.")
@click.argument("row_id", metavar="ROW-ID")
@click.argument("pairs", required=False)
@click.option("--prices", metavar="FILE", help="As in build-pairs, for the cost.")
@click.option("--price", metavar="MODEL=IN,OUT", multiple=True, help="As in build-pairs.")
@output_options
def command(
    row_id: str,
    pairs: str | None,
    prices: str | None,
    price: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Show where the pair or prompt row ROW-ID of PAIRS came from.

    Shown are the prompt, each request with its model, time, tokens and whole reply, failed ones
    too, what all of them cost, and what the revision changed. The first digits of an id are
    enough. Without PAIRS, the one output of build-pairs in the current folder is meant.
    """
    from clairkit.audit.explain import explain
    from clairkit.journal.files import find_output
    from clairkit.journal.prices import Prices

    console = Console(as_json=as_json, quiet=quiet)
    if pairs is not None and Path(row_id).exists() and not Path(pairs).exists():
        raise UsageError(
            "the id comes first",
            received=f"{row_id} {pairs}",
            remedy=f"write clairkit explain {pairs} {row_id}",
        )
    known = Prices.load(prices, price)
    found = explain(find_output(pairs), row_id)
    usage = found.usage
    cost = known.cost_of(usage)
    console.show("\n".join([*_lines(found), "", _spent(usage, cost)]))
    console.result({**found.to_json(), "cost": cost})


def _spent(usage: Mapping[str, Usage], cost: float | None) -> str:
    from clairkit.display import counted
    from clairkit.journal.prices import dollars
    from clairkit.journal.results import Usage

    spent = sum(usage.values(), Usage())
    price = "no price known" if cost is None else dollars(cost)
    tokens = f"{spent.prompt_tokens:,} + {spent.completion_tokens:,} tokens"
    return f"In all: {counted(spent.calls, 'request')}, {tokens}, {price}"


def _lines(found: Explanation) -> Iterator[str]:
    from clairkit.journal.files import answer_of

    record = found.record or {}
    yield f"Row {found.row}: {_outcome(found)}"
    for name, value in found.columns.items():
        yield f"{name}: {value}"
    for message in record.get("prompt", ()):
        yield from _text(f"Prompt, {message['role']}", message["content"])
    is_revised = record.get("source", "clair") == "clair"
    answer = answer_of(record) if "chosen" in record else record.get("answer")
    if answer and is_revised and not any(each.step == "answer" for each in found.attempts):
        yield from _text("Answer, from the prompt file", answer)
    for attempt in found.attempts:
        yield from _text(_head(attempt), attempt.text)
    if is_revised:
        yield from _changes(found)
    else:
        for side in ("chosen", "rejected"):
            yield from _text(side.capitalize(), record[side][-1]["content"])
    yield from _made_with(found)


def _outcome(found: Explanation) -> str:
    record = found.record or {}
    if found.outcome == "pair":
        return f"pair {record['id']}"
    if found.outcome == "quarantined":
        return f"no pair, {record['reason']}: {record['detail']}"
    return "not done yet"


def _head(attempt: Attempt) -> str:
    tokens = f"{attempt.prompt_tokens} + {attempt.completion_tokens} tokens"
    requests = f", {attempt.requests} requests" if attempt.requests != 1 else ""
    said = f", {attempt.reason}: {attempt.detail}" if attempt.reason else ""
    number = f" ({attempt.attempt})" if attempt.attempt > 1 else ""
    return f"{attempt.step}{number}, {attempt.model}, {attempt.time}, {tokens}{requests}{said}"


def _text(title: str, text: str) -> Iterator[str]:
    yield ""
    yield f"== {title}"
    if text:
        yield text


def _changes(found: Explanation) -> Iterator[str]:
    if found.edits:
        from clairkit.display import counted

        count = len(found.edits)
        yield from _text(f"What was changed, {counted(count, 'place')}", "")
        for edit in found.edits:
            yield f"at character {edit.at}: {edit.old!r} -> {edit.new!r}"


def _made_with(found: Explanation) -> Iterator[str]:
    provenance = (found.record or {}).get("provenance")
    if provenance:
        import json

        yield from _text("Provenance", json.dumps(provenance, ensure_ascii=False, indent=2))
