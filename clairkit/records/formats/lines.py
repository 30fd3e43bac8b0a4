"""Read the bytes of a file as UTF-8 lines: bounded in length, unzipped with care."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from clairkit.errors import DataError
from clairkit.records.faults import ROW_CAP, SKIP, RowFault
from clairkit.records.formats.encodings import SAMPLE, EncodingAdvice, check_wide, iso_2022_fault
from clairkit.records.source import Source, open_regular, unreadable

RATIO_CAP = 250
"""How many times larger than its compressed form a file may grow before it passes for a bomb."""

RATIO_FLOOR = 64 * 2**20
"""The ratio counts from this many bytes of output on: 64 MiB."""

_BOM = b"\xef\xbb\xbf"


def open_bytes(source: Source) -> BinaryIO:
    """Open a source for reading its bytes, unzipped when it is compressed.

    Raises:
        DataError: it cannot be opened, or is UTF-16 or UTF-32.
    """
    raw = open_regular(source.path)
    file = raw
    if source.gz:
        file = cast(BinaryIO, io.BufferedReader(_Unzipped(raw, source.path), 2**18))
    try:
        head = cast(Any, file).peek(1024)[:1024]
    except (EOFError, zlib.error, OSError):
        return file  # the fault belongs to the row that is being read
    try:
        check_wide(source.path, head)
    except DataError:
        file.close()
        raise
    if head.startswith(_BOM):
        file.read(len(_BOM))
    return file


class _Unzipped(io.RawIOBase):
    """The unzipped bytes of a gzip file, refused when they grow out of proportion."""

    def __init__(self, raw: BinaryIO, path: str) -> None:
        self._raw = raw
        self._path = path
        self._file = gzip.GzipFile(fileobj=raw, mode="rb")
        self._out = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read1(len(buffer))
        self._out += len(data)
        if self._out > RATIO_FLOOR and self._out > RATIO_CAP * self._raw.tell():
            problem = f"grows more than {RATIO_CAP} times when unzipped, as a gzip bomb does"
            remedy = "if you trust it, unzip it with `gunzip` and give the result"
            raise DataError(problem, path=self._path, remedy=remedy)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._raw.close()
        super().close()


def read_lines(source: Source) -> Iterator[tuple[int, str | RowFault]]:
    """Yield line numbers from 1 and the lines, each with its line end, or what is wrong with one.

    A fault in the compressed stream is the last thing yielded.

    Raises:
        ResourceError: the file can't be read.
    """
    advice = encoding_advice(source)
    with open_bytes(source) as file:
        number = 0
        while True:
            number += 1
            try:
                line = file.readline(ROW_CAP + 1)
                rest = line if len(line) > ROW_CAP else b""
                while rest and not rest.endswith(b"\n"):
                    rest = file.readline(2**18)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield number, torn_gzip(error)
                return
            except OSError as error:
                raise unreadable(source.path, error) from None
            if not line:
                return
            yield number, _text(line, source.path, advice)


def torn_gzip(error: Exception) -> RowFault:
    """Return the fault of a gzip stream that ends too early or is damaged."""
    problem = f"the gzip stream ends too early or is damaged ({error})"
    return RowFault("torn_gzip", problem, remedy=f"copy the file again, or {SKIP}")


def too_large() -> RowFault:
    """Return the fault of a row over the cap."""
    return RowFault("too_large", f"a row of more than {ROW_CAP >> 20} MiB", remedy="shorten it")


def encoding_advice(source: Source) -> EncodingAdvice:
    """Return what is said of lines of a source that are not UTF-8."""

    def sample() -> bytes:
        try:
            with open_bytes(source) as file:
                return file.read(SAMPLE)
        except (EOFError, zlib.error, OSError):
            return b""

    return EncodingAdvice(source.path, sample)


def _text(line: bytes, path: str, advice: EncodingAdvice) -> str | RowFault:
    if len(line) > ROW_CAP:
        return too_large()
    if b"\x1b" in line and (fault := iso_2022_fault(path, line)) is not None:
        return fault
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        return advice.fault(line, error)
