"""Specs, functions as models, local models in the engine, and when to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import RemoteError, UsageError
from clairkit.generation import BuildSettings, ModelOptions, Sampling, build_pairs
from clairkit.generation.endpoint import find_endpoint
from clairkit.generation.hf_model import HfModel
from clairkit.generation.retry import RetryPolicy, next_wait, retry_after
from clairkit.generation.specs import make_model
from clairkit.records import PromptRow, read_pairs

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
        ("python:reviser_functions:not_callable", "no function"),
    ],
)
def test_a_wrong_spec_is_explained(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_model(spec, ModelOptions(base_url="http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"batch_size": 0}, {"timeout": 0}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ModelOptions(**wrong)


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "127.0.0.1:8000", "http://", "http://[x", "http://h:port/v1"]
)
def test_a_base_url_must_be_one(url: str) -> None:
    with pytest.raises(UsageError, match="no http or https address"):
        find_endpoint(url)


@pytest.mark.parametrize(
    "url",
    ["https://me:hunter22@host/v1", "https://host/v1?api_key=hunter22", "https://host/#hunter22"],
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


NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("2", 2), ("0", 0), ("1.5", 1.5), ("3600", 3600), ("inf", None),
        ("nan", None), ("-10", None), ("1e999", None), ("garbage", None), ("", None),
        ("Wed, 01 Jan 2025 00:00:30 GMT", 30), ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("Wed, 99 Jan 2025 00:00:30 GMT", None),
    ],
)  # fmt: skip
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
        make_rows(2, answers=False), target="python:reviser_functions:answer",
        reviser="python:reviser_functions:shout", output=tmp_path / "pairs.jsonl",
    )  # fmt: skip
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
        ("leaving", "function_error", "SystemExit: 3"),
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


def test_async_functions_run_side_by_side(make_rows: Rows, tmp_path: Path) -> None:
    started = time.monotonic()
    result = build_pairs(
        make_rows(8), reviser="python:reviser_functions:slow", output=tmp_path / "pairs.jsonl"
    )
    assert result.pairs == 8
    assert time.monotonic() - started < 8 * 0.2 / 2


def test_a_local_model_answers_the_same_after_a_stop(
    make_rows: Rows, model_folder: Path, tmp_path: Path
) -> None:
    def run(name: str, max_calls: int | None = None) -> Any:
        settings = BuildSettings(
            answer_sampling=Sampling(max_new_tokens=400),
            models=ModelOptions(batch_size=4), max_calls=max_calls,
        )  # fmt: skip
        return build_pairs(
            make_rows(10, answers=False), target=f"hf:{model_folder}",
            reviser="python:reviser_functions:shout", output=tmp_path / name, settings=settings,
        )  # fmt: skip

    whole = run("whole.jsonl")
    stopped = run("parts.jsonl", max_calls=9)  # two batches of four; the third would be too much
    assert (stopped.calls, stopped.over_budget) == (8, True)
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
