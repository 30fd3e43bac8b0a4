"""Fixtures for tests that ask models: a planted key, prompt rows, quick builds of pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clairkit.generation import BuildResult, build_pairs
from clairkit.models.server.model import OpenAIModel
from clairkit.models.server.retry import RetryPolicy
from clairkit.records import Message, PromptRow

QUICK = RetryPolicy(tries=4, base=0.001, cap=0.002, consecutive=3)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret-4711")


@pytest.fixture
def make_rows() -> Callable[..., list[PromptRow]]:
    """Rows `question n` with the answer `answer n.`, or without answers."""

    def make(count: int, *, answers: bool = True) -> list[PromptRow]:
        return [
            PromptRow(
                (Message(role="user", content=f"question {n}"),),
                f"answer {n}." if answers else None,
                id=f"row-{n}",
            )
            for n in range(count)
        ]

    return make


@pytest.fixture
def build(tmp_path: Path, make_rows: Callable[..., list[PromptRow]]) -> Callable[..., BuildResult]:
    """Build pairs from `rows` rows against a server's URL, with quick retries."""

    def run(url: str, rows: int | list[PromptRow] = 1, **options: Any) -> BuildResult:
        policy = options.pop("policy", QUICK)
        concurrency = options.pop("concurrency", 2)
        timeout = options.pop("timeout", 5.0)
        reviser = OpenAIModel(
            "gpt", base_url=url, concurrency=concurrency, timeout=timeout, policy=policy
        )
        return build_pairs(
            make_rows(rows) if isinstance(rows, int) else rows,
            reviser=reviser,
            output=options.pop("output", tmp_path / "pairs.jsonl"),
            **options,
        )

    return run
