"""No row ever gets another row's answer, whatever a server's line does to responses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import echo_server as echo_script
import pytest
from echo_server import FAULTS, say

from clairkit.cli.main import run
from clairkit.models.budget import Budget
from clairkit.models.sampling import Reply
from clairkit.models.server.client import ChatClient
from clairkit.models.server.endpoint import Endpoint
from clairkit.models.server.retry import RetryPolicy

ROWS = 50
QUICK = RetryPolicy(tries=12, base=0.001, cap=0.005, consecutive=50)
IN_TIME = ",".join(kind for kind in FAULTS if kind not in ("too late", "no gzip"))


@contextmanager
def echo_server(*arguments: str) -> Iterator[str]:
    """Serve in a process of its own; the base URL."""
    script = str(Path(echo_script.__file__))
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # asyncio remarks on clients that are gone
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def ask(url: str, requests: int, policy: RetryPolicy) -> Counter[str]:
    """Ask so many different questions; how many got the right answer, a wrong one, or none."""
    client = ChatClient(Endpoint(url), concurrency=64, timeout=0.4, policy=policy)
    budget, counts = Budget(), Counter[str]()
    numbers = iter(range(requests))

    async def work() -> None:
        for number in numbers:
            turn = {"role": "user", "content": f"question {number:06d}"}
            body = {"model": "m", "seed": number, "messages": [turn]}
            outcome = await client.post(body, budget)
            if not isinstance(outcome, Reply):
                counts[f"none: {outcome.reason}"] += 1
            else:
                counts["right" if outcome.text == say(body) else "wrong"] += 1

    try:
        await asyncio.gather(*(work() for _ in range(64)))
    finally:
        await client.close()
    return counts


def check(kinds: str, tries: int, requests: int) -> None:
    with echo_server("0.6", kinds) as url:
        policy = RetryPolicy(tries, base=0.001, cap=0.005, consecutive=requests)
        counts = asyncio.run(ask(url, requests, policy))
    assert counts["wrong"] == 0, counts
    assert counts["right"] > requests * (0.4 if tries == 1 else 0.95), counts


# A late copy is what kept connections failed at: 40 of 3,000 requests got another one's answer.
@pytest.mark.parametrize(
    ("kinds", "tries"), [(",".join(FAULTS), 1), (",".join(FAULTS), 12), ("late copy", 12)]
)
def test_a_request_gets_its_own_answer_or_none(kinds: str, tries: int) -> None:
    check(kinds, tries, 500)


@pytest.mark.long
@pytest.mark.parametrize("tries", [1, 12])
def test_no_request_of_many_gets_another_ones_answer(tries: int) -> None:
    check(",".join(FAULTS), tries, 20_000)


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("clairkit.models.server.model.RetryPolicy", lambda: QUICK)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "prompts.jsonl"
    rows = [{"id": f"r{n}", "prompt": f"question {n:05d}"} for n in range(ROWS)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def pairs_of(file: Path) -> Iterator[tuple[str, str, str]]:
    """The prompt, the chosen and the rejected text of each pair."""
    for line in file.read_text().splitlines():
        pair: dict[str, Any] = json.loads(line)
        prompt = pair["prompt"]
        yield tuple(
            side if isinstance(side, str) else side[-1]["content"]
            for side in (prompt, pair["chosen"], pair["rejected"])
        )  # type: ignore[misc]


def test_build_pairs_gives_each_row_its_own_answer(prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    with echo_server("0.6", IN_TIME) as url:
        assert (
            run(
                [
                    "build-pairs",
                    str(prompts),
                    "-o",
                    str(output),
                    "--target",
                    "openai:t",
                    "--reviser",
                    "openai:r",
                    "--base-url",
                    url,
                    "--concurrency",
                    "32",
                    "--gate",
                    "truncated=keep",
                    "--quiet",
                ]
            )
            == 0
        )
    pairs = list(pairs_of(output))
    assert len(pairs) == ROWS
    assert all(prompt in rejected for prompt, _, rejected in pairs)
    assert all(chosen == f"{rejected} Indeed, it is." for _, chosen, rejected in pairs)


def test_a_judge_judges_what_it_was_shown(prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    with echo_server("0.6", IN_TIME) as url:
        assert (
            run(
                [
                    "build-pairs",
                    str(prompts),
                    "-o",
                    str(output),
                    "--method",
                    "judge-on-policy",
                    "--target",
                    "openai:t",
                    "--judge",
                    "openai:j",
                    "--base-url",
                    url,
                    "--concurrency",
                    "32",
                    "--quiet",
                ]
            )
            == 0
        )
    pairs = list(pairs_of(output))
    assert len(pairs) == ROWS
    assert all(prompt in chosen and prompt in rejected for prompt, chosen, rejected in pairs)
    assert all(chosen > rejected for _, chosen, rejected in pairs)


def test_evaluate_checks_each_rows_own_answer(
    prompts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "own_check.py").write_text(
        "def holds(prompt, answer, row):\n    return prompt[-1]['content'] in answer\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with echo_server("0.6", IN_TIME) as url:
        assert (
            run(
                [
                    "evaluate",
                    str(prompts),
                    "--model",
                    "openai:t",
                    "--base-url",
                    url,
                    "--check",
                    "python:own_check:holds",
                    "--concurrency",
                    "32",
                    "--json",
                    "--quiet",
                ]
            )
            == 0
        )
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["successes"] == found["model"]["n"] == ROWS, found
