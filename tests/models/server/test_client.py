"""What each fault of a server gets: see the table of faults, rows `build-pairs`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_server import Request, Response, Script, as_json, completion, error, revise, serving

from clairkit.errors import ClairError, RemoteError
from clairkit.generation import BuildResult
from clairkit.models.server.retry import RetryPolicy

Build = Callable[..., BuildResult]


def first(*responses: Response) -> Script:
    """Give these responses, then good ones."""
    queue = list(responses)
    return lambda request: queue.pop(0) if queue else revise(request)


def in_choice(said: object) -> Response:
    """Half an answer with an error beside it, as OpenRouter sends it."""
    choice = {
        "message": {"role": "assistant", "content": "Half an ans"},
        "finish_reason": "stop",
        "error": said,
    }
    return as_json({"choices": [choice]})


def always(response: Response) -> Script:
    return lambda request: response


def quarantined(result: BuildResult) -> list[dict[str, str]]:
    assert result.quarantine is not None
    return [json.loads(line) for line in result.quarantine.read_text().splitlines()]


@pytest.mark.parametrize(
    "fault",
    [
        *(error(status) for status in (408, 409, 429, 500, 502, 503, 529)),
        error(429, Retry_After="0.01"),
        *(error(429, Retry_After=odd) for odd in ("inf", "nan", "-10", "soon", "", "1e999")),
        error(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
        Response(body=b'{"choices": [{"mess'),
        Response(body=b'{"choices": [', reset=True),
        Response(status=500, body=b"<html>", headers={"Content-Type": "text/html"}),
        Response(status=304),
        Response(status=204, headers={"Content-Length": "0"}),
        error(200, 502, "Provider returned error"),
        error(200, 429, "Rate limit exceeded", Retry_After="0.01"),
        error(200, "rate_limit_exceeded"),
        error(200, "of_tomorrow"),
        as_json({"object": "error", "message": "no", "code": 500}),
        completion("Half an ans", "error", error={"code": 502, "message": "lost"}),
        in_choice({"code": 503, "message": "lost"}),
        completion("Half an ans", "abort"),
        completion("Half an ans", "INSUFFICIENT_SYSTEM_RESOURCE"),
    ],
    ids=lambda fault: f"{fault.status}-{fault.headers.get('Retry_After')}-{fault.body[:14]!r}",
)
def test_a_passing_fault_is_retried(build: Build, fault: Response) -> None:
    with serving(first(fault, fault)) as server:
        result = build(server.url)
    assert (result.pairs, result.calls, len(server.requests)) == (1, 3, 3)


def test_a_stalled_body_ends_by_the_time_out(build: Build) -> None:
    stalled = Response(body=b"{", headers={"Content-Length": "99"}, stall=60)
    with serving(first(stalled)) as server:
        result = build(server.url, timeout=0.3)
        assert server.stalling == 1
    assert (result.pairs, result.calls) == (1, 2)


def test_retry_after_is_waited_for(build: Build) -> None:
    with serving(first(error(429, Retry_After="0.4"))) as server:
        started = time.monotonic()
        assert build(server.url).pairs == 1
    assert time.monotonic() - started >= 0.4


def test_too_long_a_retry_after_ends_the_run_with_the_time(build: Build) -> None:
    with serving(always(error(429, Retry_After="3600"))) as server:
        with pytest.raises(
            RemoteError, match=r"wait 3600 s, until 20\d\d-\d\d-\d\d \d\d:\d\d"
        ) as info:
            build(server.url, concurrency=1)
        assert len(server.requests) == 1
        assert info.value.exit_code == 6
        server.script = revise
        assert build(server.url).pairs == 1  # and the same call goes on


def test_429_lowers_the_concurrency(build: Build) -> None:
    seen: list[int] = []
    all_there = threading.Barrier(8, timeout=10)

    def script(request: Request) -> Response:
        if request.number <= 8:
            all_there.wait()
            return error(429, Retry_After="0.05")
        seen.append(server.running)
        time.sleep(0.01)
        return revise(request)

    with serving(script) as server:
        assert build(server.url, rows=24, concurrency=8, policy=RetryPolicy(base=0.001)).pairs == 24
        assert server.peak == 8
    assert max(seen[:4]) <= 2
    assert max(seen) > 2  # and it recovers


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(401, "invalid_api_key", "Incorrect key planted-secret-4711"), "OPENAI_API_KEY"),
        (error(403), "OPENAI_API_KEY"),
        (error(404, "", "no such model"), "--base-url"),
        (error(422), "sampling"),
        (error(429, "insufficient_quota"), "OPENAI_API_KEY"),
        (error(402), "OPENAI_API_KEY"),
        (error(400, "unsupported_parameter", "Unsupported: messages.role"), "setting"),
        (error(200, 401, "No such key planted-secret-4711"), "OPENAI_API_KEY"),
        (error(200, "invalid_api_key"), "OPENAI_API_KEY"),
        (error(200, "insufficient_quota"), "quota"),
        (in_choice({"code": 402, "message": "no credits"}), "quota"),
        (error(200, "404", "no such model"), "--base-url"),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_what_no_row_can_survive_stops_after_one_call(
    build: Build, fault: Response, words: str
) -> None:
    with serving(always(fault)) as server, pytest.raises(RemoteError, match=words) as info:
        build(server.url, rows=9, concurrency=1)
    assert len(server.requests) == 1
    assert "planted-secret" not in str(info.value)


def test_400_fails_that_row_only(build: Build) -> None:
    with serving(first(error(400, "context_length_exceeded", "too long"))) as server:
        result = build(server.url, rows=3, concurrency=1)
    assert (result.pairs, result.counts) == (2, {"bad_request": 1})
    assert quarantined(result)[0]["detail"] == "HTTP 400: too long"


def test_an_error_within_a_200_that_concerns_the_row_fails_that_row_only(build: Build) -> None:
    with serving(first(error(200, 400, "too long"))) as server:
        result = build(server.url, rows=3, concurrency=1)
    assert (result.pairs, result.counts) == (2, {"bad_request": 1})
    assert quarantined(result)[0]["detail"] == "error object 400: too long"


def test_429_within_a_200_lowers_the_concurrency_and_is_waited_for(build: Build) -> None:
    with serving(first(error(200, 429, Retry_After="0.4"))) as server:
        started = time.monotonic()
        assert build(server.url).pairs == 1
    assert time.monotonic() - started >= 0.4


def test_endings_that_nobody_knows_stop_the_run_and_are_asked_again(build: Build) -> None:
    with serving(lambda request: completion("So", "of_tomorrow")) as server:
        with pytest.raises(RemoteError, match=r"3 rows in a row.*finish_reason of_tomorrow"):
            build(server.url, rows=9, concurrency=1)
        server.script = revise
        assert build(server.url, rows=9).pairs == 9


def test_tokens_of_all_tries_are_counted(build: Build) -> None:
    with serving(first(completion("So", "abort"), completion("So", "abort"))) as server:
        result = build(server.url)
    assert result.tokens == {"prompt": 3 * 7, "completion": 3 * 5}


def test_a_dead_server_trips_the_breaker_and_the_run_resumes(build: Build) -> None:
    with serving(always(error(503))) as server:
        with pytest.raises(RemoteError, match=r"3 rows in a row failed.*HTTP 503"):
            build(server.url, rows=9, concurrency=1)
        assert len(server.requests) == 3 * 4
        server.script = revise
        assert build(server.url, rows=9).pairs == 9


def test_an_absent_server_is_named(build: Build) -> None:
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1"):
        build("http://127.0.0.1:9/v1", rows=4)


def test_a_giant_body_is_cut(build: Build) -> None:
    giant = Response(body=b"x" * 1_000_000, repeat=200)
    with serving(first(giant)) as server:
        result = build(server.url, rows=2, concurrency=1)
    assert (result.pairs, result.counts) == (1, {"too_large": 1})


@pytest.mark.parametrize(
    ("response", "reason", "detail"),
    [
        (as_json({"error": {"message": "overloaded"}}), "request_failed", "overloaded (4 tries)"),
        (completion("[[revision", "abort"), "unfinished", "finish_reason abort (4 tries)"),
        (completion("[[revision", "SAFETY"), "content_filter", "SAFETY"),
        (completion("[[revision", "tool_calls"), "tool_call", ""),
        (completion("[[revision", tool_calls=[{"id": "1"}]), "tool_call", ""),
        (as_json({"choices": []}), "bad_response", "no choices"),
        (as_json({"choices": [{}]}), "bad_response", "no choices"),
        (as_json({"choices": "no"}), "bad_response", "no choices"),
        (as_json([1]), "bad_response", "not a JSON object"),
        (completion(None), "empty_reply", ""),
        (completion(""), "empty_reply", ""),
        (completion(None, tool_calls=[{"id": "1"}]), "tool_call", ""),
        (completion("So far", "length"), "truncated", ""),
        (completion("So far", "MAX_TOKENS"), "truncated", ""),
        (completion("[[revision:x]]", "content_filter"), "content_filter", ""),
        (completion(None, refusal="I won't"), "refusal", "I won't"),
        (completion("I'm sorry, but I can't help with that."), "refusal", ""),
        (completion("\ud800"), "bad_unicode", "U+D800"),
        (
            Response(body=b"<html>", headers={"Content-Type": "text/html"}),
            "content_type",
            "text/html",
        ),
        (Response(body=b"x", headers={"Content-Encoding": "gzip"}), "content_type", "gzip"),
    ],
)
def test_a_reply_without_revision_has_a_reason(
    build: Build, response: Response, reason: str, detail: str
) -> None:
    with serving(always(response)) as server:
        result = build(server.url)
    assert (result.pairs, result.counts) == (0, {reason: 1})
    row = quarantined(result)[0]
    assert detail in row["detail"]
    assert "None" not in json.dumps(row)


def test_content_in_parts_is_joined(build: Build) -> None:
    def parts(request: Request) -> Response:
        good = json.loads(revise(request).body)
        text = good["choices"][0]["message"]["content"]
        pieces = [{"type": "text", "text": text[:20]}, {"type": "text", "text": text[20:]}]
        good["choices"][0]["message"]["content"] = pieces
        return as_json(good)

    with serving(parts) as server:
        assert build(server.url).pairs == 1


def test_credentials_stay_with_the_first_host(build: Build) -> None:
    with serving(revise) as other:
        there = Response(status=307, headers={"Location": f"{other.url}/chat/completions"})
        with serving(always(there)) as server, pytest.raises(RemoteError, match="redirects"):
            build(server.url)
        assert not other.requests
    assert server.requests[0].headers["authorization"] == "Bearer planted-secret-4711"


@pytest.mark.parametrize("there", ["http://[::1", "//", "\xff", ""])
def test_an_odd_redirect_is_one_too(build: Build, there: str) -> None:
    odd = Response(status=301, headers={"Location": there})
    with serving(always(odd)) as server, pytest.raises(RemoteError, match="redirects"):
        build(server.url)


def test_counts_that_no_model_has_are_none(build: Build) -> None:
    def script(request: Request) -> Response:
        body = json.loads(revise(request).body)
        body["usage"] = {"prompt_tokens": 2**52, "completion_tokens": 2**31 - 1}
        return as_json(body)

    with serving(script) as server:
        result = build(server.url, rows=3)
    assert result.tokens == {"prompt": 0, "completion": 3 * (2**31 - 1)}


def test_no_key_no_header(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving(revise) as server:
        assert build(server.url).pairs == 1
    assert "authorization" not in server.requests[0].headers


def test_the_key_reaches_no_file_and_no_message(build: Build, tmp_path: Path) -> None:
    echo = error(400, message="bad header Bearer planted-secret-4711 and sk-planted-secret-4711")
    script = first(echo, error(401, message="planted-secret-4711"))
    with serving(script) as server, pytest.raises(ClairError) as info:
        build(server.url, rows=3, concurrency=1)
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"bad header" in written
    assert b"planted-secret" not in written
    assert "planted-secret" not in str(info.value)


def test_the_request_holds_the_sampling(build: Build) -> None:
    with serving(revise) as server:
        build(server.url)
    body = server.requests[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt", 0.0, 4096)
    assert 0 <= body["seed"] < 2**31
    assert server.requests[0].path == "/v1/chat/completions"
