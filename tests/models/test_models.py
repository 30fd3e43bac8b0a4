"""Specs, functions as models, local models in the engine, and when to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_server import revise, serving

from clairkit.errors import RemoteError, UsageError
from clairkit.generation import BuildSettings, ModelOptions, Sampling, build_pairs
from clairkit.generation.engine import make_models
from clairkit.models.hf import HfModel
from clairkit.models.requests import Budget
from clairkit.models.server.endpoint import find_endpoint
from clairkit.models.server.retry import Allowance, RateLimit, RetryPolicy, next_wait, retry_after
from clairkit.models.specs import make_model
from clairkit.records import PromptRow, read_pairs
from clairkit.user_code import UserCodeEnded

Rows = Callable[..., list[PromptRow]]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpt-4", "Write hf:ID_OR_PATH"),
        ("opanai:gpt-4", "Did you mean openai:gpt-4"),
        ("hf:", "no name"),
        ("openai:", "no name"),
        ("python:", "name of a function"),
        ("python:json", "name of a function"),
        ("python:no_such_module:f", "ModuleNotFoundError"),
        ("python:json:no_such", "AttributeError"),
        ("python:reviser_functions:not_callable", "not a function"),
    ],
)
def test_a_wrong_spec_is_explained(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_model(spec, ModelOptions(base_url="http://127.0.0.1:1/v1"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"batch_size": 0},
        {"timeout": 0},
        {"requests_per_minute": 0},
        {"tokens_per_minute": -1.0},
    ],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ModelOptions(**wrong)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/v1",
        "127.0.0.1:8000",
        "http://",
        "http://[x",
        "http://h:port/v1",
        "http://h/a b",
        "http://\u00fc/",
        "http://a..b/v1",
        f"http://{'x' * 64}/v1",
        "http://h:0/v1",
        "http://h/\x7f",
    ],
)
def test_a_base_url_must_be_one(url: str) -> None:
    with pytest.raises(UsageError, match="not an http or https address"):
        find_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter22@host/v1",
        "http://@host/hunter22",
        "https://host/v1?api_key=hunter22",
        "https://host/#hunter22",
    ],
)
def test_a_base_url_holds_no_secret_and_shows_none(url: str) -> None:
    with pytest.raises(UsageError, match="no credentials") as info:
        find_endpoint(url)
    assert "hunter22" not in str(info.value)


def test_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1/")
    assert find_endpoint().base_url == "http://localhost:8000/v1"
    assert find_endpoint("http://other/v1").host == "other"
    assert "planted-secret" not in repr(find_endpoint())
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(RemoteError, match="OPENAI_API_KEY is not set"):
        find_endpoint()
    monkeypatch.setenv("OPENAI_API_KEY", "secret\u00e9")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as info:
        find_endpoint()
    assert "secret" not in str(info.value)


def test_each_role_may_have_its_own_key_and_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVISER_API_KEY", "planted-reviser-key")
    options = ModelOptions(base_url="http://common/v1", judge_base_url="http://judge/v1")
    found = {
        role: find_endpoint(options.base_url_of(role), role)
        for role in ("target", "reviser", "judge")
    }
    assert {role: each.base_url for role, each in found.items()} == {
        "target": "http://common/v1",
        "reviser": "http://common/v1",
        "judge": "http://judge/v1",
    }
    assert found["reviser"].key == "planted-reviser-key"
    assert found["target"].key == found["judge"].key == "planted-secret-4711"
    assert found["reviser"].key_variable == "REVISER_API_KEY"
    assert found["judge"].key_variable == "OPENAI_API_KEY"


def test_one_spec_on_one_server_is_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def models(**options: str) -> list[Any]:
        settings = BuildSettings(models=ModelOptions(base_url="http://a/v1", **options))
        made = make_models(settings, target="openai:m", reviser="openai:m")
        return [made["target"], made["reviser"]]

    target, reviser = models()
    assert target is reviser
    target, reviser = models(reviser_base_url="http://b/v1")
    assert target is not reviser
    monkeypatch.setenv("TARGET_API_KEY", "another-key")
    target, reviser = models()
    assert target is not reviser


def test_a_pace_spreads_what_it_allows() -> None:
    pace = RateLimit(60)  # one a second
    assert pace.wait(100.0) == 0
    pace.use(2, 100.0)
    assert (pace.wait(100.0), pace.wait(101.5), pace.wait(110.0)) == (2, 0.5, 0)
    pace.use(1, 110.0)  # what was not used is not saved up
    assert pace.wait(110.0) == 1
    pace.correct(4)
    assert pace.wait(110.0) == 5
    pace.correct(-3)
    assert pace.wait(110.0) == 2


def test_what_a_request_took_counts_instead_of_what_it_claimed() -> None:
    async def waits() -> list[float]:
        allowance, budget = Allowance(tokens_per_minute=60), Budget()
        assert await allowance.claim(40, 100, budget) == 40 / 4 + 100
        before = allowance.seconds_left()
        allowance.settle(110, 6, 4)
        after = allowance.seconds_left()
        budget.halt()
        assert await allowance.claim(40, 100, budget) is None
        return [before, after]

    assert asyncio.run(waits()) == pytest.approx([110, 10], abs=1)


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        ({"requests_per_minute": 1200.0}, 9 * 0.05),
        # The first claims its most (4096); each other one about its size in bytes / 4 and a reply.
        ({"tokens_per_minute": 300_000.0}, 0.7),
    ],
)
def test_requests_keep_to_the_pace(
    make_rows: Rows, tmp_path: Path, pace: dict[str, float], seconds: float
) -> None:
    with serving(revise) as server:
        options = ModelOptions(base_url=server.url, concurrency=10, **pace)
        started = time.monotonic()
        result = build_pairs(
            make_rows(10),
            reviser="openai:gpt",
            output=tmp_path / "pairs.jsonl",
            settings=BuildSettings(models=options),
        )
        assert seconds <= time.monotonic() - started
        assert result.pairs == 10


NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("2", 2),
        ("0", 0),
        ("1.5", 1.5),
        ("3600", 3600),
        ("inf", None),
        ("nan", None),
        ("-10", None),
        ("1e999", None),
        ("garbage", None),
        ("", None),
        ("Wed, 01 Jan 2025 00:00:30 GMT", 30),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("Wed, 99 Jan 2025 00:00:30 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_waits_grow_and_stay_in_bounds() -> None:
    policy = RetryPolicy(base=0.5, cap=30)
    waits = [0.5]
    for _ in range(200):
        waits.append(next_wait(policy, waits[-1]))
        assert 0.5 <= waits[-1] <= min(30, max(0.5, 3 * waits[-2]))
    assert max(waits) > 5
    assert len(set(waits)) > 100


def test_a_function_answers_and_a_function_revises(make_rows: Rows, tmp_path: Path) -> None:
    result = build_pairs(
        make_rows(2, answers=False),
        target="python:reviser_functions:answer",
        reviser="python:reviser_functions:shout",
        output=tmp_path / "pairs.jsonl",
    )
    pair = next(iter(read_pairs(result.path)))
    assert pair.rejected[0]["content"] == "you said question 0"
    assert pair.chosen[0]["content"] == "YOU SAID QUESTION 0"
    assert pair.provenance["target"]["function"] == "reviser_functions:answer"


def test_a_function_sees_the_row_and_may_explain(make_rows: Rows, tmp_path: Path) -> None:
    (plain,) = make_rows(1)
    row = PromptRow(plain.prompt, plain.answer, plain.id, {"colour": "red"})
    output = tmp_path / "pairs.jsonl"
    build_pairs([row], reviser="python:reviser_functions:explain", output=output)
    (pair,) = read_pairs(output)
    assert pair.rationale == "row row-0, colour red"
    assert pair.extra == {"colour": "red"}


@pytest.mark.parametrize(
    ("function", "reason", "detail"),
    [
        ("nothing", "no_op", "returned None"),
        ("number", "function_error", "returned int"),
        ("broken", "function_error", r"KeyError: 'no\\x1b[31m such \\ud800'"),
        ("cancelled", "function_error", "CancelledError: the function cancelled it"),
        ("surrogate", "bad_unicode", "U+DCFF"),
    ],
)
def test_what_a_function_may_do(
    make_rows: Rows, tmp_path: Path, function: str, reason: str, detail: str
) -> None:
    spec = f"python:reviser_functions:{function}"
    result = build_pairs(make_rows(2), reviser=spec, output=tmp_path / "pairs.jsonl")
    assert (result.pairs, result.counts) == (0, {reason: 2})
    assert result.quarantine is not None
    assert detail in result.quarantine.read_text(encoding="utf-8").replace("\\\\", "\\\\")


@pytest.mark.parametrize("function", ["leaving", "leaving_later"])
def test_a_function_that_would_end_the_program_ends_the_run(
    make_rows: Rows, tmp_path: Path, function: str
) -> None:
    spec = f"python:reviser_functions:{function}"
    with pytest.raises(UserCodeEnded, match=rf"{function}` tried to end .*SystemExit: 3"):
        build_pairs(make_rows(2), reviser=spec, output=tmp_path / "pairs.jsonl")


def test_async_functions_run_side_by_side(make_rows: Rows, tmp_path: Path) -> None:
    result = build_pairs(
        make_rows(8), reviser="python:reviser_functions:together", output=tmp_path / "pairs.jsonl"
    )
    assert result.pairs == 8


@pytest.mark.slow
def test_a_local_model_answers_the_same_after_a_stop(
    make_rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    def run(name: str, max_calls: int | None = None) -> Any:
        settings = BuildSettings(
            answer_sampling=Sampling(max_new_tokens=400),
            models=ModelOptions(batch_size=4),
            max_calls=max_calls,
        )
        return build_pairs(
            make_rows(10, answers=False),
            target=f"hf:{model_folder}",
            reviser="python:reviser_functions:shout",
            output=tmp_path / name,
            settings=settings,
        )

    whole = run("whole.jsonl")
    stopped = run("parts.jsonl", max_calls=9)  # two batches of four; the third would be too much
    assert stopped.calls in (8, 9)  # a revision may have come between
    assert stopped.over_budget
    resumed = run("parts.jsonl")
    assert 0 < whole.pairs < 10
    assert whole.quarantine.read_bytes() == resumed.quarantine.read_bytes()
    assert whole.path.read_bytes() == resumed.path.read_bytes()
    assert (whole.calls, whole.counts) == (resumed.calls, resumed.counts)


def test_a_model_folder_is_the_same_model_elsewhere(model_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    assert HfModel(str(copy)).identity == HfModel(str(model_folder)).identity
    (copy / "chat_template.jinja").write_text("other")
    assert HfModel(str(copy)).identity != HfModel(str(model_folder)).identity
