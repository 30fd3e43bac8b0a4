"""Requests to an OpenAI-compatible server: retried, bounded, and never with the key in sight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from clairkit import __version__
from clairkit.display import excerpt
from clairkit.errors import RemoteError
from clairkit.generation.chat_response import error_code, error_text, read_completion
from clairkit.generation.endpoint import Endpoint
from clairkit.generation.http_client import (
    HttpClient,
    HttpFault,
    HttpResponse,
    StaleConnection,
)
from clairkit.generation.pace import Allowance
from clairkit.generation.reasons import HALTED
from clairkit.generation.requests import Control
from clairkit.generation.retry import Breaker, Limiter, RetryPolicy, next_wait, retry_after
from clairkit.generation.sampling import Failure, Outcome

BODY_CAP = 2_000_000
"""The most bytes of a response that are read."""

_LOST = frozenset(("request_failed", "content_type", "bad_response"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_AGAIN = frozenset((408, 409, 425, 429))
# Words of a 400 that concern a setting of the run, not the row.
_SETTING_CODES = frozenset(("unsupported_parameter", "unsupported_value", "model_not_found"))


class _Again(Exception):
    """One try failed in a way that may pass; `wait` is what the server asked for."""

    def __init__(
        self,
        problem: str,
        wait: float | None = None,
        *,
        overloaded: bool = False,
        stale: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.wait = wait
        self.overloaded = overloaded
        self.stale = stale


class ChatClient:
    """Posts chat completions.

    Args:
        endpoint: the server and its key.
        concurrency: the most requests at once.
        timeout: seconds that one request may take as a whole.
        policy: how failed requests are tried again.
        pace: the most requests, and the most tokens, a minute; None is no limit.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        concurrency: int,
        timeout: float,
        policy: RetryPolicy,
        pace: tuple[float | None, float | None] = (None, None),
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._timeout = timeout
        self._limiter = Limiter(concurrency)
        self._breaker = Breaker(policy.consecutive)
        self._allowance = Allowance(*pace)
        self._http = HttpClient(
            endpoint.base_url,
            _headers(endpoint),
            body_cap=BODY_CAP,
            use_proxy=not endpoint.is_loopback,  # no proxy between us and this machine
        )

    async def close(self) -> None:
        await self._http.close()

    async def post(self, body: Mapping[str, Any], control: Control) -> Outcome:
        """Return what the server made of `body`, after as many tries as the policy allows.

        A request that met a closed connection is made again at once. It counts as a call, as the
        server may have seen it, but not as one of the policy's tries.

        Raises:
            RemoteError: no other row can succeed either.
        """
        wait = self._policy.base
        problems: list[str] = []
        content = json.dumps(body, separators=(",", ":")).encode()
        tries, is_stale = 0, False
        while len(problems) < self._policy.tries:
            tries += 1
            await self._limiter.enter()
            try:
                claimed = await self._allowance.claim(len(content), _longest(body), control)
                if claimed is None or not control.take():
                    return Failure(HALTED)
                outcome = await self._try(content, tries, is_fresh=is_stale)
            finally:
                self._limiter.leave()
            self._count(outcome, claimed)
            if not isinstance(outcome, _Again):
                return self._settled(outcome)
            is_stale = outcome.stale
            if is_stale:
                continue
            problems.append(outcome.problem)
            wait = next_wait(self._policy, wait)
            asked = wait if outcome.wait is None else outcome.wait
            if len(problems) < self._policy.tries and not await control.sleep(asked):
                return Failure(HALTED)
        return self._settled(_exhausted(problems, tries))

    async def _try(self, content: bytes, tries: int, *, is_fresh: bool = False) -> Outcome | _Again:
        try:
            outcome = await self._once(content, tries, is_fresh=is_fresh)
        except _Again as again:
            if again.overloaded:
                self._limiter.slow_down()
            return again
        self._limiter.succeed()
        return outcome

    def _count(self, outcome: Outcome | _Again, claimed: float) -> None:
        if isinstance(outcome, _Again):
            self._allowance.settle(claimed, 0, 0)
        elif outcome.prompt_tokens or outcome.completion_tokens:  # else the server does not say
            self._allowance.settle(claimed, outcome.prompt_tokens, outcome.completion_tokens)

    def _settled(self, outcome: Outcome) -> Outcome:
        """Count the row; too many lost ones in a row end the run."""
        lost = isinstance(outcome, Failure) and outcome.reason in _LOST
        if self._breaker.record(succeeded=not lost) and isinstance(outcome, Failure):
            raise RemoteError(
                f"{self._breaker.failed} rows in a row failed, the last with: {outcome.detail}",
                remedy=f"check the server at {self._endpoint.host}; what is done is kept",
            )
        return outcome

    async def _once(self, content: bytes, tries: int, *, is_fresh: bool) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._http.post("/chat/completions", content, is_fresh=is_fresh)
        except TimeoutError:
            raise _Again(f"no whole response within {self._timeout:g} s") from None
        except HttpFault as error:
            stale = isinstance(error, StaleConnection)
            raise _Again(excerpt(str(error), 200), stale=stale) from None
        if response.content is None:
            return Failure("too_large", f"more than {BODY_CAP} bytes", tries=tries)
        if response.status == 200:
            return _completion(response, response.content, tries)
        return self._refused(response, _decoded(response.content), tries)

    def _refused(self, response: HttpResponse, body: Any, tries: int) -> Outcome:
        """What an unsuccessful status means: again, this row, or the run."""
        status = response.status
        said = f"HTTP {status}: {error_text(body)}" if body is not None else f"HTTP {status}"
        if status in _REDIRECTS:
            raise self._redirected(response)
        if error_code(body) == "insufficient_quota" or status == 402:
            remedy = f"top it up, or set another {self._endpoint.key_variable}"
            raise RemoteError(f"the account has no quota left ({said})", remedy=remedy)
        if status in _AGAIN or status >= 500:
            raise _Again(said, self._asked_wait(response), overloaded=status in (429, 503))
        if status in _FATAL or error_code(body) in _SETTING_CODES:
            remedy = _FATAL.get(status, "change that setting of the run")
            raise RemoteError(
                f"the server at {self._endpoint.host} refused ({said})",
                remedy=remedy.format(key=self._endpoint.key_variable),
            )
        return Failure("bad_request", said, tries=tries)

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
    if endpoint.key is not None:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    return headers


def _longest(body: Mapping[str, Any]) -> int:
    """The most tokens that the reply to a request may have."""
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 0)


def _decoded(content: bytes) -> Any:
    """The JSON in a body; None when there is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _completion(response: HttpResponse, content: bytes, tries: int) -> Outcome:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        return Failure("content_type", f"content-encoding {excerpt(encoding)}", tries=tries)
    body = _decoded(content)
    if body is not None:
        return read_completion(body, tries)
    if kind and "json" not in kind:
        return Failure("content_type", f"{excerpt(kind)} instead of JSON", tries=tries)
    raise _Again("the JSON of the response is cut or broken")


def _exhausted(problems: list[str], tries: int) -> Failure:
    detail = f"{problems[-1]} ({len(problems)} tries)"
    return Failure("request_failed", detail, tries=tries)
