"""Define `clairkit label`: blind pages for people, and the votes that come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.shared.console import Console, output_options

if TYPE_CHECKING:
    from clairkit.labels import Item, Key, Rater, Votes
    from clairkit.records.json_types import JsonMapping, JsonObject

_REPEATS = "Share of items shown twice, sides swapped."
_IDENTICAL = "Share of pairs of one answer with itself."
_PLAN = ("question", "n", "seed", "language", "ask", "repeats", "identical")


@click.group("label", short_help="Ask people, blind: pages for them, and their votes.")
def command() -> None:
    """Ask people which of two answers is better, or whether they accept a revision.

    `export` writes a page for each rater and a key. A page opens from disk in any browser, sends
    nothing, and doesn't know which side is which; send it by mail, keep the key. `import` reads the
    files that come back, and `status` says how far the votes go.
    """


@command.command("export", short_help="Draw items and write a blind page for each rater.")
@click.argument("source", metavar="PAIRS|ANSWERS|EVAL")
@click.option("-o", "--output", metavar="FILE.html", required=True, help="The page, or each page.")
@click.option("--key", "key_path", metavar="FILE", help="The key file.  [default: FILE.key.json]")
@click.option("--n", type=click.IntRange(min=1), help="Items to draw at random.  [default: all]")
@click.option("--raters", metavar="A,B,…", default="rater", show_default=True, help="Who is asked.")
@click.option("--question", default="better", show_default=True, help="better or accept.")
@click.option("--ask", metavar="TEXT", default="", help="The question in your words.")
@click.option("--gold", metavar="LABELS", help="Items with a known answer, as calibrate has them.")
@click.option("--repeats", type=float, default=0.05, show_default=True, help=_REPEATS)
@click.option("--identical", type=float, default=0.05, show_default=True, help=_IDENTICAL)
@click.option("--language", default="en", show_default=True, help="Of the page: en or ja.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of the items.")
@click.option("--models", metavar="A,B", help="Of EVAL: whose answers, where it has more models.")
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
@click.option("--force", is_flag=True, help="Replace pages and key: votes on old ones are void.")
@output_options
def export(source: str, output: str, as_json: bool, quiet: bool, **flags: Any) -> None:
    """Draw items of PAIRS, ANSWERS or EVAL and write a page for each rater, and the key.

    PAIRS is a pair file; EVAL is the folder that `evaluate -o` wrote; ANSWERS has rows with prompt,
    a and b (for --question accept: prompt, answer and revision). Answers that are empty, equal, or
    name the model that wrote them are left out and counted. --question better asks which is better,
    accept whether to replace the answer by its revision.

    With several --raters there is a page FILE-RATER.html for each. The items are a simple random
    sample, which the key records. Order and sides are drawn anew for each rater; A stands as often
    on the left as on the right. Among the items are checks: repeats, pairs of one answer with
    itself, and those of --gold.

    The key alone knows which side is which: keep it to yourself until the votes are in.
    """
    import secrets

    from clairkit.labels import LabelPlan, draw, make_page, read_gold
    from clairkit.records import atomic_write, canonical_json

    console = Console(as_json=as_json, quiet=quiet)
    raters = tuple(name.strip() for name in flags["raters"].split(","))
    plan = LabelPlan(raters=raters, **{name: flags[name] for name in _PLAN})
    pages = _page_paths(output, raters)
    key_path = flags["key_path"] or str(Path(output).with_suffix(".key.json"))
    _check_outputs((key_path, *pages.values()), force=flags["force"])
    items, models, skipped = _items(source, plan.question, flags)
    gold = read_gold(flags["gold"], plan.question) if flags["gold"] else []
    key = draw(items, plan, gold, secret=secrets.token_hex(16), models=models)
    made = {path: make_page(key, rater).encode() for rater, path in pages.items()}
    for path, content in {key_path: canonical_json(key.to_json()).encode(), **made}.items():
        with atomic_write(path) as file:
            file.write(content)
    _show_export(console, key, skipped)
    for rater, path in pages.items():
        console.show(f"Page: {path} ({len(key.raters[rater])} screens for {rater})")
    console.show(f"Key: {key_path}. It knows which side is which: don't send it.")
    console.result(
        {
            "pages": pages,
            "key": key_path,
            "key_sha256": key.digest,
            "sample": key.sample,
            "screens": {rater: len(shown) for rater, shown in key.raters.items()},
            "skipped": dict(sorted(skipped.items())),
        }
    )


def _items(
    source: str, question: str, flags: JsonMapping
) -> tuple[Iterable[Item], Sequence[str], Mapping[str, int]]:
    """Return the items of a source, the specs of their models, and the counts of bad rows.

    The counts of a file are filled while its items are read.
    """
    from clairkit.errors import UsageError
    from clairkit.labels import read_items
    from clairkit.labels.evaluated import is_evaluation, read_evaluated

    if not is_evaluation(source):
        if flags["models"]:
            problem = "--models is for the folder of an evaluation"
            raise UsageError(problem, received=source, remedy="leave it out")
        stream = read_items(source, skip_bad=flags["skip_bad"])
        return list(stream), (), stream.skipped
    if question != "better":
        problem = "an evaluation holds answers, and no revisions"
        raise UsageError(problem, received=question, remedy="ask --question better")
    names = flags["models"]
    found = read_evaluated(source, names and [name.strip() for name in names.split(",")])
    return found.items, found.specs, {}


def _check_outputs(paths: Sequence[str], *, force: bool) -> None:
    from clairkit.errors import UsageError
    from clairkit.records import check_output

    if len({check_output(path, force=force) for path in paths}) < len(paths):
        raise UsageError("two outputs have the same name", received=", ".join(paths))


def _page_paths(output: str, raters: tuple[str, ...]) -> dict[str, str]:
    from clairkit.errors import UsageError
    from clairkit.labels.page import file_part

    path = Path(output)
    if len(raters) == 1:
        return {raters[0]: output}
    pages = {name: str(path.with_stem(f"{path.stem}-{file_part(name)}")) for name in raters}
    if len({each.casefold() for each in pages.values()}) < len(pages):
        raise UsageError(
            "two raters' pages would have the same file name",
            received=", ".join(raters),
            remedy="use other names",
        )
    return pages


def _show_export(console: Console, key: Key, skipped: Mapping[str, int]) -> None:
    sample = key.sample
    console.show(
        f"Drawn: {sample['drawn']} of {sample['population']} items (seed {sample['seed']})"
    )
    reasons = {
        "no_answer": "an answer is empty",
        "same_answers": "both answers are the same",
        "names_a_model": "an answer names a model",
    }
    counts = {name: len(sample["left_out"][reason]) for reason, name in reasons.items()}
    counts |= {f"bad rows ({reason})": count for reason, count in skipped.items()}
    listed = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    if listed:
        console.show(f"Left out: {listed}")


def _vote_options(function: Callable[..., object]) -> Callable[..., object]:
    """Add what `import` and `status` share."""
    for option in (
        click.option(
            "--accept-edits", is_flag=True, help="Take rows changed by hand, and count them."
        ),
        click.option("--key", "key_path", metavar="FILE", required=True, help="The pages' key."),
        click.argument("votes", metavar="VOTES…", nargs=-1, required=True),
    ):
        function = option(function)
    return function


@command.command("import", short_help="Check the files that came back, and tell the sides.")
@_vote_options
@click.option("-o", "--output", metavar="FILE", required=True, help="Votes: .jsonl, or .csv.")
@click.option(
    "--labels", "labels_path", metavar="FILE", help="Also write what calibrate reads: no ties."
)
@click.option("--force", is_flag=True, help="Replace the outputs if they exist.")
@output_options
def import_votes(
    votes: tuple[str, ...],
    key_path: str,
    output: str,
    labels_path: str | None,
    accept_edits: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read VOTES, the files that raters saved, and write them with their sides known.

    VOTES of several raters and several saves go in one call: of two votes on one item by one rater
    the later counts. CSV that a spreadsheet has saved again is read where nothing was lost, and
    refused where something was.

    Refused are votes of other pages, unknown items, and rows that are not as the page wrote them.
    Raters who contradict themselves in repeats, prefer an answer to itself, miss --gold, or are
    faster than anyone reads are flagged, and their votes stay.
    """
    from clairkit.labels import assess
    from clairkit.labels.table import to_csv
    from clairkit.records import atomic_write, write_rows

    console = Console(as_json=as_json, quiet=quiet)
    _check_outputs([path for path in (output, labels_path) if path], force=force)
    found = _collected(votes, key_path, accept_edits=accept_edits)
    raters = assess(found)
    rows = found.rows({rater.name: rater.columns for rater in raters})
    if output.lower().endswith(".csv"):
        with atomic_write(output) as file:
            file.write(to_csv(rows))
    else:
        write_rows(output, rows, force=force)
    console.show(f"Votes: {output} ({len(rows)} of {sum(r.answered > 0 for r in raters)} raters)")
    if labels_path:
        kept = [row for row in rows if row["label"] in ("a", "b", "accept", "reject")]
        write_rows(labels_path, kept, force=force)
        console.show(f"Labels: {labels_path} ({len(kept)} with a preference)")
    _warn(console, found, raters)
    console.result(
        {"output": output, "labels": labels_path, "votes": len(rows), **_counts(found, raters)}
    )


@command.command("status", short_help="How far the votes go: raters, agreement, evidence.")
@_vote_options
@output_options
def status(
    votes: tuple[str, ...], key_path: str, accept_edits: bool, as_json: bool, quiet: bool
) -> None:
    """Show who has voted, how far raters agree, and whether the votes are enough.

    VOTES are the files that raters saved. Agreement is Krippendorff's alpha: 1 is full agreement, 0
    is what chance gives. E is the evidence that one side is preferred; it may be looked at after
    every vote, and from 20 on you may stop (at most 5 % false alarms). It counts one vote an item,
    the first that decides.

    It shows what raters prefer: look at it yourself, and don't tell them while they vote.
    """
    from clairkit.labels import agreement, assess, weigh

    console = Console(as_json=as_json, quiet=quiet)
    found = _collected(votes, key_path, accept_edits=accept_edits)
    raters = assess(found)
    alpha, shared = agreement(found)
    standing = weigh(found)
    _show_raters(console, found.key, raters)
    said = "cannot be computed yet" if alpha is None else f"{alpha:.2f}"
    title = "Agreement between raters (Krippendorff's alpha)"
    console.show(f"{title}: {said}, {shared} items in common")
    console.show(standing.sentence())
    _warn(console, found, raters)
    result = {
        "krippendorff_alpha": alpha,
        "items_in_common": shared,
        "standing": standing.to_json(),
    }
    console.result({**_counts(found, raters), **result})


def _collected(votes: Sequence[str], key_path: str, *, accept_edits: bool) -> Votes:
    from clairkit.labels import collect, read_key, read_votes

    key = read_key(key_path)
    found = [vote for path in votes for vote in read_votes(path, key.language)]
    return collect(key, found, accept_edits=accept_edits)


def _counts(found: Votes, raters: Sequence[Rater]) -> JsonObject:
    return {
        "raters": [rater.to_json() for rater in raters],
        "repeated": found.repeated,
        "replaced": found.replaced,
        "edited": found.edited,
        "key_sha256": found.key.digest,
    }


def _warn(console: Console, found: Votes, raters: Sequence[Rater]) -> None:
    if found.replaced:
        console.note(f"{found.replaced} votes were replaced by later ones of the same rater")
    if found.edited:
        console.warn(f"{found.edited} votes are not as the page wrote them")
    for rater in raters:
        if rater.flags:
            console.warn(f"{rater.name} is below the limits: {', '.join(rater.flags)}")


def _show_raters(console: Console, key: Key, raters: Sequence[Rater]) -> None:
    labels = {"a": "A", "tie": "tie", "both_bad": "bad", "b": "B", "skip": "skip"}
    sides = f"A: {key.names[0]}; B: {key.names[1]}; bad: both; "
    if key.question == "accept":
        labels, sides = {name: name for name in ("accept", "reject", "skip")}, ""
    console.table(
        f"Votes on {key.sample['drawn']} of {key.sample['population']} items",
        ["", "answered", *labels.values(), "repeats", "identical", "gold", "seconds"],
        [rater.cells(labels) for rater in raters],
        note=f"{sides}repeats: the same said again; identical: no preference between an answer and "
        "itself; gold: right; seconds: the median",
    )
