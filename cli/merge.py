"""Define `clairkit merge`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from clairkit.cli.shared.console import Console, output_options


@click.command("merge", short_help="Pairs of several shards, with their journals, in one.")
@click.argument("parts", nargs=-1, required=True)
@click.option("-o", "--output", metavar="PAIRS", required=True, help="The pair file to write.")
@click.option("--force", is_flag=True, help="Replace the output.")
@output_options
def command(parts: tuple[str, ...], output: str, force: bool, as_json: bool, quiet: bool) -> None:
    """Merge PARTS, outputs of build-pairs with the same settings, into one.

    Shards of one prompt file (build-pairs --shard) give what one run over the whole file gives.
    The journals are merged, too: build-pairs goes on with the merged output as with any other. Of
    a single part this makes a copy, in another form when the suffix says so: .jsonl, .jsonl.gz,
    .parquet, or a datasets folder.
    """
    from clairkit.audit.merge import merge
    from clairkit.display import counted
    from clairkit.journal.files import find_output
    from clairkit.models.reasons import reason

    console = Console(as_json=as_json, quiet=quiet)
    done = merge([find_output(part) for part in parts], Path(output), force=force)
    rows = [["pair", f"{done.pairs:,}"]]
    rows += [
        [f"{code}: {reason(code).meaning}", f"{count:,}"] for code, count in done.counts.items()
    ]
    if done.unfinished:
        rows.append(["not done yet", f"{done.unfinished:,}"])
    console.table(
        f"{counted(done.pairs, 'pair')} from {counted(done.rows, 'row')}",
        ["rows", "count"],
        rows,
        note=f"Results in the journal: {done.results:,}",
    )
    console.show(f"Pairs: {output}")
    if done.unfinished:
        console.note(
            f"Next: build-pairs with all prompts and -o {shlex.quote(output)} does the rest"
        )
    console.result(
        {
            "rows": done.rows,
            "pairs": done.pairs,
            "counts": done.counts,
            "unfinished": done.unfinished,
            "results": done.results,
            "output": output,
            "head": done.entry["hash"],
        }
    )
