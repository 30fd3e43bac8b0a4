"""Keep a run directory to one trainer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clairkit.errors import ResourceError
from clairkit.records.lock import FileLock
from clairkit.records.output import LOCK
from clairkit.training.processes import is_first


@contextmanager
def hold_run(run: Path, *, resume: bool = False) -> Iterator[None]:
    """Hold the lock of a run directory; of several processes of one run, the first one does.

    Args:
        run: the directory.
        resume: a run is to be resumed: a directory that is not there is not made.

    Raises:
        UsageError: another process holds it; the message names the holder.
        ResourceError: the lock can't be made.
    """
    if not is_first() or (resume and not run.exists()):
        yield
        return
    lock = _lock_of(Path(os.path.realpath(run)))
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"can't make the run directory {run}: {error.strerror}") from error
    with FileLock(lock):
        yield


def _lock_of(run: Path) -> Path:
    """Return the lock's place: beside the run directory, within one whose parent can't be written.

    Such a one may be a volume that is mounted for the run.
    """
    if not run.name or (run.is_dir() and not os.access(run.parent, os.W_OK)):
        return run / LOCK
    return run.with_name(f".{run.name}{LOCK}")
