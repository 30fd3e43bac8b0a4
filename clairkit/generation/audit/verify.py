"""Whether an output is what its manifest says: chain, files, replies, pairs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clairkit.display import counted, excerpt
from clairkit.errors import ClairError
from clairkit.generation.audit.explain import row_of
from clairkit.generation.audit.files import pairs_of
from clairkit.generation.audit.manifest import (
    Entry,
    chain_problem,
    file_digest,
    journal_digest,
    read_manifest,
)
from clairkit.generation.audit.rowbook import reading
from clairkit.generation.journal import journal_path
from clairkit.records import pair_id

_AGAIN = "run build-pairs once more, or put back the file as it was"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `problem` is None when it holds; `found` says what was seen."""

    name: str
    problem: str | None
    found: str


@dataclass(frozen=True)
class Verification:
    """All checks of an output. `head` is the hash of the manifest's last line."""

    head: str
    checks: tuple[Check, ...]

    @property
    def problems(self) -> list[str]:
        """What does not hold, a sentence each."""
        return [f"{check.name}: {check.problem}" for check in self.checks if check.problem]


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
    checks += _files(output, last)
    checks.append(_journal(output, last))
    checks.append(_pairs(output))
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


def _files(output: Path, last: Entry) -> Iterator[Check]:
    for name, said in last["files"].items():
        path = output.parent / name
        if not path.resolve().is_relative_to(output.parent.resolve()):
            yield Check(name, "the manifest names a file in another folder", "")
        elif not path.is_file():
            yield Check(name, f"is missing; {_AGAIN}", "")
        else:
            found = file_digest(path)
            problem = None if found == said else f"is not what the last run wrote; {_AGAIN}"
            yield Check(name, problem, f"{found['bytes']:,} bytes")


def _journal(output: Path, last: Entry) -> Check:
    said = last["journal"]
    try:
        found = journal_digest(journal_path(output), said["results"])
        with reading(journal_path(output)) as database:
            (count,) = database.execute("SELECT COUNT(*) FROM results").fetchone()
    except ClairError as error:
        return Check("journal", str(error), "")
    problem = None if found == said else "a result was changed, added or taken away"
    more = count - said["results"]
    return Check(
        "journal", problem, counted(count, "result") + (f", {more:,} since" if more else "")
    )


def _pairs(output: Path) -> Check:
    """Each pair has the id that its texts give, and every result it came from is there."""
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


def _pair_problem(pair: dict[str, Any], database: sqlite3.Connection) -> str | None:
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
