"""The two records of the road: a prompt row and a pair. Both are frozen and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from clairkit.records.identity import digest, pair_id

Source = Literal["clair", "judge_on_policy", "judge_off_policy", "stronger_preferred", "imported"]
SOURCES: tuple[str, ...] = get_args(Source)
ROLES = ("system", "user", "assistant", "tool", "developer")


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
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest([self.prompt, self.answer])[:16])

    def to_json(self) -> dict[str, Any]:
        """Return the row as an object of a prompt file."""
        row: dict[str, Any] = {"id": self.id, "prompt": list(self.prompt)}
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
    scores: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            made = pair_id(self.prompt, self.chosen, self.rejected, self.source)
            object.__setattr__(self, "id", made)

    def to_json(self) -> dict[str, Any]:
        """Return the pair as an object of a pair file; empty parts are left out."""
        row: dict[str, Any] = {"id": self.id, "prompt": list(self.prompt)}
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
