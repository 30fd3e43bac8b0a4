"""Keep the manifest: a line a run, each sealed with the hash of all before it.

`PAIRS.manifest.jsonl` stands beside the pairs. Whoever noted the hash of one line can tell later
that neither it nor any line before it was changed, nor any file or reply that it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clairkit import __version__
from clairkit.errors import DataError
from clairkit.journal.dataset_card import is_card_of, write_card
from clairkit.journal.results import journal_path
from clairkit.journal.sealed_results import START, check_results, seal_journal
from clairkit.records import atomic_write, digest
from clairkit.records.faults import RowFault
from clairkit.records.formats.strict_json import dump_line, parse_object
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.temporary import is_temporary

Entry = JsonMapping

_FORMAT = 1
_OWN = ("sequence", "previous", "time", "hash")  # what two entries of the same run differ in
_CHUNK = 2**20


def manifest_path(output: Path) -> Path:
    """Return where the manifest of an output stands."""
    return output.with_name(f"{output.name}.manifest.jsonl")


def quarantine_path(output: Path) -> Path:
    """Return where the rows that became no pair stand."""
    return output.with_name(f"{output.name}.quarantine.jsonl")


def seal(
    output: Path,
    event: str,
    facts: JsonMapping,
    *,
    beside: Sequence[Path] = (),
    has_card: bool = True,
) -> Entry:
    """Add a line to the manifest about the output as it stands, and return it; write its card.

    When nothing is new since the last line, that one is returned and none is added. Files are
    named relative to the manifest, so that a folder can be moved as a whole. A removal that was
    cut short is noted as `removing`, the number of rows.

    Args:
        output: the pair file or folder, complete; its journal and quarantine file lie beside it.
        event: what was done: `build`, `merge`, `remove`, `evaluate`.
        facts: what is to be on record, without secrets and paths. The card shows `settings`
            (flat), `pairs`, `counts` (by reason code), `unfinished`, `calls`, `tokens`, `cost`
            and `removed`.
        beside: further files in the output's folder that belong to it.
        has_card: write the card of a pair file.

    Raises:
        DataError: the manifest is damaged, the journal is missing, or a result that was sealed
            before is not what it was.
    """
    entries = manifest_entries(output)
    path = journal_path(output)
    journal, removing = seal_journal(path, entries, is_removal=event == "remove")
    body = {
        "format": _FORMAT,
        "event": event,
        "clairkit": __version__,
        **facts,
        **({"removing": removing} if removing else {}),
        "files": {**_files(output), **{path.name: file_digest(path) for path in beside}},
        "journal": journal,
    }
    if entries and body == {name: v for name, v in entries[-1].items() if name not in _OWN}:
        if has_card and not is_card_of(output, entries):
            write_card(output, entries)
        return entries[-1]
    entry = {
        "sequence": len(entries) + 1,
        "previous": entries[-1]["hash"] if entries else START,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **body,
    }
    sealed = {**entry, "hash": digest(entry)}
    with atomic_write(manifest_path(output)) as file:
        for line in (*entries, sealed):
            file.write(dump_line(line))
    if has_card:
        write_card(output, [*entries, sealed])
    return sealed


def read_manifest(output: Path) -> list[Entry]:
    """Return the lines of an output's manifest.

    Raises:
        DataError: there is none, or a line is damaged; whether they were changed is not looked at.
    """
    path = manifest_path(output)
    if not path.exists() and output.exists():
        raise _without_manifest(output)
    try:
        # Not `splitlines`: a rubric may hold U+2028, which ends no line here.
        with path.open(encoding="utf-8", newline="\n") as file:
            lines = list(file)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the manifest can't be read ({type(error).__name__})",
            path=path,
            remedy="name a pair file that build-pairs wrote",
        ) from None
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = parse_object(line)
        except RowFault as fault:
            raise fault.to_error(str(path), number) from None
        if not isinstance(entry.get("hash"), str) or not isinstance(entry.get("files"), dict):
            raise DataError("is not a line of a manifest", path=path, line=number)
        entries.append(entry)
    if not entries:
        raise DataError("the manifest is empty", path=path)
    return entries


def _without_manifest(output: Path) -> DataError:
    """What is wrong with an output that has no manifest; it may have been renamed alone."""
    end = ".manifest.jsonl"
    for path in sorted(output.parent.glob(f"*{end}")):
        other = path.with_name(path.name.removesuffix(end))
        try:
            said = sealed_files(output, read_manifest(other)[-1])
        except DataError:
            continue
        if said and all(
            file.is_file() and file_digest(file) == found
            for file, found in said.items()
            if file != quarantine_path(output)
        ):
            return DataError(
                f"the files beside it have the name that it was made with, {other.name}",
                path=output,
                received=path.name,
                remedy=f"rename {other.name}.* to {output.name}.*, manifest, journal and all",
            )
    return DataError(
        "there is no manifest",
        path=manifest_path(output),
        remedy="name a pair file that build-pairs wrote",
    )


def sealed_files(output: Path, entry: Entry) -> dict[Path, Any]:
    """Return what a line of the manifest says of each file, where the file is now.

    An output may have been renamed since, all its files alike.
    """
    names: JsonMapping = entry["files"]
    earlier = sealed_name(entry)
    return {
        output.parent
        / (output.name + name.removeprefix(earlier) if name.startswith(earlier) else name): found
        for name, found in names.items()
    }


def sealed_name(entry: Entry) -> str:
    """Return the name that an output had when a line of its manifest was written."""
    ends = (".quarantine.jsonl", "/")
    name = next(iter(entry["files"]), "")
    return min((name.partition(end)[0] for end in ends), key=len)


def manifest_entries(output: Path) -> list[Entry]:
    """Return the lines of an output's manifest; none where there is no manifest yet.

    Raises:
        DataError: a line is damaged.
    """
    return read_manifest(output) if manifest_path(output).exists() else []


def check_sealed(output: Path, *, but: Collection[str] = ()) -> None:
    """Check that manifest and results of an output are what they were when they were sealed.

    What was added since is no fault. An output that was never sealed has nothing to be checked.

    Args:
        output: the pair file or folder.
        but: ids of rows whose results may be damaged, as they are to be deleted.

    Raises:
        DataError: one is not.
    """
    entries = manifest_entries(output)
    problem = chain_problem(entries)
    if problem:
        raise DataError(
            problem, path=manifest_path(output), remedy="put back the manifest as it was"
        )
    check_results(journal_path(output), entries, but=but)


def chain_problem(entries: Sequence[Entry]) -> str | None:
    """Return where the chain of hashes breaks first, or None when it holds."""
    previous = START
    for number, entry in enumerate(entries, 1):
        rest = {name: value for name, value in entry.items() if name != "hash"}
        if digest(rest) != entry["hash"]:
            return f"line {number} was changed after it was written"
        if entry.get("previous") != previous:
            return f"a line before line {number} was changed, added or taken away"
        previous = entry["hash"]
    return None


def file_digest(path: Path) -> JsonObject:
    """Return size and sha256 of a file."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": sha.hexdigest()}


def _files(output: Path) -> JsonObject:
    paths = [output, quarantine_path(output)]
    if output.is_dir():
        # The card names the seal, and what a kill left is none of it.
        data = [
            path
            for path in output.rglob("*")
            if path.is_file() and path.name != "README.md" and not is_temporary(path.name)
        ]
        paths = [*sorted(data), paths[1]]
    return {
        path.relative_to(output.parent).as_posix(): file_digest(path)
        for path in paths
        if path.exists()
    }
