"""Define the two records, a prompt row and a pair: frozen, checked, known by their digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from clairkit.records.json_types import JsonMapping, JsonObject

_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)

Source = Literal["clair", "judge_on_policy", "judge_off_policy", "stronger_preferred", "imported"]
SOURCES: tuple[str, ...] = get_args(Source)
ROLES = ("system", "user", "assistant", "tool", "developer")


def _canonical_bytes(value: object) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8 characters as they are.

    Lone surrogates are kept as escapes, so that every text has a digest.

    Raises:
        ValueError: `value` holds NaN or an infinity.
    """
    return _canonical_bytes(value).decode("utf-8")


def digest(value: object) -> str:
    """Return the sha256 of `value`'s canonical JSON, 64 hex digits."""
    return hashlib.sha256(_canonical_bytes(value)).hexdigest()


def pair_id(prompt: Any, chosen: Any, rejected: Any, source: str) -> str:
    """Return the id of a pair: the first 16 hex digits over all that determines it.

    Args:
        prompt: messages or text; all four are JSON values.
        chosen: the better side.
        rejected: the worse side.
        source: what made the pair.
    """
    return digest({"prompt": prompt, "chosen": chosen, "rejected": rejected, "source": source})[:16]


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class PromptRow:
    """A prompt, perhaps with an answer that the target model already gave.

    `id` identifies the row across stations; made from prompt and answer when it is not given.
    `extra` carries all other columns of the file along.
    """

    prompt: tuple[Message, ...]
    answer: str | None = None
    id: str = ""
    extra: JsonMapping = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest([self.prompt, self.answer])[:16])

    def to_json(self) -> JsonObject:
        """Return the row as an object of a prompt file."""
        row: JsonObject = {"id": self.id, "prompt": list(self.prompt)}
        if self.answer is not None:
            row["answer"] = self.answer
        return {**row, **self.extra}


@dataclass(frozen=True)
class Pair:
    """A preference pair in TRL's conversational explicit-prompt form.

    `chosen` and `rejected` hold the messages that follow `prompt`; the last is the assistant's.
    One of them is empty in a one-sided pair, which only losses of single sides can use.
    """

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    id: str = ""
    rationale: str | None = None
    source: str = "imported"
    scores: JsonMapping = field(default_factory=dict)
    provenance: JsonMapping = field(default_factory=dict)
    extra: JsonMapping = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            made = pair_id(self.prompt, self.chosen, self.rejected, self.source)
            object.__setattr__(self, "id", made)

    def to_json(self) -> JsonObject:
        """Return the pair as an object of a pair file; empty parts are left out."""
        row: JsonObject = {"id": self.id, "prompt": list(self.prompt)}
        if self.chosen:
            row["chosen"] = list(self.chosen)
        if self.rejected:
            row["rejected"] = list(self.rejected)
        if self.rationale is not None:
            row["rationale"] = self.rationale
        row["source"] = self.source
        if self.scores:
            row["scores"] = dict(self.scores)
        if self.provenance:
            row["provenance"] = dict(self.provenance)
        return {**row, **self.extra}
