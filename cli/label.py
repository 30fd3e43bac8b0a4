"""`clairkit label`: blind pages for people, and the votes that come back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clairkit.cli.console import Console, output_options

if TYPE_CHECKING:
    from clairkit.labels import Key


@click.group("label", short_help="Ask people, blind: pages for them, and their votes.")
def command() -> None:
    """Ask people which of two answers is better, or whether they accept a revision.

    `export` writes a page for each rater and a key. A page opens from disk in any browser, sends
    nothing, and doesn't know which side is which; send it by mail, keep the key. `import` reads the
    files that come back, and `status` says how far the votes go.
    """


@command.command("export", short_help="Draw items and write a blind page for each rater.")
@click.argument("source", metavar="PAIRS|ANSWERS")
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    required=True,
    help="The page; with several raters FILE-RATER.html for each.",
)
@click.option("--key", "key_path", metavar="FILE", help="The key file.  [default: FILE.key.json]")
@click.option("--n", type=click.IntRange(min=1), help="Items to draw at random.  [default: all]")
@click.option(
    "--raters",
    metavar="A,B,…",
    default="rater",
    show_default=True,
    help="Who is asked; each sees all items in an own order.",
)
@click.option(
    "--question",
    type=click.Choice(["better", "accept"]),
    default="better",
    show_default=True,
    help="Which is better, or whether the revision is accepted.",
)
@click.option("--ask", metavar="TEXT", default="", help="The question in your words.")
@click.option(
    "--gold",
    metavar="LABELS",
    help="Items with a known answer, shown to everyone; as calibrate has them.",
)
@click.option(
    "--repeats",
    type=float,
    default=0.05,
    show_default=True,
    help="Share of items shown twice, sides swapped.",
)
@click.option(
    "--identical",
    type=float,
    default=0.05,
    show_default=True,
    help="Share of pairs of one answer with itself.",
)
@click.option(
    "--language",
    type=click.Choice(["en", "ja"]),
    default="en",
    show_default=True,
    help="Of the page's own words.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of the items.")
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable rows, and count them.")
@click.option(
    "--force", is_flag=True, help="Replace pages and key: votes on the old ones are void."
)
@output_options
def export(source: str, output: str, as_json: bool, quiet: bool, **flags: Any) -> None:
    """Draw items of PAIRS or ANSWERS and write a page for each rater, and the key.

    PAIRS is a pair file; ANSWERS is what `evaluate -o` wrote with a baseline, or rows with prompt,
    a and b (for --question accept: prompt, answer and revision). Answers that are empty, equal, or
    name the model that wrote them are left out and counted.

    The items are a simple random sample, which the key records. Order and sides are drawn anew for
    each rater; A stands as often on the left as on the right. Among the items are checks: repeats,
    pairs of one answer with itself, and those of --gold.

    The key alone knows which side is which: keep it to yourself until the votes are in.
    """
    import secrets

    from clairkit.labels import Plan, draw, make_page, read_gold, read_items
    from clairkit.records import atomic_write, canonical_json, check_output

    console = Console(as_json=as_json, quiet=quiet)
    raters = tuple(name.strip() for name in flags["raters"].split(","))
    plan = Plan(
        flags["question"],
        raters,
        flags["n"],
        flags["seed"],
        flags["language"],
        flags["ask"],
        flags["repeats"],
        flags["identical"],
    )
    pages = _page_paths(output, raters)
    key_path = flags["key_path"] or str(Path(output).with_suffix(".key.json"))
    for path in (key_path, *pages.values()):
        check_output(path, force=flags["force"])
    stream = read_items(source, skip_bad=flags["skip_bad"])
    gold = read_gold(flags["gold"], plan.question) if flags["gold"] else []
    key = draw(stream, plan, gold, secret=secrets.token_hex(16))
    made = {path: make_page(key, rater).encode() for rater, path in pages.items()}
    for path, content in {key_path: canonical_json(key.to_json()).encode(), **made}.items():
        with atomic_write(path) as file:
            file.write(content)
    _show_export(console, key, stream.skipped)
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
            "skipped": dict(sorted(stream.skipped.items())),
        }
    )


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


def _show_export(console: Console, key: Key, skipped: dict[str, int]) -> None:
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
