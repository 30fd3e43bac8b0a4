"""Keep one writer at a time: a lock file that the system frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import datetime
from pathlib import Path

from clairkit.errors import ResourceError, UsageError
from clairkit.records.temporary import is_there


def _described(text: str) -> str:
    """Say what a holder that wrote this of itself is doing."""
    process, host, since = (*text.split("\n"), "", "", "")[:3]
    place = f", on {host} since {since}" if host else ""
    return f"process {process.strip() or 'unknown'} is working on this output{place}"


class FileLock:
    """Holds an exclusive lock on a file that says who holds it: process id, host, since when.

    A holder that was killed holds nothing: the next run takes the lock over.

    Args:
        path: the lock file.
        output: what it protects, for the message.

    Raises:
        UsageError: another process holds it; the message names the holder.
        ResourceError: the file can't be made.
    """

    def __init__(self, path: Path, output: Path | None = None) -> None:
        self._path = path
        self._output = output
        self._descriptor = self._acquire()

    def _acquire(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            descriptor = -1
            try:
                descriptor = os.open(self._path, flags, 0o644)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 512, 0).decode(errors="replace")
                os.close(descriptor)
                raise UsageError(
                    _described(holder),
                    received=None if self._output is None else str(self._output),
                    remedy="wait for it to end, or choose another output",
                ) from None
            except OSError as error:  # the folder is not ours, or the file system has no locks
                if descriptor >= 0:
                    os.close(descriptor)
                raise ResourceError(
                    f"{self._path}: the lock can't be taken ({error.strerror})",
                    remedy="choose another place for the output",
                ) from None
            if is_there(descriptor, self._path):
                os.ftruncate(descriptor, 0)
                since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
                holder = f"{os.getpid()}\n{socket.gethostname()}\n{since}\n"
                os.pwrite(descriptor, holder.encode(), 0)
                return descriptor
            os.close(descriptor)  # its last holder removed it in the meantime

    def release(self) -> None:
        """Remove the file and let go of the lock."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_output(output: Path) -> FileLock:
    """Lock an output and its journal, as `FileLock` does."""
    return FileLock(output.with_name(f"{output.name}.journal.lock"), output)
