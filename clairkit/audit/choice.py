"""Choose the rows of a removal: by id, or by a column of the prompt file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.journal.files import Row, pairs_of
from clairkit.journal.intent import Intent, read_intent, request_mark
from clairkit.journal.pair_origin import row_of
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import columns_of, faults, reading, row_mark


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
    with reading(journal) as database, faults(journal):
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
        elif not _was_asked(intent, "id", name):
            raise DataError("no pair and no row has this id", path=output, received=excerpt(name))
    for column, value in conditions:
        met = {row_id for row_id, columns in noted.items() if _value(columns, column) == value}
        if not met and not _was_asked(intent, "where", f"{column}={value}"):
            received = excerpt(f"{column}={value}")
            raise DataError(
                "no row meets the condition",
                path=output,
                received=received,
                remedy=f"columns are {_names(noted.values())}",
            )
        chosen |= met
    return sorted(chosen)


def _was_asked(intent: Intent, kind: str, text: str) -> bool:
    return request_mark(kind, text) in intent.requests


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


def _names(columns: Iterable[Row]) -> str:
    names = sorted({name for each in columns for name in each})
    return excerpt(", ".join(names)) if names else "none but prompt, answer and id; use --id"
