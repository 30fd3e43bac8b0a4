"""Write and read OpenAI's batch files: requests at half the price, and what came of them.

vLLM's `run-batch` takes the same files. See https://developers.openai.com/api/docs/guides/batch for
their form and limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clairkit.display import excerpt
from clairkit.engine.program import Call
from clairkit.errors import DataError
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Outcome
from clairkit.models.server.model import OpenAIModel
from clairkit.models.server.response import error_text, read_completion
from clairkit.records import atomic_write, check_output
from clairkit.records.faults import RowFault
from clairkit.records.formats.json_file import json_lines
from clairkit.records.formats.strict_json import dump_line
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.source import find_source

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
_URL = "/v1/chat/completions"
_ROW_STATUSES = (400, 413)  # the request's own fault: asking again would not help


@dataclass(frozen=True)
class BatchFile:
    """A file that was written, to be uploaded as it is: one model's requests."""

    path: Path
    model: str
    requests: int
    size: int
    """In bytes."""


def can_batch(model: Model) -> bool:
    """Whether a model's requests can go into a batch file."""
    return isinstance(model, OpenAIModel)


def write_batches(
    path: str | Path, calls: Iterable[Call], *, force: bool = False
) -> tuple[BatchFile, ...]:
    """Write the requests of calls, and return the files: none when there is nothing to ask.

    A file holds requests of one model, and no more than OpenAI takes; the first is `path`, and
    where it needs more, `path` with a number. They appear together, when all are complete.

    Raises:
        UsageError: a file exists and `force` is not given, or can't be written to.
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    parts: list[_Part] = []
    current: dict[str, _Part] = {}
    with ExitStack() as stack:
        for call in calls:
            line = dump_line(_request(call))
            part = current.get(call.model.name)
            if part is None or not part.has_room(line):
                place, number = Path(path), len(parts) + 1
                if number > 1:
                    place = place.with_name(f"{place.stem}-{number}{place.suffix}")
                place = check_output(place, force=force)
                file = stack.enter_context(atomic_write(place))
                part = current[call.model.name] = _Part(file, place, call.model.name)
                parts.append(part)
            part.add(line)
    return tuple(BatchFile(part.path, part.model, part.requests, part.size) for part in parts)


def read_results(path: str | Path) -> Iterator[tuple[str, Outcome]]:
    """Yield the key of each request in a file that a batch left, and what came of it.

    Raises:
        DataError: the file can't be read, or a line is not a result of a batch.
    """
    source = find_source(Path(path))
    if source.kind != "jsonl":
        raise DataError("is not an output of a batch", path=path, remedy="give its .jsonl file")
    for number, row in json_lines(source):
        key = None if isinstance(row, RowFault) else row.get("custom_id")
        if isinstance(row, RowFault):
            raise row.to_error(str(path), number)
        if not isinstance(key, str) or not {"response", "error"} & row.keys():
            raise DataError(
                "no result of a batch",
                path=path,
                line=number,
                received=", ".join(map(excerpt, list(row)[:8])),
                remedy="give the file that the batch left, not the one that it was given",
            )
        yield key, _outcome(row)


class _Part:
    """A file that is being written."""

    def __init__(self, file: BinaryIO, path: Path, model: str) -> None:
        self.path, self.model = path, model
        self.requests = self.size = 0
        self._file = file

    def has_room(self, line: bytes) -> bool:
        return self.requests < MAX_REQUESTS and self.size + len(line) <= MAX_BYTES

    def add(self, line: bytes) -> None:
        self._file.write(line)
        self.requests += 1
        self.size += len(line)


def _request(call: Call) -> JsonObject:
    if not isinstance(call.model, OpenAIModel):
        raise TypeError(f"{call.model.name} has no batch files")
    body = call.model.body(call.task)
    return {"custom_id": call.task.key, "method": "POST", "url": _URL, "body": body}


def _outcome(row: JsonMapping) -> Outcome:
    response = row.get("response")
    if not isinstance(response, Mapping):
        return Failure("request_failed", error_text(row.get("error")))
    status, body = response.get("status_code"), response.get("body")
    if status == 200:
        return read_completion(body)
    said = f"HTTP {excerpt(str(status))}: {error_text(body or row.get('error'))}"
    return Failure("bad_request" if status in _ROW_STATUSES else "request_failed", said)
