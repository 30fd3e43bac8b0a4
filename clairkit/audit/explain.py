"""Trace a pair back to its prompt: every request that was made for its row, and every reply."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clairkit.display import excerpt
from clairkit.errors import DataError
from clairkit.journal.database import reading
from clairkit.journal.files import Row, is_worsened, last_text, pairs_of, row_of, set_aside
from clairkit.journal.results import Usage, journal_path
from clairkit.journal.row_index import columns_of, find_rows, row_mark
from clairkit.scoring import align, units_of

_RESULTS = """
SELECT results.key, results.step, attempt, model, created, tries, prompt_tokens,
       completion_tokens, finish_reason, reason, detail, text
FROM results JOIN asked USING (key, step) WHERE asked.row = ? ORDER BY results.rowid
"""


@dataclass(frozen=True)
class Attempt:
    """One result in the journal: what was asked of whom, what came, what it took."""

    key: str
    step: str
    attempt: int
    model: str
    time: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str | None
    reason: str | None
    detail: str | None
    text: str


@dataclass(frozen=True)
class AnswerEdit:
    """What stood in the rejected side at a character, and what stands there in the chosen one.

    Of a worsened answer it is the other way round: from the answer to its revision.
    """

    at: int
    old: str
    new: str


@dataclass(frozen=True)
class Explanation:
    """Where a row came from and what became of it.

    `outcome` is `pair`, `quarantined` or `open`; `record` is its object in the pair or quarantine
    file, None while it is open. `columns` are the other columns of the prompt file.
    """

    row: str
    outcome: str
    record: Row | None
    columns: Row
    attempts: tuple[Attempt, ...]
    edits: tuple[AnswerEdit, ...]

    @property
    def usage(self) -> dict[str, Usage]:
        """Return what the row's requests took, by the model's spec."""
        spent: dict[str, Usage] = {}
        for each in self.attempts:
            took = Usage(each.requests, each.prompt_tokens, each.completion_tokens, 1)
            spent[each.model] = spent.get(each.model, Usage()) + took
        return spent

    def to_json(self) -> Row:
        """Return all of it as one object."""
        return asdict(self)


def explain(output: Path, given: str) -> Explanation:
    """Explain one row of an output.

    Args:
        output: the pair file or folder.
        given: the id of a pair or of a prompt row, or how it begins, when that is enough.

    Raises:
        DataError: there is no such row, or several begin so.
    """
    with reading(journal_path(output)) as database:
        row_id, outcome, record = _find(output, given, database)
        noted = database.execute("SELECT columns FROM rows WHERE id = ?", (row_id,)).fetchone()
        attempts = [Attempt(*values) for values in database.execute(_RESULTS, (row_id,))]
    return Explanation(
        row=row_id,
        outcome=outcome,
        record=record,
        columns=columns_of(noted[0]) if noted else {},
        attempts=tuple(attempts),
        edits=tuple(_edits(record)) if outcome == "pair" and record else (),
    )


def _find(output: Path, given: str, database: sqlite3.Connection) -> tuple[str, str, Row | None]:
    """The row's id, what became of it, and its object in a file."""
    found = [*_in_files(output, given)]
    exact = [each for each in found if given in (each[0], each[2]["id"])]
    found = exact or found
    if not found:
        return _open_row(output, given, database), "open", None
    ids = {row_id for row_id, _, _ in found}
    if len(ids) > 1:
        raise _several(output, given, sorted(ids))
    return found[0]


def _in_files(output: Path, given: str) -> Iterator[tuple[str, str, Row]]:
    for pair in pairs_of(output):
        row_id = row_of(pair)
        if pair["id"].startswith(given) or row_id.startswith(given):
            yield row_id, "pair", pair
    for row in set_aside(output):
        if row["id"].startswith(given):
            yield row["id"], "quarantined", row


def _open_row(output: Path, given: str, database: sqlite3.Connection) -> str:
    ids = find_rows(database, given)
    if len(ids) == 1 or (ids and ids[0] == given):
        return ids[0]
    if ids:
        raise _several(output, given, ids)
    gone = database.execute("SELECT 1 FROM removed WHERE row = ?", (row_mark(given),)).fetchone()
    if gone:
        raise DataError("the row was removed for good", path=output, received=excerpt(given))
    raise DataError(
        "no pair and no row has this id",
        path=output,
        received=excerpt(given),
        remedy="take it from the pair, quarantine or prompt file",
    )


def _several(output: Path, given: str, ids: Sequence[str]) -> DataError:
    remedy = f"give more of it: {', '.join(ids[:3])}"
    return DataError("several rows begin so", path=output, received=excerpt(given), remedy=remedy)


def _edits(pair: Row) -> Iterator[AnswerEdit]:
    """What was changed, by grapheme clusters."""
    sides = ("chosen", "rejected") if is_worsened(pair) else ("rejected", "chosen")
    old, new = (units_of(last_text(pair[side]), None) for side in sides)
    at = done = 0
    for span in align(old, new).spans:
        at += sum(len(str(unit)) for unit in old[done : span.rejected_start])
        done = span.rejected_start
        was, became = ("".join(map(str, side)) for side in span.cut(old, new))
        yield AnswerEdit(at, was, became)
