"""The three methods through the engine: files, resumption, what is paid for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, Request, Response, completion, serving

from clairkit.errors import DataError
from clairkit.generation import BuildResult, BuildSettings, ModelOptions, build_pairs
from clairkit.records import PromptRow, read_pairs

SIDES = re.compile(
    r"\[\[answer-a:(?P<nonce>[0-9a-f]{8})\]\]\n(?P<a>.*)\n\[\[answer-a-end:.*"
    r"\[\[answer-b:(?P=nonce)\]\]\n(?P<b>.*)\n\[\[answer-b-end:",
    re.DOTALL,
)
METHODS = {
    "judge-on-policy": ("judge_on_policy", {"target": "openai:target", "judge": "openai:judge"}),
    "judge-off-policy": ("judge_off_policy", {"judge": "openai:judge"}),
    "stronger-preferred": (
        "stronger_preferred",
        {"target": "openai:target", "reviser": "openai:strong"},
    ),
}


def script(request: Request) -> Response:
    """Answers of a length that model, prompt and seed decide; the judge prefers longer ones."""
    content = request.body["messages"][-1]["content"]
    sides = SIDES.search(content)
    if sides is None:
        told = (request.body["model"], content, request.body["seed"])
        return completion(f"{told[0]} says " + "so " * (sum(map(ord, repr(told))) % 17 + 1))
    lead = len(sides["a"]) - len(sides["b"])
    return completion(f"[[{'A' if lead > 0 else 'B' if lead else 'tie'}:{sides['nonce']}]]")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(script) as made:
        yield made


def build(server: FakeServer, method: str, rows: list[PromptRow], output: Path) -> BuildResult:
    settings = BuildSettings(
        method=method,
        samples=3,
        candidates=("openai:one", "openai:two"),
        models=ModelOptions(base_url=server.url),
    )
    _, models = METHODS[method]
    given: dict[str, Any] = dict(models)
    return build_pairs(rows, output=output, settings=settings, **given)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_and_the_same_again(
    method: str,
    server: FakeServer,
    tmp_path: Path,
    make_rows: Callable[..., list[PromptRow]],
) -> None:
    rows, output = make_rows(12, answers=False), tmp_path / "pairs.jsonl"
    result = build(server, method, rows, output)
    assert result.unfinished == 0
    assert result.pairs + sum(result.counts.values()) == 12
    assert set(result.counts) <= {"judge_tie", "same_answers"}
    pairs = list(read_pairs(output))
    assert len(pairs) == result.pairs >= 8
    for pair in pairs:
        assert pair.source == METHODS[method][0]
        if method != "stronger-preferred":
            assert len(pair.chosen[0]["content"]) > len(pair.rejected[0]["content"])
    first, asked = output.read_bytes(), len(server.requests)
    build(server, method, rows, output)
    assert output.read_bytes() == first
    assert len(server.requests) == asked


def test_on_policy_samples_differ_and_come_from_the_target(
    server: FakeServer, tmp_path: Path, make_rows: Callable[..., list[PromptRow]]
) -> None:
    build(server, "judge-on-policy", make_rows(4, answers=False), tmp_path / "pairs.jsonl")
    asked = [each.body for each in server.requests if each.body["model"] == "target"]
    assert len(asked) == 12
    assert len({(each["messages"][0]["content"], each["seed"]) for each in asked}) == 12
    for pair in read_pairs(tmp_path / "pairs.jsonl"):
        assert pair.chosen[0]["content"].startswith("target says")
        assert pair.rejected[0]["content"].startswith("target says")


def test_off_policy_needs_neither_target_nor_answers(
    server: FakeServer, tmp_path: Path, make_rows: Callable[..., list[PromptRow]]
) -> None:
    build(server, "judge-off-policy", make_rows(4, answers=False), tmp_path / "pairs.jsonl")
    assert {each.body["model"] for each in server.requests} == {"one", "two", "judge"}


def test_off_policy_looks_at_all_columns_before_it_pays(
    server: FakeServer, tmp_path: Path, make_rows: Callable[..., list[PromptRow]]
) -> None:
    rows = [replace(row, extra={"one": "a", "two": "b"}) for row in make_rows(9)]
    rows[7] = replace(rows[7], extra={"one": "a"})
    settings = BuildSettings(
        method="judge-off-policy",
        candidates=("one", "two", "openai:m"),
        models=ModelOptions(base_url=server.url),
    )
    with pytest.raises(DataError, match="no column of answers of that name: received 'two'"):
        build_pairs(rows, judge="openai:j", output=tmp_path / "pairs.jsonl", settings=settings)
    assert server.requests == []
    assert not list(tmp_path.iterdir())


def test_stronger_preferred_asks_the_stronger_model_the_prompt_itself(
    server: FakeServer, tmp_path: Path, make_rows: Callable[..., list[PromptRow]]
) -> None:
    rows = make_rows(3)  # with answers
    build(server, "stronger-preferred", rows, tmp_path / "pairs.jsonl")
    assert [each.body["model"] for each in server.requests] == ["strong"] * 3
    contents = {each.body["messages"][0]["content"] for each in server.requests}
    assert contents == {f"question {number}" for number in range(3)}
    rejected = {pair.rejected[0]["content"] for pair in read_pairs(tmp_path / "pairs.jsonl")}
    assert rejected == {f"answer {number}." for number in range(3)}
