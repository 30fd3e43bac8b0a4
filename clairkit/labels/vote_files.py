"""Read votes as raters send them: as the page saved them, or as a spreadsheet left them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clairkit.errors import DataError
from clairkit.records.formats.encoding_guess import candidates, is_sure
from clairkit.records.json_types import JsonMapping

_MARK = "clairkit votes"
_AS_SAVED = "ask for the file as the page saved it"
_MARKED = re.compile(r"'(?=[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


@dataclass(frozen=True)
class Vote:
    """One vote, still blind.

    Attributes:
        item: the opaque id of the screen.
        vote: the word for it, in lower case.
        ms: milliseconds for which the screen was seen; None where the file lost it.
        at: when it was given; None where the file lost it.
        changes: how often it was given anew.
        note: the rater's.
        key: the digest of the key that the page was made with.
        is_edited: the row is not as the page wrote it.
        path: where it was read.
        line: of the file, or the row's number.
    """

    item: str
    vote: str
    ms: int | None
    at: datetime | None
    changes: int
    note: str
    key: str
    is_edited: bool
    path: str
    line: int

    def error(self, problem: str, received: str | None, remedy: str) -> DataError:
        """Return the error that names the place of this vote."""
        return DataError(problem, path=self.path, line=self.line, received=received, remedy=remedy)


def read_votes(path: str | os.PathLike[str], language: str = "en") -> list[Vote]:
    """Return the votes of a file: JSON or CSV of the page, also saved again by a spreadsheet.

    Args:
        path: the file.
        language: of the page; says which encoding notes that are not UTF-8 are in.

    Raises:
        DataError: the file is missing, is of another kind, or a spreadsheet has damaged it.
    """
    place = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=place) from None
    text = _decoded(content, place, language)
    if text.lstrip().startswith("{"):
        return list(_json_votes(text, place))
    return list(_csv_votes(text, place))


def checksum(*parts: object) -> str:
    """Return FNV-1a (64 bits) of the parts, as the page writes it to each row.

    It shows what was changed by hand or by a program; it does not stop who means to deceive.
    """
    value = 0xCBF29CE484222325
    for byte in "|".join(map(str, parts)).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"c{value:016x}"


def _decoded(content: bytes, path: str, language: str) -> str:
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        problem = "is a workbook of a spreadsheet program, not the page's file"
        raise DataError(problem, path=path, remedy=f"{_AS_SAVED}, or save it as CSV UTF-8")
    codecs = ["utf-16"] if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig"]
    for codec in [*codecs, "cp932"] if language == "ja" else codecs:
        try:
            return content.decode(codec)
        except UnicodeDecodeError:
            continue
    found = candidates(content)
    if is_sure(found):
        return found[0].text
    raise DataError("is in no encoding that is known for sure", path=path, remedy=_AS_SAVED)


def _json_votes(text: str, path: str) -> Iterator[Vote]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"is not whole ({error})", path=path, remedy=_AS_SAVED) from None
    if value.get("kind") != _MARK or not isinstance(value.get("votes"), list):
        raise DataError("holds no votes of a label page", path=path, remedy=_AS_SAVED)
    for line, row in enumerate(value["votes"], 1):
        if not isinstance(row, Mapping):
            raise DataError("is no vote", path=path, line=line, received=row, remedy=_AS_SAVED)
        yield _vote({**row, "key": value.get("key")}, path, line)


def _csv_votes(text: str, path: str) -> Iterator[Vote]:
    lines = text.splitlines(keepends=True)
    first = 1 if lines and lines[0].strip().strip('"').lower().startswith("sep=") else 0
    head = lines[first] if len(lines) > first else ""
    separator = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO("".join(lines[first:]), newline=""), delimiter=separator)
    try:
        records = [(first + reader.line_num, record) for record in reader]
    except csv.Error as error:
        raise DataError(f"is no CSV ({error})", path=path, remedy=_AS_SAVED) from None
    names = [name.strip().lower() for name in records[0][1]] if records else []
    lacking = [name for name in ("item", "vote", "key") if name not in names]
    if lacking:
        raise DataError(
            f"has no column `{lacking[0]}`: it is no table of votes",
            path=path,
            received=", ".join(names),
            remedy=_AS_SAVED,
        )
    for line, record in records[1:]:
        if any(cell.strip() for cell in record):
            row = dict(zip(names, record, strict=False))
            row["note"] = _MARKED.sub("", row.get("note", ""), count=1)
            yield _vote(row, path, line)


def _vote(row: JsonMapping, path: str, line: int) -> Vote:
    item, vote, key = (str(row.get(name) or "").strip() for name in ("item", "vote", "key"))
    if not re.fullmatch(r"q[0-9a-f]{12}", item):
        raise DataError(
            "the item is no id of a label page",
            path=path,
            line=line,
            received=item,
            remedy=f"a spreadsheet may have changed it; {_AS_SAVED}",
        )
    ms, changes = (_count(row.get(name), name, path, line) for name in ("ms", "changes"))
    vote = vote.lower()
    return Vote(
        item=item,
        vote=vote,
        ms=ms,
        at=_time(row.get("at")),
        changes=changes or 0,
        note=str(row.get("note") or ""),
        key=key,
        is_edited=row.get("check") != checksum(key, item, vote, ms),
        path=path,
        line=line,
    )


def _count(value: Any, name: str, path: str, line: int) -> int | None:
    """Return a whole number as a spreadsheet shows it: `12.300`, `12,300`, in full width."""
    text = str("" if value is None else value).strip()
    if not text:
        return None
    digits = re.sub(r"(?<=\d)[.,'\u00a0\u202f ](?=\d{3}(?!\d))", "", text)
    if not re.fullmatch(r"\d{1,12}", digits):
        raise DataError(
            f"column `{name}` holds no whole number",
            path=path,
            line=line,
            received=text,
            remedy=f"a spreadsheet may have made a date of it; {_AS_SAVED}",
        )
    return int(digits)


def _time(value: Any) -> datetime | None:
    """Return the time; None for what a spreadsheet made of it, which only orders votes."""
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return None
