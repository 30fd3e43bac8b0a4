"""Send requests to an OpenAI-compatible server: retried, bounded, never with the key in sight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from clairkit import __version__
from clairkit.display import excerpt
from clairkit.errors import RemoteError
from clairkit.models.reasons import HALTED
from clairkit.models.requests import Budget
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.models.server.endpoint import Endpoint
from clairkit.models.server.http_client import HttpClient, HttpFault, HttpResponse
from clairkit.models.server.request_body import LIMITS, Adaptation
from clairkit.models.server.response import ServerError, find_error, read_completion, read_error
from clairkit.models.server.retry import (
    Allowance,
    Breaker,
    Limiter,
    RetryPolicy,
    next_wait,
    retry_after,
)
from clairkit.records.json_types import JsonMapping
from clairkit.redaction import holds

BODY_CAP = 2_000_000
"""The most bytes of a response that are read."""

_LOST = frozenset(("request_failed", "content_type", "bad_response", "unfinished"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_AGAIN = frozenset((408, 409, 425, 429))
# Words of a 400 that concern a setting of the run, not the row.
_SETTING_CODES = frozenset(("unsupported_parameter", "unsupported_value", "model_not_found"))
_QUOTA = 402
_UNREADABLE = frozenset((400, 422))
_TELLING = 12  # characters; local servers take any word as a key, and models say those, too


class _Again(Exception):
    """One try failed in a way that may pass.

    Attributes:
        failure: what came of it, if it stays the last.
        wait: the seconds that the server asked for.
        overloaded: whether it should be asked less at once.
        news: what was learnt of the server's fields; the request will be another one then.
    """

    def __init__(
        self,
        failure: Failure | str,
        wait: float | None = None,
        *,
        overloaded: bool = False,
        news: str | None = None,
    ) -> None:
        if not isinstance(failure, Failure):
            failure = Failure("request_failed", failure)
        super().__init__(failure.detail)
        self.failure = failure
        self.wait = wait
        self.overloaded = overloaded
        self.news = news


class ChatClient:
    """Posts chat completions.

    Args:
        endpoint: the server and its key.
        concurrency: the most requests at once.
        timeout: seconds that one request may take as a whole.
        policy: how failed requests are tried again.
        pace: the most requests, and the most tokens, a minute; None is no limit.
        fixed: fields of a request that the user set, which are never changed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        timeout: float,
        policy: RetryPolicy,
        pace: tuple[float | None, float | None] = (None, None),
        fixed: Iterable[str] = (),
    ) -> None:
        self._endpoint = endpoint
        self._adaptation = Adaptation(fixed)
        self._policy = policy
        self._timeout = timeout
        self._limiter = Limiter(concurrency)
        self._breaker = Breaker(policy.consecutive)
        self._allowance = Allowance(*pace)
        self._http = HttpClient(
            endpoint.base_url,
            _headers(endpoint),
            query=endpoint.query,
            body_cap=BODY_CAP,
            use_proxy=not endpoint.is_loopback,  # no proxy between us and this machine
        )
        secrets = (endpoint.key or "", self._http.proxy_password)
        self._sent = frozenset(secret for secret in secrets if len(secret) >= _TELLING)

    async def close(self) -> None:
        await self._http.close()

    async def post(self, body: JsonMapping, budget: Budget) -> Outcome:
        """Return what the server made of `body`, after as many tries as the policy allows.

        Raises:
            RemoteError: no other row can succeed either.
        """
        wait = self._policy.base
        given = next((body[name] for name in LIMITS if name in body), 0)
        size, longest = len(json.dumps(body)), given if isinstance(given, int) else 0
        taken: list[Outcome] = []
        tries = 0
        while tries < self._policy.tries:
            await self._limiter.enter()
            try:
                claimed = await self._allowance.claim(size, longest, budget)
                if claimed is None or not budget.take():
                    return Failure(HALTED)
                outcome = await self._try(self._adaptation.apply(body), longest)
            finally:
                self._limiter.leave()
            if not isinstance(outcome, _Again):
                if outcome.prompt_tokens or outcome.completion_tokens:  # else nobody says
                    self._allowance.settle(
                        claimed, outcome.prompt_tokens, outcome.completion_tokens
                    )
                return self._settled([*taken, outcome])
            last = outcome.failure
            self._allowance.settle(claimed, last.prompt_tokens, last.completion_tokens)
            taken.append(last)
            if outcome.news is not None:  # the request will be another one: no try of this one
                if outcome.news:
                    budget.say(f"The server at {self._endpoint.host} {outcome.news}.")
                continue
            tries += 1
            wait = next_wait(self._policy, wait)
            asked = wait if outcome.wait is None else outcome.wait
            if tries < self._policy.tries and not await budget.sleep(asked):
                return Failure(HALTED)
        detail = f"{last.detail} ({self._policy.tries} tries)"
        return self._settled([*taken[:-1], replace(last, detail=detail)])

    async def _try(self, body: JsonMapping, longest: int) -> Outcome | _Again:
        try:
            outcome = await self._once(body, longest)
        except _Again as again:
            if again.overloaded:
                self._limiter.slow_down()
            return again
        self._limiter.succeed()
        return outcome

    def _settled(self, tries: Sequence[Outcome]) -> Outcome:
        """Count the row, by its last try with what all took; too many lost in a row end the run."""
        outcome = replace(
            tries[-1],
            tries=len(tries),
            prompt_tokens=sum(each.prompt_tokens for each in tries),
            completion_tokens=sum(each.completion_tokens for each in tries),
        )
        lost = isinstance(outcome, Failure) and outcome.reason in _LOST
        if self._breaker.record(succeeded=not lost) and isinstance(outcome, Failure):
            raise RemoteError(
                f"{self._breaker.failed} rows in a row failed, the last with: {outcome.detail}",
                remedy=f"check the server at {self._endpoint.host}; what is done is kept",
            )
        return outcome

    async def _once(self, sent: JsonMapping, longest: int) -> Outcome:
        content = json.dumps(sent, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._http.post("/chat/completions", content)
        except TimeoutError:
            raise _Again(f"no whole response within {self._timeout:g} s") from None
        except HttpFault as fault:
            raise _Again(excerpt(str(fault), 200)) from None
        if response.content is None:
            return Failure("too_large", f"more than {BODY_CAP} bytes")
        if not 200 <= response.status < 300:
            body = _decoded(response.content)
            error = ServerError() if body is None else read_error(body)
            # Asked again without a field that the server does not take, if that is why it refused.
            is_unreadable = response.status in _UNREADABLE
            news = self._adaptation.learn(error, sent) if is_unreadable else None
            if news is not None:
                raise _Again(error.text, news=news)
            return self._refused(response, response.status, error)
        return self._completion(response, response.content, longest)

    def _completion(self, response: HttpResponse, content: bytes, longest: int) -> Outcome:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            return Failure("content_type", f"content-encoding {excerpt(encoding)}")
        body = _decoded(content)
        if body is None:
            if kind and "json" not in kind:
                return Failure("content_type", f"{excerpt(kind)} instead of JSON")
            raise _Again("the JSON of the response is cut or broken")
        error = find_error(body)
        if error is not None:
            return self._refused(response, error.status, error)
        outcome = self._without_secrets(read_completion(body, longest=longest))
        if isinstance(outcome, Failure) and outcome.reason == "unfinished":
            raise _Again(outcome)
        return outcome

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        """Drop a text that repeats what was sent as key or password: it would be stored."""
        thoughts = outcome.thoughts if isinstance(outcome, Reply) else None
        if not any(holds(text, self._sent) for text in (outcome.text, thoughts or "")):
            return outcome
        return Failure(
            "secret_echoed",
            "the text holds a key or password that was sent",
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
        )

    def _refused(self, response: HttpResponse, status: int | None, error: ServerError) -> Outcome:
        """What an error means, by its status: again, this row, or the run."""
        place = "error object" if 200 <= response.status < 300 else "HTTP"
        said = " ".join(filter(None, (place, str(status or ""))))
        said = f"{said}: {error.text}" if error.text else said
        if status in _REDIRECTS:
            raise self._redirected(response)
        if "insufficient_quota" in error.codes or status == _QUOTA:
            remedy = f"top it up, or set another {self._endpoint.key_variable}"
            raise RemoteError(f"the account has no quota left ({said})", remedy=remedy)
        if status is None or status in _AGAIN or not 400 <= status < 500:
            raise _Again(said, self._asked_wait(response), overloaded=status in (429, 503))
        if status in _FATAL or error.codes & _SETTING_CODES:
            remedy = _FATAL.get(status, "change that setting of the run")
            raise RemoteError(
                f"the server at {self._endpoint.host} refused ({said})",
                remedy=remedy.format(key=self._endpoint.key_variable),
            )
        return Failure("bad_request", said)

    def _asked_wait(self, response: HttpResponse) -> float | None:
        seconds = retry_after(response.headers.get("retry-after"))
        if seconds is None or seconds <= self._policy.longest_wait:
            return seconds
        until = datetime.now(UTC).astimezone() + timedelta(seconds=min(seconds, 10**8))
        raise RemoteError(
            f"the server asks to wait {seconds:.0f} s, until {until:%Y-%m-%d %H:%M:%S %Z}",
            remedy="run the command again then; what is done is kept",
        )

    def _redirected(self, response: HttpResponse) -> RemoteError:
        try:
            there = urlsplit(response.headers.get("location", "")).hostname or "another path"
        except ValueError:
            there = "no address"
        return RemoteError(
            f"the server at {self._endpoint.host} redirects (HTTP {response.status}) to "
            f"{excerpt(there)}; the key is not sent there",
            remedy="give the final address with --base-url if you trust it",
        )


_FATAL = {
    401: "check {key}",
    403: "check what {key} is allowed to do",
    404: "check the model's name and --base-url, which often ends with /v1",
    405: "check --base-url, which often ends with /v1",
    422: "check the model's name and the sampling settings",
}


def _headers(endpoint: Endpoint) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"clairkit/{__version__}",
    }
    if endpoint.key is not None and endpoint.is_azure:
        headers["api-key"] = endpoint.key
    elif endpoint.key is not None:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    return headers


def _decoded(content: bytes) -> Any:
    """The JSON in a body; None when there is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
