"""Write checkpoints that say whether they are whole: made aside, then put in place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from clairkit.errors import ResourceError
from clairkit.records.output import sync_folder

MANIFEST = "MANIFEST.json"
# What is being written, inside the run directory: the same file system, so that a rename is enough.
PARTIAL = ".partial"

# Beginnings of the files without which the Trainer would silently begin anew: by one process,
# by several, by FSDP or DeepSpeed.
_NEEDED = (
    ("optimizer", "global_step"),
    ("scheduler.pt", "global_step"),
    ("rng_state",),
    ("trainer_state.json",),
)

# As the Trainer writes it: other digits (checkpoint-²) and leading zeros are not its names.
_NAME = re.compile(r"checkpoint-(0|[1-9][0-9]{0,17})")


def write_manifest(folder: Path) -> None:
    """Bring every file of the folder to the disk, then its manifest of sizes and sha256."""
    paths = sorted(folder.rglob("*"))
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in paths
        if path.is_file() and path != folder / MANIFEST
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump({"files": entries}, file, indent=1)
    for path in (*paths, folder / MANIFEST):
        if path.is_file():
            sync_file(path)
    for path in (folder, *paths):
        if path.is_dir():
            sync_folder(path)


def put_in_place(fresh: Path, final: Path) -> None:
    """Move a folder with its manifest to where it belongs, in place of what is there.

    A folder can't replace another in one step: a kill between the two leaves `fresh`, whole, for
    `rescue` to move.
    """
    if final.exists():
        discard(final)
    fresh.rename(final)
    sync_folder(final.parent)


def discard(folder: Path) -> None:
    """Remove a folder of the run directory; a kill never leaves half of it under its name."""
    aside = folder.parent / PARTIAL / f"discarded-{folder.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(exist_ok=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def rescue(run: Path) -> None:
    """Put whole checkpoints in place that a kill kept from it, and remove what is partial."""
    for fresh in sorted((run / PARTIAL).glob("checkpoint-*")):
        final = run / fresh.name
        if fault(fresh) is None and (not final.exists() or fault(final) is not None):
            put_in_place(fresh, final)
    shutil.rmtree(run / PARTIAL, ignore_errors=True)


def rotate(run: Path, limit: int | None, newest: Path, best: str | None) -> None:
    """Remove checkpoints beyond `limit`: those of an abandoned future, then the oldest.

    The newest, which was just written, and the best one always stay.

    Args:
        run: the run directory.
        limit: the most to keep; None keeps all.
        newest: the checkpoint that was just written.
        best: the best one, if one is known.
    """
    if limit is None or limit <= 0:
        return
    kept = {newest.name} | ({Path(best).name} if best else set())
    found = checkpoints(run)
    found.sort(key=lambda folder: (step_of(folder) <= step_of(newest), step_of(folder)))
    others = [folder for folder in found if folder.name not in kept]
    for folder in others[: max(0, len(found) - max(limit, len(kept)))]:
        discard(folder)


def fault(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, None when every file is as its manifest says."""
    try:
        entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        sums = {name: (int(e["bytes"]), str(e["sha256"])) for name, e in entries.items()}
    except OSError:
        return "has no manifest: saving it was interrupted"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return "has a manifest that can't be read"
    for needed in _NEEDED:
        if not any(name.startswith(needed) for name in sums):
            return f"holds no {needed[0]}: it can't be resumed exactly"
    for name, (size, sha256) in sums.items():
        try:
            problem = _file_fault(folder, name, size, sha256)
        except (OSError, ValueError) as error:  # no permission, a bad sector, a NUL in the name
            reason = getattr(error, "strerror", None) or error
            problem = f"has {name!r}, which can't be read ({reason})"
        if problem is not None:
            return problem
    return None


def _file_fault(folder: Path, name: str, size: int, sha256: str) -> str | None:
    path = folder / name
    if not path.is_file():
        return f"lacks {name}"
    found = path.stat().st_size
    if found != size:
        return f"has {name} with {found} bytes instead of {size}"
    return None if _sha256(path) == sha256 else f"has a changed {name}"


def newest_whole(run: Path) -> tuple[Path, list[str]]:
    """Return the newest checkpoint that verifies, and a line for each newer one that does not.

    Raises:
        ResourceError: there is none.
    """
    from clairkit.training.checkpoint.state import inner_fault

    skipped: list[str] = []
    for folder in reversed(checkpoints(run)):
        problem = fault(folder) or inner_fault(folder, step_of(folder))
        if problem is None:
            return folder, skipped
        skipped.append(f"{folder.name} {problem}")
    found = "; ".join(skipped) if skipped else "there is no checkpoint"
    raise ResourceError(
        f"nothing to resume in {run}: {found}",
        remedy="start anew with --force, or with another --output",
    )


def resume_point(run: Path) -> tuple[Path, list[str]]:
    """Rescue, then return what `newest_whole` does; of several processes, the first one decides.

    Raises:
        ResourceError: there is none; in every process.
    """
    from torch import distributed

    from clairkit.training.processes import is_first, many

    answer: list[Any] = [None]
    if is_first():
        try:
            rescue(run)
            answer = [newest_whole(run)]
        except ResourceError as error:
            answer = [error]
    if many():
        distributed.broadcast_object_list(answer, src=0)
    if isinstance(answer[0], ResourceError):
        raise answer[0]
    folder, skipped = answer[0]
    return folder, skipped


def step_of(folder: Path) -> int:
    """Return the step in a checkpoint's name, -1 if there is none."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints of a run, the oldest first, not what only looks like one."""
    found = [path for path in run.glob("checkpoint-*") if step_of(path) >= 0 and path.is_dir()]
    return sorted(found, key=step_of)


def sync_file(path: Path) -> None:
    """Bring a file that was written and closed to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
