"""Ask `openai:MODEL`, any OpenAI-compatible server, as target or reviser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clairkit.batching.chat_settings import ChatSettings, fold_system
from clairkit.errors import UsageError
from clairkit.models.outcomes import marks_identity, thoughts_apart
from clairkit.models.requests import Budget, Task
from clairkit.models.sampling import Outcome
from clairkit.models.server.endpoint import find_endpoint
from clairkit.models.server.request_body import check_body, with_fields
from clairkit.models.server.retry import RetryPolicy
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.thoughts import THOUGHT_MARKS, Marks

if TYPE_CHECKING:
    from clairkit.models.server.client import ChatClient


_KWARGS = "chat_template_kwargs"


class OpenAIModel:
    """Asks a server for one chat completion a row.

    Args:
        model: the model's name on the server.
        base_url: the server; else `OPENAI_BASE_URL`, else OpenAI's own.
        role: whose key is used: see `find_endpoint`.
        concurrency: the most requests at once.
        timeout: seconds that one request may take.
        policy: how failed requests are tried again.
        pace: the most requests, and the most tokens, a minute; None is no limit.
        needs_key: whether requests will be made; else OpenAI's own server may lack its key.
        marks: of the thoughts before an answer.
        chat: `chat_template_kwargs` are sent to the server, where they are given.
        fields: the user's own fields of each request; None takes one of ours out.

    Raises:
        UsageError: there is no model name, the URL is not valid, or a field is not the
            user's to set, or is given twice.
        RemoteError: OpenAI's own server is meant and there is no key.
    """

    is_function = False
    batch_size = 1

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        role: str | None = None,
        concurrency: int = 8,
        timeout: float = 600.0,
        policy: RetryPolicy | None = None,
        pace: tuple[float | None, float | None] = (None, None),
        needs_key: bool = True,
        marks: Marks = THOUGHT_MARKS,
        chat: ChatSettings | None = None,
        fields: JsonMapping | None = None,
    ) -> None:
        if not model:
            raise UsageError("the model has no name", remedy="write openai:MODEL")
        self.name = f"openai:{model}"
        self._fields = dict(fields or {})
        check_body(self._fields)
        if chat and chat.chat_template_kwargs is not None and _KWARGS in self._fields:
            raise UsageError(
                f"{_KWARGS} is given twice: as an option, and as a field of the request",
                received=self.name,
                remedy="give one of the two",
            )
        own = {"body": json.dumps(self._fields, sort_keys=True)} if self._fields else {}
        self.identity: JsonMapping = {
            "kind": "openai",
            "model": model,
            **own,
            **marks_identity(marks),
            **(chat or ChatSettings()).changed(),
        }
        self.concurrency = concurrency
        self._model = model
        self._marks = marks
        self._chat = chat or ChatSettings()
        self._endpoint = find_endpoint(base_url, role, needs_key=needs_key)
        self._timeout = timeout
        self._policy = policy or RetryPolicy()
        self._pace = pace
        self._client: ChatClient | None = None

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        from clairkit.models.server.client import ChatClient

        if self._client is None:
            self._client = ChatClient(
                self._endpoint,
                concurrency=self.concurrency,
                timeout=self._timeout,
                policy=self._policy,
                pace=self._pace,
                fixed=self._fields,
            )
        replies = [await self._client.post(self.body(task), budget) for task in tasks]
        return [thoughts_apart(reply, self._marks) for reply in replies]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def body(self, task: Task) -> JsonObject:
        """Return the request for a row as JSON has it."""
        sampling, chat = task.sampling, self._chat
        limit = "max_completion_tokens" if self._endpoint.is_openai else "max_tokens"
        body: JsonObject = {
            "model": self._model,
            "messages": fold_system(task.messages) if chat.fold_system else list(task.messages),
            limit: sampling.max_new_tokens,
            "seed": int(task.seed_key[:8], 16) & 0x7FFFFFFF,  # it holds the run's seed
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        }
        if chat.chat_template_kwargs is not None:
            body[_KWARGS] = dict(chat.chat_template_kwargs)
        # Some of OpenAI's models refuse these two, even at 1, which is their default there.
        for name, value in (("temperature", sampling.temperature), ("top_p", sampling.top_p)):
            if value != 1 or not self._endpoint.is_openai:
                body[name] = value
        return with_fields(body, self._fields)
