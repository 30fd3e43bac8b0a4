"""Define how a reply is sampled and what a reply is, for local and remote models."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal

from clairkit.errors import UsageError
from clairkit.records.json_types import JsonMapping

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """Every parameter that decides a sample, besides the model and the prompt."""

    temperature: float = 1.0
    """0 takes the most likely token each time."""
    top_p: float = 1.0
    """Keep the most likely tokens that hold this share of the probability."""
    top_k: int = 0
    """Keep this many tokens; 0 keeps all."""
    max_new_tokens: int = 512
    """A reply that has not ended by then is cut, and says so."""
    seed: int = 0
    """Another seed gives another sample of every row."""
    stop: tuple[str, ...] = ()
    """Texts that end a reply; they are not part of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", tuple(self.stop))
        checks = (
            ("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k, self.top_k >= 0, "0 or more"),
            ("max_new_tokens", self.max_new_tokens, self.max_new_tokens >= 1, "1 or more"),
            ("stop", self.stop, all(self.stop), "texts that are not empty"),
        )
        for name, value, is_good, remedy in checks:
            if not is_good:
                raise UsageError(f"{name} is out of range", received=value, remedy=f"use {remedy}")

    def to_json(self) -> JsonMapping:
        """Return the parameters as JSON has them; part of a result's key."""
        return self._json

    @cached_property
    def _json(self) -> JsonMapping:
        return {**asdict(self), "stop": list(self.stop)}


@dataclass(frozen=True)
class Reply:
    """What a model said.

    `finish_reason` is `length` when the reply was cut. `token_ids` are the generated ids with the
    end token; empty when the model is remote. `rationale` is set by a `python:` reviser only;
    `tries` counts the requests that it took. `thoughts` are what the model wrote before `text`
    (see `clairkit.records.thoughts`); None when it wrote none. `seconds` is how long it took, tries
    and waits included; None where nobody looked. It makes no two replies differ.
    """

    text: str
    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    token_ids: tuple[int, ...] = ()
    rationale: str | None = None
    tries: int = 1
    thoughts: str | None = None
    seconds: float | None = field(default=None, compare=False)

    @property
    def is_only_thoughts(self) -> bool:
        """Whether the model never came to its answer."""
        return self.thoughts is not None and not self.text.strip()


@dataclass(frozen=True)
class Failure:
    """Why a row has no result: a code of `clairkit.models.reasons`, and a safe detail.

    `text` is what the model said, when it said something; `seconds` is as of `Reply`.
    """

    reason: str
    detail: str = ""
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tries: int = 1
    seconds: float | None = field(default=None, compare=False)


Outcome = Reply | Failure
