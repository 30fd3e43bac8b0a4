"""Keep reference log-probs in one portable file; find them by the token ids they belong to.

A file is a safetensors file. Shapes: n sequences (a prompt and a response), T tokens of all of
them, R response tokens of all of them; sequences are sorted by prompt key, then by response.

- `offsets` [n+1] int64: where each sequence's tokens begin in `ids`
- `prompt_keys` [n] int64: first 8 bytes of the sha256 of each prompt
- `prompt_lengths` [n] int32
- `ids` [T] int32: prompt and response
- `logps` [R] float32: one for each response token

Its metadata name the weights and the precision; one sha256 covers the tensors, another the rest.
A file takes 4 bytes a prompt token and 8 a response token. It is mapped, not read: what is looked
up is all that stays in memory.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import clairkit
from clairkit.errors import DataError
from clairkit.records.json_types import JsonObject
from clairkit.records.output import atomic_write

FORMAT, VERSION = "clairkit reference log-probs", "1"
_TENSORS = {
    "offsets": ("I64", "<i8"),
    "prompt_keys": ("I64", "<i8"),
    "prompt_lengths": ("I32", "<i4"),
    "ids": ("I32", "<i4"),
    "logps": ("F32", "<f4"),
}
_FACTS = ("weights_sha256", "precision", "adapter_sha256", "model")  # Source, as metadata
_MAX_HEADER = 1 << 20  # bytes; ours has about a thousand
_REMEDY = "delete it: the log-probs will be computed again"


@dataclass(frozen=True)
class Source:
    """Whose log-probs they are: what they depend on beside the tokens."""

    weights: str  # digest of the base weights
    precision: str  # dtype of the weights, and what products run in where that is another
    adapter: str = ""  # digest of the adapter, "" for none
    model: str = field(default="", compare=False)  # its name, for people

    @property
    def digest(self) -> str:
        """sha256 of all three."""
        text = f"{self.weights} {self.adapter} {self.precision}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{self.weights[:16]}-{self.adapter[:16] or 'base'}-{self.precision}-"


class CachedReference(NamedTuple):
    """A sequence with its log-probs."""

    prompt_ids: list[int]
    response_ids: list[int]
    logps: Tensor  # [len(response_ids)] float32


class CacheFile:
    """A file that was read and found whole.

    Raises:
        DataError: there is none, it is none of ours, of another version, cut, or altered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._read(file)
        except OSError as error:
            raise DataError(
                f"the reference cache can't be read: {error.strerror}", path=path
            ) from error

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, prompt_ids: list[int], response_ids: list[int]) -> Tensor | None:
        """Return the log-probs of a response, None when there is no sequence that begins with it.

        They are a view of the file's mapped bytes.
        """
        key = prompt_key(prompt_ids)
        first, end = (int(np.searchsorted(self._keys, key, side)) for side in ("left", "right"))
        # Of sorted responses, the first that is not less begins with ours if any does.
        at = bisect.bisect_left(range(first, end), response_ids, key=self._response) + first
        if at == end or self._prompt_lengths[at] != len(prompt_ids):
            return None
        start = int(self._offsets[at])
        size = len(prompt_ids) + len(response_ids)
        if start + size > self._offsets[at + 1]:
            return None
        if not np.array_equal(self._ids[start : start + size], [*prompt_ids, *response_ids]):
            return None
        begin = int(self._logp_starts[at])
        return self._logps[begin : begin + len(response_ids)]

    def _response(self, at: int) -> list[int]:
        start = int(self._offsets[at]) + int(self._prompt_lengths[at])
        found: list[int] = self._ids[start : int(self._offsets[at + 1])].tolist()
        return found

    def _read(self, file: BufferedReader) -> None:
        header, start = _read_header(file, self.path)
        facts = header["__metadata__"]
        if hashlib.file_digest(file, "sha256").hexdigest() != facts.get("payload_sha256"):
            raise _damaged(self.path, "its content is not what was written")
        self.source = Source(*(facts.get(key, "") for key in _FACTS))
        mapped = np.memmap(file, np.uint8, mode="c")
        found = {}
        for name, (_, dtype) in _TENSORS.items():
            begin, end = (start + offset for offset in header[name]["data_offsets"])
            found[name] = np.asarray(mapped[begin:end]).view(dtype)
        self._offsets, self._keys = found["offsets"], found["prompt_keys"]
        self._prompt_lengths, self._ids = found["prompt_lengths"], found["ids"]
        self._logps = torch.from_numpy(found["logps"])
        responses = np.diff(self._offsets) - self._prompt_lengths
        self._logp_starts = np.concatenate([[0], np.cumsum(responses)])
        whole = (
            len(self._offsets) == len(self._keys) + 1 == len(self._prompt_lengths) + 1
            and self._offsets[0] == 0
            and self._offsets[-1] == len(self._ids)
            and bool((responses > 0).all() and (self._prompt_lengths > 0).all())
            and self._logp_starts[-1] == len(self._logps)
            and bool(np.isfinite(found["logps"]).all())
        )
        if not whole:
            raise _damaged(self.path, "its tensors contradict each other")


def write_cache(folder: Path, source: Source, entries: Iterable[CachedReference]) -> Path:
    """Write a file of its own for the entries, whole or not at all; return its path.

    The same sequences with the same log-probs give the same name, whatever their order.

    Raises:
        ResourceError: the folder can't be written.
    """
    keyed = sorted(
        ((prompt_key(entry.prompt_ids), entry) for entry in entries),
        key=lambda item: (item[0], item[1].response_ids),
    )
    content = _Content([key for key, _ in keyed], [entry for _, entry in keyed])
    total = hashlib.sha256()
    for piece in content.pieces():
        total.update(piece)
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "clairkit": clairkit.__version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "weights_sha256": source.weights,
        "adapter_sha256": source.adapter,
        "precision": source.precision,
        "model": source.model,
        "payload_sha256": total.hexdigest(),
    }
    header = {"__metadata__": facts, **_table(content.sizes)}
    facts["header_sha256"] = _header_digest(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = folder / f"{source.stem}{total.hexdigest()[:16]}.safetensors"
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in content.pieces():
            file.write(piece)
    return path


def candidates(folder: Path, source: Source) -> list[Path]:
    """Return the folder's files for these weights and this precision, the newest first.

    Raises:
        OSError: the folder can't be read.
    """
    if not folder.is_dir():
        return []
    found = [
        path
        for path in folder.iterdir()
        if path.name.startswith(source.stem) and path.name.endswith(".safetensors")
    ]
    return sorted(found, key=lambda path: (-path.stat().st_mtime_ns, path.name))


def prompt_key(prompt_ids: Sequence[int]) -> int:
    """Return the key that sequences of one prompt share."""
    digest = hashlib.sha256(ids_bytes(prompt_ids)).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


class _Content:
    """The tensors of a file, made piece by piece so that they are never in memory together."""

    def __init__(self, keys: list[int], entries: list[CachedReference]) -> None:
        self.entries = entries
        lengths = [len(entry.prompt_ids) + len(entry.response_ids) for entry in entries]
        self.small: dict[str, NDArray[Any]] = {
            "offsets": np.concatenate([[0], np.cumsum(lengths)]),
            "prompt_keys": np.array(keys, "<i8"),
            "prompt_lengths": np.array([len(entry.prompt_ids) for entry in entries], "<i4"),
        }
        tokens = sum(lengths)
        responses = tokens - sum(len(entry.prompt_ids) for entry in entries)
        self.sizes = {name: len(values) for name, values in self.small.items()}
        self.sizes |= {"ids": tokens, "logps": responses}

    def pieces(self) -> Iterator[bytes]:
        for name, values in self.small.items():
            yield values.astype(_TENSORS[name][1]).tobytes()
        for prompt, response, _ in self.entries:
            yield ids_bytes([*prompt, *response])
        for entry in self.entries:
            yield entry.logps.numpy().astype("<f4").tobytes()


def ids_bytes(ids: Sequence[int]) -> bytes:
    """Return the ids as int32, end to end."""
    return array("i", ids).tobytes()


def _read_header(file: BufferedReader, path: Path) -> tuple[JsonObject, int]:
    """Return the header of a file of ours and where the tensors begin."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(_MAX_HEADER, size - 8):
        raise _foreign(path)
    try:
        header = json.loads(file.read(length))
        facts = header["__metadata__"]
        kind, version = facts["format"], facts.get("version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _foreign(path) from error
    if kind != FORMAT:
        raise _foreign(path)
    if version != VERSION:
        raise DataError(
            f"the reference cache has version {version}, and this clairkit reads {VERSION}",
            path=path,
            remedy=_REMEDY,
        )
    if _header_digest(header) != facts.get("header_sha256") or length % 8:
        raise _damaged(path, "its header is not what was written")
    try:
        table = _table({name: int(header[name]["shape"][0]) for name in _TENSORS})
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(path, "its tensors are not described as they should be") from error
    if header != {"__metadata__": facts, **table}:
        raise _damaged(path, "its tensors are not those of a reference cache")
    whole = 8 + length + table["logps"]["data_offsets"][1]
    if size != whole:
        raise _damaged(path, f"it has {size} bytes instead of {whole}")
    return header, 8 + length


def _table(sizes: dict[str, int]) -> JsonObject:
    """Return what the header says of tensors with these numbers of elements."""
    table = {}
    end = 0
    for name, (kind, dtype) in _TENSORS.items():
        start, end = end, end + sizes[name] * np.dtype(dtype).itemsize
        table[name] = {"dtype": kind, "shape": [sizes[name]], "data_offsets": [start, end]}
    return table


def _header_digest(header: JsonObject) -> str:
    """Return the sha256 of the header without the digest itself."""
    facts = {key: fact for key, fact in header["__metadata__"].items() if key != "header_sha256"}
    text = json.dumps({**header, "__metadata__": facts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _foreign(path: Path) -> DataError:
    return DataError(
        "the file is no reference cache, or its beginning is damaged",
        path=path,
        remedy="name a file that clairkit wrote",
    )


def _damaged(path: Path, how: str) -> DataError:
    return DataError(f"the reference cache can't be used: {how}", path=path, remedy=_REMEDY)
