"""Tell which models are of one family: a judge is kinder to its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from clairkit.errors import ClairError
from clairkit.evaluation.seed_runs import run_configuration
from clairkit.records.read import located_rows

_FAMILIES: Mapping[str, str] = {
    "gpt": r"(?:chat-?)?gpt|o[1-9](?:-|$)|davinci",
    "claude": r"claude",
    "gemini": r"gemini|gemma|palm",
    "llama": r"llama|vicuna|alpaca",
    "mistral": r"mistral|mixtral|ministral|magistral|codestral",
    "qwen": r"qwen|qwq",
    "deepseek": r"deepseek",
    "phi": r"phi-?\d",
    "command": r"command|aya",
    "grok": r"grok",
    "smollm": r"smollm",
    "olmo": r"olmo|tulu",
    "granite": r"granite",
    "nova": r"nova",
    "glm": r"glm",
}


def family_of(spec: str) -> str | None:
    """Return a model's family by its name, or by the `model_type` of its folder; None if unknown.

    A function (`python:`) has none.
    """
    kind, _, rest = spec.partition(":")
    if kind == "python":
        return None
    folder = Path(rest)
    names = [folder.name.lower()]
    if kind == "hf" and folder.is_dir():
        names = [_model_type(folder)]
    for name in names:
        for family, pattern in _FAMILIES.items():
            if re.search(rf"(?<![a-z])(?:{pattern})", name):
                return family
    return None


def _model_type(folder: Path) -> str:
    """Return the `model_type` of a model's folder; "" where it does not say."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config.get("model_type", "")).lower()
    except (OSError, ValueError, AttributeError):
        return ""


def reviser_of(spec: str) -> str | None:
    """Return who revised the answers that a run was trained on; None where no file says so.

    The run directory names its pairs, and their first row its reviser. Nothing is downloaded.
    """
    config = run_configuration(Path(spec.removeprefix("hf:")))
    pairs = str((config or {}).get("pairs", ""))
    if not Path(pairs).is_file():
        return None
    try:
        found: object = next(located_rows(pairs))[1]
    except (ClairError, StopIteration):
        return None
    for name in ("provenance", "reviser"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    named = (found[key] for key in ("model", "id", "function") if found.get(key))
    return next((f"{found.get('kind')}:{name}" for name in named), None)


def relatives(judge: str, models: Mapping[str, str]) -> list[str]:
    """Return the names of the models that a judge is, or whose family it belongs to.

    Args:
        judge: its spec.
        models: specs by name.
    """
    family = family_of(judge)
    return [
        name
        for name, spec in models.items()
        if spec == judge or (family is not None and family_of(spec) == family)
    ]


def warning(judge: str, names: Iterable[str]) -> str:
    """Say that a judge may prefer models that are like it."""
    listed = " and ".join(names)
    return (
        f"the judge {judge} is of the same family as {listed}: models prefer their own kind. Give "
        "a second judge of another family"
    )
