"""Make names that say the same on every machine, for what a run writes of its inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # as documented

# A snapshot in the Hub client's cache: .../models--org--name/snapshots/<revision>
_SNAPSHOT = re.compile(r"models--(.+)/snapshots/[0-9a-f]+/?$")
# What stands before a path in a word of a command: --option=, key=, adapter:, hf:
_BEFORE = re.compile(r"((?:-{0,2}[\w-]+=)?(?:[a-z]+:)?)([/~](?!/).*)", re.DOTALL)


def portable(name: str) -> str:
    """Return a path without the folders of this machine: its last part, or the Hub's id.

    What was given relative to the current folder, and an id, stays as it is.
    """
    if found := _SNAPSHOT.search(name):
        return found[1].replace("--", "/")
    if name.startswith("~") or Path(name).is_absolute():
        return Path(name).name or name
    return name


def portable_command(words: Sequence[str]) -> list[str]:
    """Return a command without the folders of this machine."""

    def shown(word: str) -> str:
        match = _BEFORE.fullmatch(word)
        return match[1] + portable(match[2]) if match else word

    return [shown(word) for word in words]


def hub_id(model: str) -> str | None:
    """Return the Hub's id of a model, None for a folder that does not tell it."""
    if found := _SNAPSHOT.search(model):
        return found[1].replace("--", "/")
    if not Path(model).is_dir():
        return model if _is_id(model) else None
    try:
        settings = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        name = settings.get("_name_or_path", "")
    except (OSError, ValueError, AttributeError):
        return None
    known = isinstance(name, str) and "/" in name and not Path(name).exists()
    return name if known and _is_id(name) else None


def _is_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not name.startswith((".", "~"))
