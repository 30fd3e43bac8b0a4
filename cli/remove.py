"""Define `clairkit remove`."""

from __future__ import annotations

from pathlib import Path

import click

from clairkit.cli.shared.console import Console, output_options

_SHOWN = 10  # ids of a dry run


@click.command("remove", short_help="Remove one person's rows, and what was made of them.")
@click.argument("pairs")
@click.option("--id", "ids", metavar="ID", multiple=True, help="A pair's or prompt row's id.")
@click.option(
    "--where",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="Rows with this value in a column of the prompt file.",
)
@click.option(
    "--also",
    metavar="FILE",
    multiple=True,
    help="A pair file made from PAIRS (scored, split, converted).",
)
@click.option("--unknown", is_flag=True, help="Delete replies of which no row is known, too.")
@click.option("--dry-run", is_flag=True, help="Say which rows are meant; change nothing.")
@output_options
def command(
    pairs: str,
    ids: tuple[str, ...],
    where: tuple[str, ...],
    also: tuple[str, ...],
    unknown: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Remove rows from PAIRS for good: pairs, quarantined rows, every reply in the journal.

    What is kept of a row is a digest of its id, so that build-pairs leaves it out from now on. The
    files are written again, the others' rows unchanged; the manifest and the card say how many
    rows were removed, not which. A row is meant when one --id or --where meets it. A removal that
    was cut short is finished by the same call. Exit code 0: nothing holds their texts any more; 4
    or 5: what still does is named.
    """
    from clairkit.audit.remove import choose_rows, remove, requests_of
    from clairkit.display import counted
    from clairkit.errors import PartialError
    from clairkit.journal.files import find_output

    console = Console(as_json=as_json, quiet=quiet)
    output = find_output(pairs)
    rows = choose_rows(output, ids=ids, where=where)
    if dry_run:
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        listed = f"{', '.join(rows[:_SHOWN])}{more}"
        console.show(f"{counted(len(rows), 'row')} would be removed: {listed}")
        console.result({"rows": len(rows), "ids": rows, "dry_run": True})
        return
    done = remove(
        output,
        rows,
        also=[Path(file) for file in also],
        unknown=unknown,
        requests=requests_of(ids=ids, where=where),
    )
    console.table(
        f"{counted(done.rows, 'row')} removed",
        ["from", "removed"],
        [["journal, replies", str(done.results)]]
        + [[file, str(count)] for file, count in done.files.items()],
    )
    if done.reopened:
        console.show(
            f"Duplicates of removed rows: {done.reopened:,}. The next build-pairs makes pairs of "
            "them."
        )
    if done.beside:
        console.show(
            f"Left as they are, and hold or may hold their texts: {', '.join(done.beside)}"
        )
    console.note(
        "Left as they are, and may hold their texts: the prompt file, batch files, forks and "
        "merges of this output, and models and reference caches made from its pairs."
    )
    console.result(
        {
            "rows": done.rows,
            "results": done.results,
            "files": done.files,
            "reopened": done.reopened,
            "beside": done.beside,
            "holding": done.holding,
            "head": done.entry["hash"],
        }
    )
    if done.holding:
        raise PartialError(
            f"{', '.join(done.holding)}: holds texts of the removed rows, and was not touched",
            remedy="delete it, then give the same call again",
        )
