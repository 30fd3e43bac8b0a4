"""Check where output may go, and put it there whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clairkit.display import excerpt
from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.records.temporary import (
    delete,
    exchange,
    restore,
    set_aside_name,
    sweep,
    temporary_file,
    temporary_folder,
)

OutputPath = str | os.PathLike[str]

# How the name of a lock ends; within a folder, it is all of it.
LOCK = ".lock"

NAME_BYTES = 255
"""The longest name of Linux's and macOS's file systems."""

_NO_MEANS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EIO: "the disk failed",
}


def check_output(path: OutputPath, *, force: bool = False) -> Path:
    """Return the path that output goes to, links followed, when it may be written.

    An absolute path is taken as it is; a relative one stays below the current directory. Missing
    folders are made when the output is written. Nothing is created here; a folder that a kill
    kept from its name is put back.

    Args:
        path: the path, as the user gave it.
        force: an existing regular file, or saved `datasets` folder, may be replaced.

    Raises:
        UsageError: the path leads out of the current directory, cannot be a name, names something
            that is not a regular file, or exists and `force` is not given.
        ResourceError: the folder cannot be written to.
    """
    text = os.fspath(path)
    problem = _name_problem(text) if text else "the output path is empty"
    if problem:
        raise UsageError(problem, received=excerpt(text))
    if Path(os.path.normpath(text)).parts[:1] == (os.pardir,):
        remedy = "give the absolute path if that is what you mean"
        raise UsageError(
            "the output path leads out of the current directory", received=text, remedy=remedy
        )
    final = Path(os.path.realpath(text))
    restore(final)
    _check_existing(final, force=force)
    _check_parent(final)
    return final


def check_folder(path: OutputPath, name: str, *, force: bool, remedy: str) -> Path:
    """Return the folder that a step's files go into; it may be missing. Nothing is created.

    Args:
        path: the folder, as the user gave it.
        name: what it is called in messages.
        force: it may hold something.
        remedy: what to do when it does.

    Raises:
        UsageError: it is a file, or holds something and `force` is not given.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the {name} is a file", received=str(path), remedy="name a folder")
    if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()) and not force:
        raise UsageError(f"the {name} is not empty", received=str(path), remedy=remedy)
    return folder


def safe_child(folder: OutputPath, name: str) -> Path:
    """Return `folder/name` for a name that comes from data and is not trusted.

    Raises:
        DataError: the name is absolute, leads out of the folder (also through a link), is too
            long, or holds a NUL or control character.
    """
    parts = name.replace("\\", "/").split("/")
    problem = _name_problem(name)
    if any(part in ("", ".", "..") for part in parts) or Path(name).is_absolute():
        problem = "the name leads out of its folder"
    elif any(ord(character) < 32 or character == "\x7f" for character in name):
        problem = "the name holds a control character"
    if problem:
        raise DataError(problem, received=excerpt(name), remedy="use a plain name")
    child = Path(folder) / name
    if not child.resolve().is_relative_to(Path(folder).resolve()):
        raise DataError("the name leads out of its folder", received=excerpt(name))
    return child


@contextmanager
def atomic_write(path: OutputPath) -> Iterator[BinaryIO]:
    """Open a new file for bytes that takes the place of `path` when the block ends without error.

    Until then, and after an error or a kill, whatever was at `path` is untouched; what a killed
    writer of `path` left is deleted. Data and name are on the disk when the block ends. Missing
    folders are made. A link is written through.

    Raises:
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    final = Path(os.path.realpath(path))
    with _resources(final):
        fresh, opened = _create(final)
        try:
            with opened as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                fresh.replace(final)  # still open: whoever holds it is at work
            sync_folder(final.parent)
        except BaseException:
            delete(fresh)
            raise


@contextmanager
def atomic_path(path: OutputPath) -> Iterator[Path]:
    """Make an empty file that takes the place of `path` when the block ends without error.

    For a library that opens files by their name and leaves one file closed: see `atomic_write`.

    Raises:
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    with atomic_write(path) as file:
        yield Path(file.name)


@contextmanager
def atomic_folder(path: OutputPath, *, marker: str) -> Iterator[Path]:
    """Make a new folder that takes the place of `path` when the block ends without error.

    An earlier folder is only replaced when it holds a file named `marker`. One of both is there at
    any moment, also after a kill: see `restore`.

    Raises:
        UsageError: something else is there.
        ResourceError: the disk is full, read-only, or not ours to write.
    """
    final = Path(os.path.realpath(path))
    with _resources(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        restore(final)
        if final.exists() and not (final / marker).is_file():
            raise UsageError(
                "the folder holds something else and is not replaced", received=str(final)
            )
        sweep(final)
        fresh, held = temporary_folder(final)
        try:
            yield fresh
            _sync_tree(fresh)
            _put_in_place(fresh, final)
            sync_folder(final.parent)
        finally:
            delete(fresh)  # the earlier one, when they were exchanged
            os.close(held)


def _sync_tree(folder: Path) -> None:
    for entry in [*folder.rglob("*"), folder]:
        if entry.is_file():
            with entry.open("rb") as file:
                os.fsync(file.fileno())
        elif entry.is_dir():
            sync_folder(entry)


def _put_in_place(fresh: Path, final: Path) -> None:
    if not final.exists():
        fresh.rename(final)
    elif not exchange(fresh, final):
        old = set_aside_name(fresh)
        final.rename(old)
        try:
            fresh.rename(final)
        except BaseException:
            old.rename(final)
            raise
        delete(old)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _resources(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_MEANS:
            raise
        remedy = "free or choose another place; what was there before is untouched"
        problem = f"{path}: cannot be written: {_NO_MEANS[error.errno]}"
        raise ResourceError(problem, remedy=remedy) from None


def _create(final: Path) -> tuple[Path, BinaryIO]:
    """Open a temporary file, with the permissions of the file that it will replace."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        sweep(final)
        fresh, file = temporary_file(final)
    except OSError as error:
        problem = f"{final}: cannot be written: {_NO_MEANS.get(error.errno or 0, error.strerror)}"
        raise ResourceError(problem, remedy="choose another place") from None
    with suppress(OSError):
        os.fchmod(file.fileno(), stat.S_IMODE(final.stat().st_mode))
    return fresh, file


def _name_problem(text: str) -> str | None:
    if "\0" in text:
        return "a path cannot hold a NUL character"
    if any(len(part.encode("utf-8", "surrogatepass")) > NAME_BYTES for part in Path(text).parts):
        return f"a name in the path is longer than {NAME_BYTES} bytes"
    return None


def _check_existing(final: Path, *, force: bool) -> None:
    try:
        mode = final.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"the output path cannot be used ({error.strerror})", received=excerpt(str(final))
        ) from None
    if stat.S_ISDIR(mode):
        if not (final / "dataset_info.json").is_file():
            raise UsageError(
                "the output path is a directory", received=str(final), remedy="name a file in it"
            )
    elif not stat.S_ISREG(mode):
        raise UsageError("the output path is not a regular file", received=str(final))
    if not force:
        raise UsageError(
            "the output exists",
            received=str(final),
            remedy="choose another name, or replace it with --force",
        )


def _check_parent(final: Path) -> None:
    parent = next(folder for folder in final.parents if folder.exists())
    if not parent.is_dir():
        raise UsageError("the output path leads through a file", received=str(parent))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ResourceError(
            f"{parent}: no permission to write there", remedy="choose another place"
        )
