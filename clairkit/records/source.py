"""Tell what a source is: a regular file of a known format, a `datasets` folder, or a Hub id.

Nothing that is offered as data is ever executed or unpickled, and nothing but a regular file is
opened: a FIFO would block, a device may act.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from clairkit.errors import ClairError, DataError, ResourceError, nearest, suggest
from clairkit.records.temporary import restore

Kind = Literal["jsonl", "json", "csv", "parquet", "folder", "hub"]

_SUFFIXES: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
ACCEPTED = "JSON, JSONL (both also .gz), CSV, Parquet, a `datasets` folder, or a Hub id"

# First bytes of what is not a data file of ours, and what to do with it.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive (a .pt file, a spreadsheet, an .npz)", ""),
    (b"\x1f\x8b", "gzip", "name it with .gz"),
    (b"PAR1", "Parquet", "name it with .parquet"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "decompress it with `zstd -d`"),
    (b"\xfd7zXZ\x00", "xz", "decompress it with `xz -d`"),
    (b"BZh", "bzip2", "decompress it with `bzip2 -d`"),
    (b"ARROW1", "an Arrow file", "give the `datasets` folder that holds it"),
    (b"SQLite format 3\x00", "a SQLite database", "export the rows as JSONL"),
    (b"\x89HDF", "HDF5", "export the rows as JSONL"),
    (b"\x93NUMPY", "a NumPy array", "export the rows as JSONL"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\(dp|\(lp|c__builtin__|cos\n")
_PICKLE_SUFFIXES = frozenset((".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib"))
_HUB = re.compile(r"(?:hf://(?:datasets/)?)?([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    `path` is a local path or a Hub id, `split` a split of a Hub data set, `gz` says compressed;
    `ignore` are columns that need not be read; `delimiter` stands between the cells of a CSV file,
    "" is what its first line shows.
    """

    path: str
    kind: Kind
    gz: bool = False
    split: str | None = None
    ignore: tuple[str, ...] = ()
    delimiter: str = ""


def find_source(given: str | os.PathLike[str]) -> Source:
    """Return what `given` is, after looking at the name and the first bytes of the file.

    Raises:
        DataError: it does not exist, is not a regular file, or is in no accepted format.
    """
    path = os.fspath(given)
    if "\0" in path:
        raise DataError("a path cannot hold a NUL character", received=path.replace("\0", "\\0"))
    if isinstance(given, str) and (hub := _hub(path)):
        return hub
    restore(Path(os.path.realpath(path)))
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return _folder(path)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    gz = bool(suffixes) and suffixes[-1] == ".gz"
    name = suffixes[-2] if gz and len(suffixes) > 1 else "".join(suffixes[-1:])
    with open_regular(path) as file:
        head = file.read(512)
    _check_magic(path, head, name, gz=gz)
    kind = _SUFFIXES.get(name)
    if kind is None or (gz and kind == "parquet"):
        remedy = f"{suggest(name, _SUFFIXES)}Give {ACCEPTED}, named by its suffix"
        raise DataError("unknown kind of file", path=path, received=name or None, remedy=remedy)
    return Source(path, kind, gz)


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading bytes; refuse, without blocking, all that is not one.

    Raises:
        DataError: it cannot be opened, or is not a regular file.
    """
    _check_regular(path, _mode(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from None
    file = os.fdopen(descriptor, "rb", buffering=2**18)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)  # it may have been exchanged
    except DataError:
        file.close()
        raise
    return file


def unreadable(path: str, error: OSError) -> ClairError:
    """Return the one-line error of a path that the system would not open or read."""
    if error.errno == errno.ENOENT:
        return DataError("no such file", path=path, remedy=_similar(path) or f"give {ACCEPTED}")
    if error.errno == errno.ELOOP:
        return DataError("the link leads back to itself", path=path, remedy="give the file itself")
    if error.errno in (errno.EACCES, errno.EPERM):
        return DataError("no permission to read it", path=path, remedy="run `ls -l` on it")
    if error.errno == errno.EIO:
        return ResourceError(
            f"{path}: cannot be read: the disk failed", remedy="try again, or put back a copy"
        )
    return DataError(f"cannot be read ({error.strerror or error})", path=path)


def _similar(path: str) -> str | None:
    where = Path(path)
    try:
        names = [entry.name for entry in where.parent.iterdir()]
    except OSError:
        return None
    near = nearest(where.name, names, cutoff=0.7)
    return f"did you mean {where.parent / near}?" if near else None


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except OSError as error:
        raise unreadable(path, error) from None


def _check_regular(path: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    tests = (
        (stat.S_ISFIFO, "a FIFO (a pipe)"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    )
    kind = next((name for is_kind, name in tests if is_kind(mode)), "no regular file")
    raise DataError(f"is {kind}", path=path, remedy="write the rows to a file and give that")


def _check_magic(path: str, head: bytes, suffix: str, *, gz: bool) -> None:
    is_parquet = head.startswith(b"PAR1")
    if suffix == ".parquet" and not gz and head and not is_parquet:
        raise DataError("is not Parquet, whatever its name", path=path, remedy="check the file")
    if gz and head and not head.startswith(b"\x1f\x8b"):
        raise DataError("is not gzip, whatever its name", path=path, remedy="rename it without .gz")
    if suffix in _PICKLE_SUFFIXES or _PICKLE.match(head):
        remedy = "export the rows as JSONL; a pickle could run code and is never loaded"
        raise DataError("is a pickle or a model file, not data", path=path, remedy=remedy)
    for magic, name, remedy in _FOREIGN:
        fits = (gz and name == "gzip") or (is_parquet and suffix == ".parquet")
        if head.startswith(magic) and not fits:
            raise DataError(f"is {name}", path=path, remedy=remedy or f"give {ACCEPTED}")


def _folder(path: str) -> Source:
    folder = Path(path)
    if any((folder / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
        return Source(path, "folder")
    found: list[str] = []
    with suppress(OSError):
        found = sorted(each.name for each in folder.iterdir() if each.suffix.lower() in _SUFFIXES)
    remedy = f"give one of its files, such as {found[0]}" if found else f"give {ACCEPTED}"
    raise DataError("is a directory and no saved `datasets` folder", path=path, remedy=remedy)


def _hub(given: str) -> Source | None:
    """Return the Hub source that `given` names: `hf://…`, or `org/name` not a local path."""
    match = _HUB.fullmatch(given)
    if not match:
        if given.startswith("hf://"):
            remedy = "write hf://ORG/NAME or hf://ORG/NAME:SPLIT"
            raise DataError("not a Hub id", received=given, remedy=remedy)
        return None
    if not given.startswith("hf://"):
        looks_local = Path(match[1]).suffix.lower() in (*_SUFFIXES, ".gz", *_PICKLE_SUFFIXES)
        parent = Path(given).parent
        if looks_local or os.path.lexists(given) or parent.exists() or given.startswith("."):
            return None
    return Source(match[1], "hub", split=match[2])
