"""Checkpoints that say whether they are whole: a manifest of sizes and sha256 of every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from clairkit.errors import ResourceError

MANIFEST = "MANIFEST.json"

# Beginnings of the files without which the Trainer would silently begin anew: by one process,
# by several, by FSDP or DeepSpeed.
_NEEDED = (("optimizer", "global_step"), ("rng_state",), ("trainer_state",))


class ManifestCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Writes a checkpoint's manifest as soon as the Trainer has saved it."""

    def on_save(self, args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Called by the Trainer after each save."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """Write the folder's manifest, last and in one rename."""
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    temporary = folder / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps({"files": entries}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def fault(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, None when every file is as its manifest says."""
    try:
        entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except OSError:
        return "has no manifest: saving it was interrupted"
    except (ValueError, KeyError, TypeError):
        return "has a manifest that can't be read"
    for needed in _NEEDED:
        if not any(name.startswith(needed) for name in entries):
            return f"holds no {needed[0]}: it can't be resumed exactly"
    for name, entry in entries.items():
        path = folder / name
        if not path.is_file():
            return f"lacks {name}"
        if path.stat().st_size != entry["bytes"]:
            return f"has {name} with {path.stat().st_size} bytes instead of {entry['bytes']}"
        if _sha256(path) != entry["sha256"]:
            return f"has a changed {name}"
    return None


def newest_whole(run: Path) -> tuple[Path, list[str]]:
    """Return the newest checkpoint that verifies, and a line for each newer one that does not.

    Raises:
        ResourceError: there is none.
    """
    folders = sorted(run.glob("checkpoint-*"), key=step_of, reverse=True)
    skipped: list[str] = []
    for folder in folders:
        problem = fault(folder)
        if problem is None:
            return folder, skipped
        skipped.append(f"{folder.name} {problem}")
    found = "; ".join(skipped) if skipped else "there is no checkpoint"
    raise ResourceError(
        f"nothing to resume in {run}: {found}",
        remedy="start anew with --force, or with another --output",
    )


def step_of(folder: Path) -> int:
    """Return the step in a checkpoint's name, -1 if there is none."""
    number = folder.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
