"""Define `clairkit verify`."""

from __future__ import annotations

import click

from clairkit.cli.shared.console import Console, output_options


@click.command("verify", short_help="Whether pairs, replies and manifest are as they were made.")
@click.argument("pairs", required=False)
@click.option("--head", metavar="HASH", help="A manifest line's hash, noted earlier.")
@output_options
def command(pairs: str | None, head: str | None, as_json: bool, quiet: bool) -> None:
    """Check PAIRS against PAIRS.manifest.jsonl, which build-pairs wrote beside them.

    Each line of the manifest holds the hash of the line before it, the sha256 of each file, and a
    digest of all replies. Compared are the chain, the files, the replies, and that each pair has
    the id of its texts and the replies it was made from. Only a hash that you noted elsewhere
    (--head) shows that nobody wrote the whole manifest anew. Without PAIRS, the one output in the
    current folder is meant. Exit code 3 when something does not hold, 4 when all that does not is
    a removal that was cut short.
    """
    from clairkit.audit.verify import verify
    from clairkit.errors import DataError, PartialError
    from clairkit.journal.files import find_output

    console = Console(as_json=as_json, quiet=quiet)
    output = find_output(pairs)
    found = verify(output, head=head)
    state = "changed" if found.problems else "as it was made"
    if found.is_unfinished:
        state = "a removal was cut short"
    console.table(
        f"{output}: {state}",
        ["checked", "", "found"],
        [
            [check.name, "wrong" if check.problem else "ok", check.problem or check.found]
            for check in found.checks
        ],
        note=f"Head, to be noted elsewhere: {found.head}",
    )
    console.result(
        {
            "output": str(output),
            "ok": not found.problems,
            "head": found.head,
            "problems": found.problems,
        }
    )
    if found.is_unfinished:
        raise PartialError(f"{output}: {'; '.join(found.problems)}")
    if found.problems:
        raise DataError("; ".join(found.problems), path=output)
