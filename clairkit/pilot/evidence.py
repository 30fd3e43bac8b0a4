"""Read what commands left in a pilot's folder, each figure with its file and the file's hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clairkit.errors import DataError
from clairkit.journal.manifest import (
    chain_problem,
    file_digest,
    manifest_path,
    read_manifest,
    sealed_files,
)
from clairkit.records.json_types import JsonMapping, JsonObject


@dataclass(frozen=True)
class Figure:
    """One figure and what it rests on.

    Attributes:
        figure: a key of the texts: what it is.
        value: of it.
        n: what an estimate rests on; None for a count, which is exact.
        low: lower end of an estimate's interval; None where there is too little for one.
        high: upper end.
        level: of the interval; None for a count.
        unit: "count", "share", "points", or a unit's name.
        name: tells figures of one kind apart: a KPI's name, a run's folder.
        status: of a guard: holds, violated, undecided.
        file: the evidence, relative to the pilot's folder.
        sha256: of the file.
    """

    figure: str
    value: float | None
    file: str
    sha256: str
    n: int | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    unit: str = "count"
    name: str = ""
    status: str = ""

    @property
    def is_count(self) -> bool:
        """Return whether it was counted, not estimated."""
        return self.unit == "count"

    def to_json(self) -> JsonObject:
        """Return the figure as JSON has it."""
        return asdict(self)


@dataclass
class Files:
    """The files of a pilot's folder, each read and hashed once."""

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)
    _objects: dict[str, JsonObject | None] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Return whether a file, or a folder with something in it, is there."""
        path = self.folder / name
        return any(path.iterdir()) if path.is_dir() else path.exists()

    def sha256(self, name: str) -> str:
        """Return a file's hash."""
        if name not in self.hashes:
            self.hashes[name] = str(file_digest(self.folder / name)["sha256"])
        return self.hashes[name]

    def json(self, name: str, *, schema: int | None = None) -> JsonObject | None:
        """Return the object that a JSON file holds; None where there is no such file.

        Raises:
            DataError: it holds no JSON object, or one of another schema.
        """
        if name not in self._objects:
            self._objects[name] = self._read(name, schema)
        return self._objects[name]

    def figure(self, key: str, value: float | None, file: str, **more: Any) -> Figure:
        """Return a figure with the hash of its file."""
        return Figure(key, value, file, self.sha256(file), **more)

    def entry(self, output: str, key: str) -> JsonMapping | None:
        """Return the last line with a key in the manifest of an output; None without a manifest.

        Raises:
            DataError: the manifest is damaged.
        """
        path = self.folder / output
        if not manifest_path(path).exists():
            return None
        return next((each for each in reversed(read_manifest(path)) if key in each), None)

    def changed(self, output: str) -> str:
        """Return what is not as the manifest of an output says, "" when all is.

        Raises:
            DataError: the manifest is damaged.
        """
        path = self.folder / output
        entries = read_manifest(path)
        if problem := chain_problem(entries):
            return f"{manifest_path(path).name}: {problem}"
        for file, said in sealed_files(path, entries[-1]).items():
            if not file.is_file() or file_digest(file) != said:
                return file.name
        return ""

    def _read(self, name: str, schema: int | None) -> JsonObject | None:
        path = self.folder / name
        if not path.is_file():
            return None
        found = parsed(path.read_bytes())
        if not found:
            remedy = "make it anew, or move it away"
            raise DataError("the file holds no JSON object", path=path, remedy=remedy)
        if schema is not None and found.get("schema") != schema:
            raise DataError(
                f"a file of schema {schema} is needed",
                path=path,
                received=found.get("schema"),
                remedy="make it anew with this version of clairkit",
            )
        return found


def part(found: JsonMapping | None, *keys: str) -> JsonMapping:
    """Return a mapping inside of another; an empty one where there is none."""
    for key in keys:
        inner = None if found is None else found.get(key)
        found = inner if isinstance(inner, Mapping) else None
    return found or {}


def rows(found: JsonMapping, key: str) -> list[JsonMapping]:
    """Return the objects of a list; none where there is no list."""
    given = found.get(key)
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []


def number(value: object) -> float | None:
    """Return a number as it is, and None for all else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]  # checked above


def whole(value: object) -> int:
    """Return a whole number as it is, and 0 for all else."""
    return int(number(value) or 0)


def parsed(content: bytes) -> JsonObject:
    """Return the JSON object in a file or a line; an empty one where there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
