"""Own temporary files by process, put them in place, and remove those that kills left.

A file or folder is made beside its final name, under a temporary one that is derived from it, and
its writer holds a lock on it. The system frees the lock with the process: what nobody holds was
left by a kill, and whoever writes to the same name next deletes it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from clairkit.errors import ResourceError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux, renameat2
_RENAME_SWAP = 2  # macOS, renamex_np
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)

_NAME = re.compile(r"\.clairkit-([0-9a-f]{16}-)?[0-9a-f]{16}\.(tmp|old)")
_EARLIER = re.compile(r"\.clairkit-[0-9a-f]{16}\.(tmp|old)")
_PATIENCE = 1.0  # seconds for the two renames of a writer that is alive
_PAUSE = 0.01


def exchange(first: Path, second: Path) -> bool:
    """Let two names of one file system change places at once; both exist.

    Returns:
        Whether it was done; False where the system or the file system has no such call.

    Raises:
        OSError: the system refused it, as for lack of permission.
    """
    names = os.fsencode(first), os.fsencode(second)
    library = _library()
    if hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    elif hasattr(library, "renamex_np"):
        failed = library.renamex_np(*names, _RENAME_SWAP)
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(second))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def is_temporary(name: str) -> bool:
    """Whether a name is one under which this package makes files, in this version or before."""
    return _NAME.fullmatch(name) is not None


def temporary_file(final: Path) -> tuple[Path, BinaryIO]:
    """Make an empty file beside `final`; it is held as long as it is open.

    Raises:
        OSError: it can't be made.
    """
    while True:
        fresh = _fresh(final)
        file = fresh.open("xb")
        if _lock(file.fileno()) and is_there(file.fileno(), fresh):
            return fresh, file
        file.close()  # somebody took it for what a kill left


def temporary_folder(final: Path) -> tuple[Path, int]:
    """Make an empty folder beside `final`; it is held as long as the descriptor is open.

    Raises:
        OSError: it can't be made.
    """
    while True:
        fresh = _fresh(final)
        fresh.mkdir()
        descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
        if _lock(descriptor) and is_there(descriptor, fresh):
            return fresh, descriptor
        os.close(descriptor)


def set_aside_name(fresh: Path) -> Path:
    """Return where the earlier folder stands while `fresh` is put in its place."""
    return fresh.with_suffix(".old")


def leftovers(final: Path) -> list[Path]:
    """Return what killed processes left on its way to `final`, in order of the names."""
    pattern = re.compile(re.escape(_start(final)) + r"[0-9a-f]{16}\.(tmp|old)")
    found = _matching(final.parent, pattern)
    return [path for path in found if not _is_held(path)]


def earlier_leftovers(folder: Path) -> list[Path]:
    """Return temporary files of versions whose names did not say to what they belong."""
    return _matching(folder, _EARLIER)


def sweep(final: Path) -> list[Path]:
    """Delete what killed processes left on its way to `final`.

    Returns:
        What could not be deleted.
    """
    return [path for path in leftovers(final) if not delete(path)]


def delete(path: Path) -> bool:
    """Delete a file or folder; return whether it is gone."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return not os.path.lexists(path)


def restore(final: Path) -> None:
    """Put a folder back under its name that a kill kept from being replaced.

    Where two names can't be exchanged at once, a folder stands aside for a moment, and a kill
    leaves it there. A writer that is alive is waited for.

    Raises:
        ResourceError: it stands aside and can't be renamed.
    """
    if os.path.lexists(final):
        return
    pattern = re.compile(re.escape(_start(final)) + r"[0-9a-f]{16}\.old")
    for old in _matching(final.parent, pattern):
        end = time.monotonic() + _PATIENCE
        while (is_held := _is_held(old)) and time.monotonic() < end:
            time.sleep(_PAUSE)
        if is_held or os.path.lexists(final) or not old.exists():
            return
        try:
            old.rename(final)
        except OSError as error:
            raise ResourceError(
                f"{final}: its writer was killed while it replaced it, and it stands as "
                f"{old.name} now ({error.strerror})",
                remedy=f"rename {old.name} to {final.name}",
            ) from None
        return


def _fresh(final: Path) -> Path:
    return final.with_name(f"{_start(final)}{secrets.token_hex(8)}.tmp")


def _start(final: Path) -> str:
    name = hashlib.sha256(os.fsencode(final.name)).hexdigest()[:16]
    return f".clairkit-{name}-"


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - of many files, and for every file written
    except OSError:
        return []
    return [folder / name for name in sorted(names) if pattern.fullmatch(name)]


def _lock(descriptor: int) -> bool:
    """Take the lock; False when another process has it. Without locks nothing is ever held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_held(path: Path) -> bool:
    """Whether its writer is alive, or nobody can tell. What stands aside goes with the new one."""
    path = path.with_suffix(".tmp")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_there(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
