"""Clear what a removal could leave behind: temporary files, freed pages, the journal's log."""

from __future__ import annotations

import glob
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from clairkit.errors import ClairError, PartialError, ResourceError
from clairkit.journal.database import faults
from clairkit.journal.dataset_card import card_path
from clairkit.journal.files import Row, row_of, rows_of
from clairkit.journal.manifest import manifest_path, quarantine_path
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import RowIndex, row_mark
from clairkit.records.temporary import delete, earlier_leftovers, sweep

_PATIENCE = 10_000  # milliseconds for who reads the journal
_LEAST = 16  # characters; a shorter text may be anybody's
_PIECE = 64  # characters; SQLite keeps a long text in several places
_SQLITE_ENDS = ("", "-journal", "-wal", "-shm")
_COLUMNS = "SELECT name FROM pragma_table_info('results')"  # an earlier one has no thoughts
_AGAIN = "nothing is lost: give the same call again"


class Texts:
    """Texts of rows that are to go, and whether a file holds one of them.

    Args:
        database: the journal; it has their replies.
        rows: the ids of the rows.
    """

    def __init__(self, database: sqlite3.Connection, rows: Collection[str]) -> None:
        self._ours: set[str] = set()
        self._others: set[str] = set()
        there = {name for (name,) in database.execute(_COLUMNS)}
        names = ", ".join(name for name in ("text", "rationale", "thoughts") if name in there)
        for row in rows:
            found = database.execute(
                f"SELECT {names} FROM results JOIN asked USING (key, step) WHERE row = ?", (row,)
            )
            self._ours.update(text for texts in found for text in texts if text)

    def add(self, record: Row, *, is_ours: bool) -> None:
        """Add a pair, or a row that became none; what others' have as well is nobody's."""
        texts = self._ours if is_ours else self._others
        for name in ("prompt", "chosen", "rejected"):
            texts.update(str(turn["content"]) for turn in record.get(name) or ())
        texts.update(str(record[name]) for name in ("answer", "rationale") if record.get(name))

    def are_in(self, path: Path) -> bool:
        """Whether a file holds a text of theirs, as it is or as JSON spells it."""
        try:
            content = path.read_bytes()
        except OSError:
            return True  # nobody can tell
        return any(
            form in content
            for text in self._ours - self._others
            if len(text) >= _LEAST
            for form in _forms(text)
        )


def _forms(text: str) -> set[bytes]:
    middle = len(text) // 2
    parts = (text[:_PIECE], text[middle : middle + _PIECE], text[-_PIECE:])
    pieces = [part for part in parts if len(part) >= _LEAST]
    spelled = [*pieces, *(json.dumps(piece)[1:-1] for piece in pieces)]
    spelled += [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in pieces]
    return {piece.encode("utf-8", "surrogatepass") for piece in spelled}


def beside(output: Path, files: Iterable[str]) -> tuple[str, ...]:
    """Return files beside the output that are no part of it, as those of a reviser's probe."""
    folder, name = output.parent, glob.escape(output.name)
    lock = output.with_name(f"{output.name}.journal.lock")
    ours = {
        *map(Path, files),
        manifest_path(output),
        card_path(output),
        quarantine_path(output),
        *_journal_files(journal_path(output)),
        lock,
    }
    end = ".journal.sqlite"
    others = [path.name.removesuffix(end) for path in folder.glob(f"{name}.*{end}")]
    others = [other for other in others if not other.endswith(".health")]
    return tuple(
        str(path)
        for path in sorted(folder.glob(f"{name}.*"))
        if path not in ours
        and path.is_file()
        and not any(path.name == each or path.name.startswith(f"{each}.") for each in others)
    )


def delete_leftovers(output: Path, files: Sequence[Path], is_gone: Callable[[Row], bool]) -> None:
    """Delete what killed processes left on their way to the output, and to files made from it.

    Args:
        output: the pair file or folder; its lock is held.
        files: all pair and quarantine files.
        is_gone: whether a row was removed.

    Raises:
        ResourceError: a file can't be deleted.
        PartialError: an older version left a folder of which nobody can tell whose it is.
    """
    journal = journal_path(output)
    finals = {
        output,
        *files,
        quarantine_path(output),
        manifest_path(output),
        card_path(output),
        journal,
    }
    left = [path for final in sorted(finals) for path in sweep(final.resolve())]
    for end in (".fork", ".merge"):  # the names of an earlier version
        left += _deleted(_journal_files(journal.with_name(f".{journal.name}{end}")))
    unknown: list[Path] = []
    for folder in sorted({final.resolve().parent for final in finals}):
        for path in earlier_leftovers(folder):
            # One that is complete may be another output's only one.
            holds = path.suffix == ".tmp" or _holds(path, is_gone)
            if holds is None:
                unknown.append(path)
            elif holds:
                left += _deleted([path])
    if left:
        raise ResourceError(
            f"{_names(left)}: left by a process that was killed, and can't be deleted",
            remedy=f"delete it; {_AGAIN}",
        )
    if unknown:
        raise PartialError(
            f"{_names(unknown)}: may hold texts of the removed rows",
            remedy="look into it and delete it, then give the same call again",
        )


def overwrite_deleted(index: RowIndex) -> None:
    """Rewrite the journal without what was deleted, its log included.

    Raises:
        ResourceError: another process reads the journal, or the disk is full.
    """
    database = index.database
    with faults(index.path):
        database.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        _empty_log(index)
        # Pages keep remains of rows that were moved, and of what was deleted by earlier versions.
        database.execute("VACUUM")
        _empty_log(index)


def _empty_log(index: RowIndex) -> None:
    (is_busy, *_) = index.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise ResourceError(
            f"{index.path}: another process reads the journal, so that the removed texts can't be "
            "overwritten yet: they are still in it, and in its -wal",
            remedy=f"let that process end (a backup, sqlite3); {_AGAIN}",
        )


def check_gone(output: Path, files: Sequence[Path], marks: Collection[str]) -> int:
    """Read all files once more; return how many pairs the output has.

    Raises:
        PartialError: one still has a removed row, as it was changed meanwhile.
    """
    count, left = 0, []
    for path in dict.fromkeys((output, *files)):
        if not path.exists():
            continue
        rows = [row_mark(row_of(row)) in marks for row in rows_of(path)]
        if path == output:
            count = len(rows)
        if any(rows):
            left.append(path)
    if left:
        raise PartialError(
            f"{_names(left)}: written by another process meanwhile, and holds a removed row again",
            remedy="give the same call again",
        )
    return count


def _holds(folder: Path, is_gone: Callable[[Row], bool]) -> bool | None:
    """Whether a folder of pairs has a removed row; None when it can't be read."""
    try:
        return any(is_gone(row) for row in rows_of(folder) if "id" in row)
    except ClairError:
        return None


def _journal_files(journal: Path) -> list[Path]:
    return [journal.with_name(f"{journal.name}{end}") for end in _SQLITE_ENDS]


def _deleted(paths: Iterable[Path]) -> list[Path]:
    """Delete files; return those that are still there."""
    return [path for path in paths if not delete(path)]


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))
