"""Remove rows for good: from the journal, the pairs, the quarantine and what was made of them.

What is kept of a removed row is a digest of its id, so that the same prompts built once more leave
it out. What is to go is noted first (see `intent`); a removal that was cut short at any point is
finished by the same call.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clairkit.audit.remains import Texts, beside, check_gone, delete_leftovers, overwrite_deleted
from clairkit.audit.verify import check_pairs
from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.journal.database import count_results, faults, read_meta, reading, transaction
from clairkit.journal.files import Row, pairs_of, row_of, rows_of, set_aside, without
from clairkit.journal.intent import (
    Intent,
    finish_intent,
    pair_mark,
    read_intent,
    record_intent,
    request_mark,
)
from clairkit.journal.manifest import (
    Entry,
    check_sealed,
    file_digest,
    manifest_entries,
    quarantine_path,
    seal,
    sealed_files,
)
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import RowIndex, columns_of, row_mark
from clairkit.journal.sealed_results import head_of, note_change
from clairkit.models.reasons import SAME_AS
from clairkit.records.lock import lock_output

_DELETE_RESULTS = """
DELETE FROM results WHERE (key, step) IN (SELECT key, step FROM asked WHERE row = ?)
AND NOT EXISTS (SELECT 1 FROM asked
    WHERE asked.key = results.key AND asked.step = results.step AND asked.row != ?)
"""
_UNKNOWN = (
    "NOT EXISTS (SELECT 1 FROM asked WHERE asked.key = results.key AND asked.step = results.step)"
)


def requests_of(*, ids: Iterable[str] = (), where: Iterable[str] = ()) -> list[str]:
    """Return the marks by which the same call is known again; see `choose_rows`."""
    return [request_mark("id", name) for name in ids] + [request_mark("where", w) for w in where]


def choose_rows(output: Path, *, ids: Iterable[str] = (), where: Iterable[str] = ()) -> list[str]:
    """Return the ids of the prompt rows that a removal is about; nothing is written.

    What an earlier call asked and did not finish, or has just finished, meets no row any more,
    and is no fault.

    Args:
        output: the pair file or folder.
        ids: ids of prompt rows or pairs, whole.
        where: conditions `COLUMN=VALUE` on columns of the prompt file; a row is meant when one
            holds. `COLUMN` may go into objects, as in `user.name`.

    Raises:
        UsageError: a condition has no `=`, or nothing is given.
        DataError: an id or condition meets no row.
    """
    ids, conditions = list(ids), [_condition(text) for text in where]
    if not ids and not conditions:
        raise UsageError("no row is named", remedy="give --id ID or --where COLUMN=VALUE")
    journal = journal_path(output)
    with reading(journal) as database:
        found = database.execute("SELECT id, columns FROM rows").fetchall()
        gone = {mark for (mark,) in database.execute("SELECT row FROM removed")}
        intent = read_intent(database)
    noted = {row_id: columns_of(columns) for row_id, columns in found}
    rows_by_pair = {pair["id"]: row_of(pair) for pair in pairs_of(output)} if ids else {}
    chosen: set[str] = set()
    for name in ids:
        row_id = name if name in noted or row_mark(name) in gone else rows_by_pair.get(name)
        if row_id is not None:
            chosen.add(row_id)
        elif request_mark("id", name) not in intent.requests:
            raise DataError("no pair and no row has this id", path=output, received=excerpt(name))
    for column, value in conditions:
        met = {row_id for row_id, columns in noted.items() if _value(columns, column) == value}
        text = f"{column}={value}"
        if not met and request_mark("where", text) not in intent.requests:
            names = excerpt(", ".join(sorted({name for each in noted.values() for name in each})))
            raise DataError(
                "no row meets the condition",
                path=output,
                received=excerpt(text),
                remedy=f"columns are {names or 'none but prompt, answer and id; use --id'}",
            )
        chosen |= met
    return sorted(chosen)


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise UsageError("not a condition", received=text, remedy="write COLUMN=VALUE")
    return column, value


def _value(columns: Row, name: str) -> str | None:
    """A column's value as text; `a.b` goes into an object when there is no column `a.b`."""
    found: object = columns
    for part in [name] if name in columns else name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, str) else json.dumps(found)


@dataclass(frozen=True)
class Removal:
    """What a removal did, in rows. `files` has the dropped rows by file; `entry` is its seal."""

    rows: int
    results: int
    files: dict[str, int]
    reopened: int
    """Rows that were set aside as duplicates of removed ones: pairs with the next build."""
    beside: tuple[str, ...]
    """Files beside the output that may hold texts of the rows, too, and were not touched."""
    holding: tuple[str, ...]
    """Of these, those that do hold them."""
    entry: Entry


def remove(
    output: Path,
    rows: Collection[str],
    *,
    also: Sequence[Path] = (),
    unknown: bool = False,
    requests: Iterable[str] = (),
) -> Removal:
    """Remove prompt rows and all that was made of them; the rest is left as it is.

    The journal first remembers what is to go: the next build leaves it out in any case, and a
    removal that was cut short is brought to its end by the same call, or by any other one.

    Args:
        output: the pair file or folder.
        rows: ids of prompt rows, from `choose_rows`.
        also: other pair files made from this one (scored, split, converted), written again. A
            row counts by the prompt row in its provenance, else by its id.
        unknown: delete the results that no row is known of, too.
        requests: marks of what was asked, from `requests_of`: by these the same call is known
            again when the rows are gone.

    Raises:
        UsageError: another process works on the output.
        DataError: results are there that no row is known of, as after a kill, or a result of
            another row is damaged; a file of `also` is missing, or has rows that can't be told.
        ResourceError: a file can't be written, or another process reads the journal, so that
            what was deleted can't be overwritten yet.
    """
    with lock_output(output):
        with RowIndex(journal_path(output)) as index:
            _check_all_known(index.database, output, unknown=unknown)
            for path in also:
                for number, row in enumerate(rows_of(path), 1):
                    if not isinstance(row.get("id"), str):
                        raise DataError(
                            f"row {number} has no id, so that nobody can tell whose it is",
                            path=path,
                            remedy="make the file anew from the pairs",
                        )
            check_sealed(output, but=rows)
            _check_pairs(output)
            intent = _record(index, output, rows, requests)
            marks = index.removed()
            files, reopened = _rewrite(output, marks, intent, also)
            written = [*map(Path, files)]
            delete_leftovers(output, written, lambda row: row_mark(row_of(row)) in marks)
            results = _delete(index, output, unknown=unknown)
            if not intent.is_done:
                overwrite_deleted(index)
        pairs = check_gone(output, written, marks)
        entry = seal(output, "remove", {"pairs": pairs, "removed": len(marks)})
        with (
            RowIndex(journal_path(output)) as index,
            faults(index.path),
            transaction(index.database),
        ):
            finish_intent(index.database, intent)
    others = beside(output, files)
    holding = tuple(name for name in intent.beside if name in others)
    return Removal(len(intent.rows), results, files, reopened, others, holding, entry)


def _record(
    index: RowIndex, output: Path, rows: Collection[str], requests: Iterable[str]
) -> Intent:
    """Note what is to go, and which files beside the output hold texts of it."""
    with faults(index.path):
        chosen, earlier = set(rows), read_intent(index.database)
        texts = Texts(index.database, chosen)
    others = beside(output, ())
    pairs = []
    for pair in pairs_of(output):
        is_ours = row_of(pair) in chosen
        texts.add(pair, is_ours=is_ours)
        if is_ours:
            pairs.append(str(pair["id"]))
    for row in set_aside(output):
        texts.add(row, is_ours=row["id"] in chosen)
    holding = {name for name in others if texts.are_in(Path(name))}
    with faults(index.path), transaction(index.database):
        if not rows and not earlier.pending:
            return earlier
        index.mark_removed(rows)
        return record_intent(index.database, requests, rows, pairs, holding)


def _check_pairs(output: Path) -> None:
    """A damaged pair would be sealed as good. After a kill the files are ahead of the manifest."""
    entries = manifest_entries(output)
    said = sealed_files(output, entries[-1]).get(output) if entries else None
    if output.is_file() and said == file_digest(output):
        return
    problem = check_pairs(output).problem
    if problem:
        raise DataError(
            f"a pair is not what build-pairs wrote: {problem}",
            path=output,
            remedy="put back the file as it was, or run build-pairs once more",
        )


def _check_all_known(database: sqlite3.Connection, output: Path, *, unknown: bool) -> None:
    with faults(journal_path(output)):
        (count,) = database.execute(f"SELECT COUNT(*) FROM results WHERE {_UNKNOWN}").fetchone()
    if count and not unknown:
        raise DataError(
            f"which row asked for {count} of the results is not known: a run was cut short",
            path=journal_path(output),
            remedy="run build-pairs once more, or delete these results, too, with --unknown",
        )


def _delete(index: RowIndex, output: Path, *, unknown: bool) -> int:
    """Delete what the journal has of removed rows alone; return how many results."""
    database = index.database
    with faults(index.path):
        before = count_results(database)
        marks = index.removed()
        with transaction(database):
            inherited = _inherited(database)
            noted = database.execute("SELECT id FROM rows UNION SELECT row FROM asked").fetchall()
            for row in [row for (row,) in noted if row_mark(row) in marks]:
                database.execute(_DELETE_RESULTS, (row, row))
                database.execute("DELETE FROM asked WHERE row = ?", (row,))
                database.execute("DELETE FROM rows WHERE id = ?", (row,))
            if unknown:
                database.execute(f"DELETE FROM results WHERE {_UNKNOWN}")
            if inherited is not None:
                left = f"(SELECT COUNT(*) FROM results WHERE rowid <= {inherited})"
                database.execute(f"UPDATE meta SET value = {left} WHERE name = 'inherited'")
            note_change(database, head_of(manifest_entries(output)))
        return before - count_results(database)


def _inherited(database: sqlite3.Connection) -> int | None:
    """The last rowid of the results that a fork began with; None when it is no fork."""
    inherited = read_meta(database, "inherited")
    if inherited is None:
        return None
    last = database.execute(
        "SELECT MAX(rowid) FROM (SELECT rowid FROM results ORDER BY rowid LIMIT ?)", (inherited,)
    ).fetchone()[0]
    return int(last or 0)


def _rewrite(
    output: Path, marks: Collection[str], intent: Intent, also: Sequence[Path]
) -> tuple[dict[str, int], int]:
    """Write each file again without the removed rows; return the counts by file."""

    def is_gone(pair: Row) -> bool:
        return row_mark(row_of(pair)) in marks

    def is_made_of_gone(row: Row) -> bool:
        return is_gone(row) or pair_mark(row["id"]) in intent.pairs

    files = {str(output): without(output, is_gone)}
    files |= {str(path): without(path, is_made_of_gone) for path in also}
    aside, reopened = quarantine_path(output), 0
    if aside.exists():

        def is_twin(row: Row) -> bool:
            first = str(row["detail"]).removeprefix(SAME_AS)
            return row["reason"] == "duplicate" and row_mark(first) in marks

        reopened = sum(1 for row in set_aside(output) if is_twin(row) and not is_gone(row))
        dropped = without(aside, lambda row: is_gone(row) or is_twin(row))
        files[str(aside)] = dropped
        if not any(True for _ in rows_of(aside)):
            aside.unlink()
    return files, reopened
