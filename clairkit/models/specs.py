"""Parse model specs: `hf:ID_OR_PATH`, `openai:MODEL`, `python:PACKAGE:FUNCTION`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clairkit.batching.chat_settings import ChatSettings
from clairkit.errors import UsageError, suggest
from clairkit.models.function import PythonModel
from clairkit.models.hf import HfModel
from clairkit.models.requests import Model
from clairkit.models.server.model import OpenAIModel
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.thoughts import THOUGHT_MARKS, Marks


@dataclass(frozen=True)
class ModelOptions:
    """How models are run; `thought_marks`, `chat` and `body` alone change what they say."""

    concurrency: int = 8
    """Requests at once to a server, or calls at once of an `async def` function."""
    batch_size: int = 16
    """Rows at once in a local model."""
    base_url: str | None = None
    """The server of `openai:`; else `OPENAI_BASE_URL`, else OpenAI's own."""
    target_base_url: str | None = None
    """The server of an `openai:` target, where it has one of its own."""
    reviser_base_url: str | None = None
    """The server of an `openai:` reviser, where it has one of its own."""
    judge_base_url: str | None = None
    """The server of an `openai:` judge, where it has one of its own."""
    body: JsonMapping = field(default_factory=dict)
    """Fields of each request to an `openai:` model; None takes one of ours out."""
    target_body: JsonMapping = field(default_factory=dict)
    """More fields, of requests to the target."""
    reviser_body: JsonMapping = field(default_factory=dict)
    """More fields, of requests to the reviser."""
    judge_body: JsonMapping = field(default_factory=dict)
    """More fields, of requests to the judge."""
    timeout: float = 600.0
    """Seconds that one request may take."""
    requests_per_minute: float | None = None
    """The most requests a minute to each model of a server."""
    tokens_per_minute: float | None = None
    """The most tokens a minute, of prompts and replies, to each model of a server."""
    needs_key: bool = True
    """Whether requests will be made; a dry run or a batch file needs no key."""
    thought_marks: Marks = THOUGHT_MARKS
    """What tells thoughts from answers, see `clairkit.records.thoughts`; part of every key."""

    chat: Mapping[str, ChatSettings] = field(default_factory=dict)
    """How conversations are rendered, by role; "" for all that have none of their own."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1", received=getattr(self, name))
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} must be above 0", received=value)
        if not self.timeout > 0:
            raise UsageError("timeout must be above 0", received=self.timeout)

    def base_url_of(self, role: str | None) -> str | None:
        """Return the server of a role: its own, else the common one."""
        own: str | None = getattr(self, f"{role}_base_url", None)
        return own or self.base_url

    def chat_of(self, role: str | None) -> ChatSettings:
        """Return how conversations are rendered for a role."""
        return self.chat.get(role or "", ChatSettings()).over(self.chat.get("", ChatSettings()))

    def body_of(self, role: str | None) -> JsonObject:
        """Return the fields of a role's requests: the common ones, and its own over them."""
        return {**self.body, **getattr(self, f"{role}_body", {})}


def make_model(spec: str, options: ModelOptions | None = None, *, role: str | None = None) -> Model:
    """Return the model that a spec names; nothing is loaded or asked yet.

    Args:
        spec: `hf:ID_OR_PATH`, `openai:MODEL` or `python:PACKAGE:FUNCTION`.
        options: how it is run.
        role: `target`, `reviser` or `judge`, which may have servers and keys of their own.

    Raises:
        UsageError: the spec is not valid, or names a function that is not there.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in _KINDS:
        hint = suggest(kind, _KINDS, shown=lambda near: f"{near}:{rest}") if colon else ""
        if Path(spec).is_dir():
            hint = f"did you mean hf:{spec}? "
        remedy = f"{hint}Write hf:ID_OR_PATH, openai:MODEL or python:PACKAGE:FUNCTION"
        raise UsageError("not a model spec", received=spec, remedy=remedy)
    options = options or ModelOptions()
    if kind != "openai" and getattr(options, f"{role}_body", None):
        raise UsageError(
            f"{role}_body holds fields of requests to a server",
            received=f"{role} {spec}",
            remedy="leave it out",
        )
    return _KINDS[kind](rest, options, role)


_KINDS: dict[str, Callable[[str, ModelOptions, str | None], Model]] = {
    "hf": lambda rest, options, role: HfModel(
        rest, batch_size=options.batch_size, marks=options.thought_marks, chat=options.chat_of(role)
    ),
    "openai": lambda rest, options, role: OpenAIModel(
        rest,
        base_url=options.base_url_of(role),
        role=role,
        concurrency=options.concurrency,
        timeout=options.timeout,
        pace=(options.requests_per_minute, options.tokens_per_minute),
        needs_key=options.needs_key,
        fields=options.body_of(role),
        marks=options.thought_marks,
        chat=options.chat_of(role),
    ),
    "python": lambda rest, options, role: PythonModel(
        rest, concurrency=options.concurrency, marks=options.thought_marks
    ),
}
