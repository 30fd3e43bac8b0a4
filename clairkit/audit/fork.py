"""Begin another output with the replies of an earlier one (`--fork`)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from clairkit.errors import DataError, UsageError
from clairkit.journal.database import count_results, faults, read_meta, write_meta
from clairkit.journal.files import output_path
from clairkit.journal.manifest import check_sealed
from clairkit.journal.results import journal_path
from clairkit.journal.sealed_results import check_removed
from clairkit.records.output import atomic_path


def fork_journal(old: Path, new: Path) -> bool:
    """Begin the journal of `new` with all results of `old`'s, for a run with other settings.

    Results are found by what determines them: the run asks again only for what its settings
    change. `old` stays as it is. Rows that were removed from `old` stay removed in `new`.

    Returns:
        Whether it was begun now; False when `new` was forked from `old` before, so that the same
        command can be given again.

    Raises:
        UsageError: `new` is there and was not forked from `old`, is `old`, or can't be written.
        DataError: `old` has no journal.
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    source = journal_path(old)
    final = journal_path(output_path(new))  # pairs without a journal are not ours to replace
    if source.resolve() == final.resolve():
        raise UsageError(
            "an output can't be forked from itself",
            received=str(old),
            remedy="name another one with -o",
        )
    if not source.is_file():
        raise DataError(
            "there is no journal to fork",
            path=source,
            remedy="name a pair file that build-pairs wrote",
        )
    if final.exists():
        with (
            faults(final),
            closing(sqlite3.connect(f"{final.resolve().as_uri()}?mode=ro", uri=True)) as database,
        ):
            earlier = read_meta(database, "forked_from")
        if earlier != _name(source):
            raise UsageError(
                "the output was not begun as this fork",
                received=str(new),
                remedy="choose another output",
            )
        return False
    check_removed(old)
    check_sealed(old)
    with atomic_path(final) as fresh, faults(source):
        _copy(source, fresh)
    return True


def _copy(source: Path, fresh: Path) -> None:
    """Copy a journal, also while a run writes to it, without what is its run's own."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(fresh, isolation_level=None)) as new,
    ):
        # Without freed pages, and as one file, which can be renamed.
        old.execute("VACUUM INTO ?", (str(fresh),))
        new.execute("PRAGMA journal_mode = MEMORY")
        new.execute("DROP TABLE IF EXISTS removing")
        new.execute("DELETE FROM meta WHERE name NOT IN ('schema_version')")
        write_meta(new, "forked_from", _name(source))
        write_meta(new, "inherited", count_results(new))


def _name(source: Path) -> str:
    """How an output is remembered: by its name, so that a folder can be moved."""
    return source.name.removesuffix(".journal.sqlite")
