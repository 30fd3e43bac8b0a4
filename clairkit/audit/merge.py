"""Merge several outputs of one run, made of parts of its prompts, into one."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from clairkit.audit.merge_journals import MergedJournal, merge_journals, merge_of
from clairkit.errors import DataError, UsageError
from clairkit.journal.database import reading
from clairkit.journal.dataset_card import is_card_of
from clairkit.journal.files import ROOM_BESIDE, Row, answer_of, pairs_of, row_of, set_aside
from clairkit.journal.manifest import (
    Entry,
    chain_problem,
    check_sealed,
    file_digest,
    manifest_entries,
    quarantine_path,
    read_manifest,
    seal,
    sealed_files,
)
from clairkit.journal.results import journal_path
from clairkit.journal.sealed_results import check_removed, head_of
from clairkit.models.reasons import SAME_AS
from clairkit.records import check_rows_output, digest, write_rows
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.lock import lock_output


class MergedRows:
    """Reads the files of all parts; first all of `pairs`, then `quarantined`.

    Args:
        parts: pair files or folders.
        journal: their merged journal; it says where each row stands.

    Attributes:
        flags: pairs by the flags they were kept with, once they were read.
    """

    def __init__(self, parts: Sequence[Path], journal: MergedJournal) -> None:
        self._parts = parts
        self._unsettled = journal.unsettled
        self._rows_by_pair: dict[str, str] = {}
        self._twins: dict[str, str] = {}  # a row that is a duplicate now -> the one that counts
        self._aside: list[tuple[int, Row]] = []
        self.flags: Counter[str] = Counter()
        self._stack = ExitStack()
        self._database: sqlite3.Connection = self._stack.enter_context(reading(journal.path))

    def pairs(self) -> Iterator[Row]:
        """Yield the pairs, each once; what came up as a duplicate is set aside."""

        def placed(index: int, part: Path) -> Iterator[tuple[int, int, Row]]:
            for pair in pairs_of(part):
                row = row_of(pair)
                if (index, row) not in self._unsettled:
                    yield self._position(row, part), index, pair

        streams = [placed(index, part) for index, part in enumerate(self._parts)]
        for position, _, pair in heapq.merge(*streams, key=itemgetter(0, 1)):
            row = row_of(pair)
            first = self._rows_by_pair.setdefault(pair["id"], row)
            if first != row:
                self._twins[row] = first
                self._aside.append((position, _duplicate(pair, row, first)))
            elif row not in self._twins:
                self._twins[row] = row
                self.flags.update({flag["reason"] for flag in pair["provenance"].get("flags", ())})
                yield pair

    def quarantined(self) -> list[Row]:
        """Return the rows that became no pair."""
        seen = set(self._twins)
        for index, part in enumerate(self._parts):
            for row in set_aside(part):
                if (index, row["id"]) in self._unsettled or row["id"] in seen:
                    continue
                first = str(row["detail"]).removeprefix(SAME_AS)
                if row["reason"] == "duplicate":
                    row = {**row, "detail": SAME_AS + self._twins.get(first, first)}
                seen.add(row["id"])
                self._aside.append((self._position(row["id"], part), row))
        return [row for _, row in sorted(self._aside, key=itemgetter(0))]

    def _position(self, row: str, part: Path) -> int:
        found = self._database.execute("SELECT position FROM rows WHERE id = ?", (row,)).fetchone()
        if found is None:
            raise DataError(
                "the journal does not know a row of the file",
                path=part,
                received=row,
                remedy="run build-pairs on it once more",
            )
        return int(found[0])

    def close(self) -> None:
        """Close the journal."""
        self._stack.close()


def _duplicate(pair: Row, row: str, first: str) -> Row:
    """The row of a quarantine file for a pair that an earlier row is already."""
    steps = pair["provenance"].get("steps")
    return {
        "id": row,
        "reason": "duplicate",
        "detail": SAME_AS + first,
        "step": steps[-1]["step"] if steps else "revise",
        "prompt": pair["prompt"],
        "answer": answer_of(pair),
    }


@dataclass(frozen=True)
class Merge:
    """What a merge made. `unfinished` are the rows that the next build still has to do.

    `counts` has the rows that became no pair, by reason code. `results` is how many replies the
    journal has.
    """

    rows: int
    pairs: int
    counts: dict[str, int]
    unfinished: int
    results: int
    entry: Entry


def merge(parts: Sequence[Path], output: Path, *, force: bool = False) -> Merge:
    """Merge outputs that were built with the same settings; they stay as they are.

    The rows come in the order of the prompts, when the parts are shards of one prompt file, else
    one part after the other. The result is what one run over all prompts gives. A reply that two
    parts have otherwise, because both asked for it, is taken from the first.

    Args:
        parts: pair files or folders with their journals and manifests. A single one is copied,
            into another form when the suffix says so.
        output: the pair file or folder to write; its suffix decides the form.
        force: replace what is there.

    Raises:
        UsageError: settings differ, a part is being worked on, or the output is there.
        DataError: a part is not what its manifest says.
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    if not parts:
        raise UsageError("nothing to merge", remedy="name the pair files")
    final = check_rows_output(output, force=True, room=ROOM_BESIDE)
    is_ours = _was_cut_short(parts, final)
    check_rows_output(output, force=force or is_ours, room=ROOM_BESIDE)
    if len({part.resolve() for part in (*parts, final)}) <= len(parts):
        raise UsageError("a file is named twice", remedy="name each part once, and another output")
    if journal_path(final).exists() and not force and not is_ours:
        raise UsageError(
            "the output has a journal",
            received=str(final),
            remedy="choose another name, or replace it with --force",
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for place in (*parts, final):
            stack.enter_context(lock_output(place))
        entries = [_checked(part) for part in parts]
        journal = merge_journals(
            [journal_path(part) for part in parts],
            journal_path(final),
            head=head_of(manifest_entries(final)),
            request=_request(entries),
        )
        return _write(parts, final, journal, entries)


def _checked(part: Path) -> Entry:
    """The last line of a part's manifest, when the part is what it says."""
    entries = read_manifest(part)
    problem = chain_problem(entries)
    for path, said in sealed_files(part, entries[-1]).items():
        if not problem and not (path.is_file() and file_digest(path) == said):
            problem = f"{path.name} is not what the last run wrote"
    check_removed(part)
    if problem:
        raise DataError(problem, path=part, remedy="run build-pairs on it once more")
    check_sealed(part)
    return entries[-1]


def _request(entries: Sequence[Entry]) -> str:
    """What a merge is known by: the state of its parts."""
    return digest([entry["hash"] for entry in entries])


def _was_cut_short(parts: Sequence[Path], final: Path) -> bool:
    """Whether the output is what a merge of these parts left that was killed before its seal."""
    if not journal_path(final).exists():
        return False
    entries = [manifest_entries(part)[-1:] for part in parts]
    if not all(entries) or merge_of(journal_path(final)) != _request([last for (last,) in entries]):
        return False
    made = manifest_entries(final)
    hashes = [last["hash"] for (last,) in entries]
    return not made or made[-1].get("parts") != hashes or not is_card_of(final, made)


def _write(
    parts: Sequence[Path], final: Path, journal: MergedJournal, entries: Sequence[Entry]
) -> Merge:
    with closing(MergedRows(parts, journal)) as rows:
        pairs = write_rows(final, rows.pairs(), force=True)
        aside = rows.quarantined()
    if aside:
        write_rows(quarantine_path(final), aside, force=True)
    else:
        quarantine_path(final).unlink(missing_ok=True)
    counts = dict(Counter(str(row["reason"]) for row in aside).most_common())
    unfinished = journal.rows - pairs - len(aside)
    facts: JsonObject = {
        "settings": journal.settings,
        "rows": journal.rows,
        "pairs": pairs,
        "counts": counts,
        "flags": dict(rows.flags.most_common()),
        "unfinished": unfinished,
        **_spent(entries),
        "parts": [entry["hash"] for entry in entries],
    }
    entry = seal(final, "merge", facts)
    return Merge(journal.rows, pairs, counts, unfinished, journal.results, entry)


def _spent(entries: Sequence[Entry]) -> JsonMapping:
    """What all parts took together; left out where one does not say."""
    spent: JsonObject = {}
    for name in ("calls", "cost"):
        values = [entry.get(name) for entry in entries]
        if None not in values:
            spent[name] = sum(value for value in values if value is not None)
    tokens: Counter[str] = Counter()
    for entry in entries:
        tokens.update(entry.get("tokens", {}))
    return {**spent, "tokens": dict(tokens)}
