"""Verify that an output is what its manifest says: chain, files, replies, pairs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clairkit.display import counted, excerpt
from clairkit.errors import ClairError, DataError
from clairkit.journal.database import count_results, reading
from clairkit.journal.files import pairs_of, row_of
from clairkit.journal.manifest import (
    Entry,
    chain_problem,
    file_digest,
    manifest_path,
    quarantine_path,
    read_manifest,
    sealed_files,
    sealed_name,
)
from clairkit.journal.results import journal_path
from clairkit.journal.sealed_results import expected_digest, raise_damage, removing, results_digest
from clairkit.records import pair_id
from clairkit.records.json_types import JsonObject
from clairkit.records.temporary import leftovers

_FINISH = "give the same `clairkit remove` again"
_AGAIN = "run build-pairs once more, or put back the file as it was"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `problem` is None when it holds; `found` says what was seen."""

    name: str
    problem: str | None
    found: str
    is_unfinished: bool = False
    """Whether the problem is a removal that was cut short, and no change."""


@dataclass(frozen=True)
class Verification:
    """All checks of an output. `head` is the hash of the manifest's last line."""

    head: str
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """What does not hold, a sentence each."""
        return [f"{check.name}: {check.problem}" for check in self.checks if check.problem]

    @property
    def is_unfinished(self) -> bool:
        """Whether all that does not hold is a removal that was cut short."""
        problems = [check for check in self.checks if check.problem]
        return bool(problems) and all(check.is_unfinished for check in problems)


def verify(output: Path, *, head: str | None = None) -> Verification:
    """Check an output against its manifest; nothing is written.

    Args:
        output: the pair file or folder.
        head: the hash of a manifest line, noted earlier: it must still be there. At least its
            first 16 digits.

    Raises:
        DataError: there is no manifest, or one of its lines is damaged.
    """
    entries = read_manifest(output)
    checks = [_chain(entries, head)]
    last = entries[-1]
    pending = 0
    with suppress(ClairError):  # of a journal that can't be read, which is told below
        pending = removing(output)
    if pending:
        problem = f"{counted(pending, 'row')} still to be removed: it was cut short; {_FINISH}"
        checks.append(Check("removal", problem, "", is_unfinished=True))
    checks += _files(output, last, is_pending=bool(pending))
    checks.append(_journal(output, entries))
    if last.get("event") != "evaluate":
        checks.append(check_pairs(output))
    checks += _left(output)
    return Verification(str(last["hash"]), tuple(checks))


def _chain(entries: Sequence[Entry], head: str | None) -> Check:
    problem = chain_problem(entries)
    known = [str(entry["hash"]) for entry in entries]
    if problem is None and head is not None:
        if len(head) < 16:
            problem = "the noted hash is too short; give at least 16 digits"
        elif not any(each.startswith(head.lower()) for each in known):
            problem = f"no line has the hash {excerpt(head)}"
    return Check("manifest", problem, f"{counted(len(entries), 'line')}, sealed")


def _files(output: Path, last: Entry, *, is_pending: bool) -> Iterator[Check]:
    earlier = sealed_name(last)
    renamed = f", sealed as {earlier}" if earlier != output.name else ""
    for path, said in sealed_files(output, last).items():
        name = os.path.relpath(path, output.parent)
        if not path.resolve().is_relative_to(output.parent.resolve()):
            yield Check(name, "the manifest names a file in another folder", "")
            continue
        found = file_digest(path) if path.is_file() else None
        size = f"{found['bytes']:,} bytes{renamed}" if found else ""
        if found == said:
            yield Check(name, None, size)
        elif is_pending:
            problem = f"is being written again without the removed rows; {_FINISH}"
            yield Check(name, problem, size, is_unfinished=True)
        else:
            problem = "is not what the last run wrote" if found else "is missing"
            yield Check(name, f"{problem}; {_AGAIN}", size)


def _journal(output: Path, entries: Sequence[Entry]) -> Check:
    journal, said = journal_path(output), entries[-1]["journal"]
    try:
        with reading(journal) as database:
            said = expected_digest(database, entries) or said
            count = count_results(database)
            if results_digest(database, said["results"]) != said:
                raise_damage(database, journal, said)
    except DataError as error:
        return Check("journal", error.problem, "")
    except ClairError as error:
        return Check("journal", str(error), "")
    more = count - said["results"]
    return Check("journal", None, counted(count, "result") + (f", {more:,} since" if more else ""))


def _left(output: Path) -> Iterator[Check]:
    """What killed processes left is no fault, but to be known of."""
    finals = (output, quarantine_path(output), manifest_path(output), journal_path(output))
    left = [path.name for final in finals for path in leftovers(final.resolve())]
    if left:
        found = f"left by a kill: {', '.join(left)}; the next build-pairs or remove deletes them"
        yield Check("temporary files", None, found)


def check_pairs(output: Path) -> Check:
    """Check that each pair has the id that its texts give, and its results are in the journal."""
    count = 0
    try:
        with reading(journal_path(output)) as database:
            for pair in pairs_of(output):
                count += 1
                problem = _pair_problem(pair, database)
                if problem:
                    return Check("pairs", f"{excerpt(str(pair.get('id')))}: {problem}", "")
    except ClairError as error:
        return Check("pairs", error.problem, "")
    return Check("pairs", None, f"{counted(count, 'pair')} with their results")


def _pair_problem(pair: JsonObject, database: sqlite3.Connection) -> str | None:
    made = pair_id(pair["prompt"], pair["chosen"], pair["rejected"], pair["source"])
    if pair["id"] != made:
        return f"its texts give the id {made}"
    for step in pair["provenance"].get("steps", ()):
        found = database.execute(
            "SELECT 1 FROM asked JOIN results USING (key, step) WHERE asked.row = ? "
            "AND step = ? AND substr(key, 1, 16) = ? LIMIT 1",
            (row_of(pair), step["step"], step["key"]),
        ).fetchone()
        if found is None:
            return f"the journal lacks its result of {excerpt(str(step['step']))}"
    return None
