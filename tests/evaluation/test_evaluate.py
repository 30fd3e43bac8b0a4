"""The station with a model of a few lines: what is asked, counted and compared."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import DataError, RemoteError, UsageError
from clairkit.evaluation import compare, evaluate, sentence, wilson
from clairkit.evaluation.answering import row_key
from clairkit.models.sampling import Reply, Sampling
from clairkit.models.specs import ModelOptions
from clairkit.records import PromptRow

SAMPLING = Sampling(temperature=0.7, seed=3)


class Adder:
    """Adds, but not beyond a limit; remembers what it was asked."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked: list[str] = []

    def generate(
        self, prompts: Sequence[Sequence[Any]], keys: Sequence[str], sampling: Sampling
    ) -> list[Reply]:
        assert sampling is SAMPLING
        self.asked += keys
        return [self._reply(prompt[-1]["content"]) for prompt in prompts]

    def _reply(self, text: str) -> Reply:
        total = sum(map(int, text.split("+")))
        right = total <= self.limit
        return Reply(str(total) if right else "many", "stop" if right else "length")


def prompts(count: int) -> list[PromptRow]:
    return [
        PromptRow(({"role": "user", "content": f"{n}+{n}"},), id=f"{n:04d}", extra={"sum": 2 * n})
        for n in range(count)
    ]


def exact(_prompt: Any, answer: str, row: Any) -> bool:
    return answer == str(row["sum"])


def test_right_answers_are_counted_with_their_interval() -> None:
    found = evaluate(Adder(99), prompts(100), exact, SAMPLING)
    assert (found.successes, found.n, found.share) == (50, 100, 0.5)
    assert found.interval == wilson(50, 100)
    assert (found.cut, found.mean_score) == (50, 0.5)
    assert [row.right for row in found.rows] == [True] * 50 + [False] * 50


def test_order_makes_no_difference() -> None:
    rows = prompts(150)
    first = Adder(99)
    expected = evaluate(first, rows, exact, SAMPLING)
    random.Random(1).shuffle(rows)
    second = Adder(99)
    assert evaluate(second, rows, exact, SAMPLING) == expected
    assert first.asked == second.asked
    assert len(set(first.asked)) == 150


def test_a_score_is_right_from_the_pass_mark_on() -> None:
    def half(_prompt: Any, answer: str, _row: Any) -> float:
        return 0.5 if answer == "many" else 1.0

    assert evaluate(Adder(99), prompts(100), half, SAMPLING).successes == 50
    lenient = evaluate(Adder(99), prompts(100), half, SAMPLING, pass_at=0.5)
    assert (lenient.successes, lenient.mean_score) == (100, 0.75)
    with pytest.raises(UsageError, match="pass mark"):
        evaluate(Adder(99), prompts(1), half, SAMPLING, pass_at=0)


def test_two_models_are_compared_prompt_by_prompt() -> None:
    before = evaluate(Adder(79), prompts(100), exact, SAMPLING)
    after = evaluate(Adder(119), prompts(100), exact, SAMPLING)
    change = compare(before, after)
    assert (change.estimate, change.gained, change.lost) == (0.2, 20, 0)
    assert change.verdict == "better"
    text = sentence(after, change)
    assert "60 of 100 answers are right: 60.0 %" in text
    assert "20 became right and 0 became wrong: +20.0 points" in text
    assert "gain beyond chance" in text
    assert "do not tell the two models apart" in sentence(after, compare(after, after))
    assert "loss beyond chance" in sentence(before, compare(after, before))
    assert "baseline" not in sentence(after)


def test_other_prompts_are_not_compared() -> None:
    few, many = (evaluate(Adder(9), prompts(n), exact, SAMPLING) for n in (3, 4))
    with pytest.raises(UsageError, match="same prompts"):
        compare(few, many)


def test_an_answer_row_is_a_prompt_row() -> None:
    asked = PromptRow(({"role": "user", "content": "1+1"},), answer="3", id="a", extra={"sum": 2})
    (row,) = evaluate(Adder(9), [asked], exact, SAMPLING).rows
    assert row.to_json() == {
        "id": "a",
        "prompt": [{"role": "user", "content": "1+1"}],
        "answer": "2",
        "given_answer": "3",
        "sum": 2,
        "finish_reason": "stop",
        "score": 1.0,
        "right": True,
    }


def test_progress_is_told() -> None:
    told: list[str] = []
    evaluate(Adder(9), prompts(100), exact, SAMPLING, say=told.append)
    assert told == ["64 of 100 prompts answered", "100 of 100 prompts answered"]


def test_no_prompt_is_an_error() -> None:
    with pytest.raises(DataError, match="no prompt"):
        evaluate(Adder(9), [], exact, SAMPLING)


FUNCTIONS = """
async def answer(request):
    if request.row["sum"] > 10:
        raise ValueError("too much for me")
    assert set(request.row) == {"id", "sum"}
    return str(request.row["sum"])
"""


def test_a_spec_is_asked_and_failures_count_as_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target_5c.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    found = evaluate("python:target_5c:answer", prompts(100), exact, SAMPLING)
    assert (found.successes, found.n) == (6, 100)
    assert found.failures == {"function_error": 94}
    assert [row.failed for row in found.rows] == [False] * 6 + [True] * 94
    assert found.rows[-1].answer == ""


def test_an_error_of_the_whole_run_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        batch_size, concurrency, closed = 1, 4, 0
        name, identity, is_function = "openai:m", {"kind": "down"}, False

        async def complete(self, *_: Any) -> None:
            raise RemoteError("the server is down")

        async def close(self) -> None:
            self.closed += 1

    model = Down()
    monkeypatch.setattr("clairkit.evaluation.answering.make_model", lambda *_: model)
    with pytest.raises(RemoteError, match="is down"):
        evaluate("openai:m", prompts(9), exact, SAMPLING)
    assert model.closed == 1


class Handler(BaseHTTPRequestHandler):
    """Answers as a server of OpenAI's kind does: with the sum that was asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        total = sum(map(int, body["messages"][-1]["content"].split("+")))
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": str(total)},
        }
        text = json.dumps({"choices": [choice], "usage": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


def test_a_server_is_asked_in_several_rounds(server: str) -> None:
    options = ModelOptions(base_url=server, concurrency=4)
    found = evaluate("openai:m", prompts(150), exact, SAMPLING, options=options)
    assert (found.successes, found.n, found.failures) == (150, 150, {})


def test_randomness_comes_from_id_and_seed_alone() -> None:
    one, other = prompts(2)
    moved = PromptRow(other.prompt, id=one.id)
    assert row_key(one, SAMPLING) == row_key(moved, Sampling(seed=3, max_new_tokens=9))
    assert row_key(one, SAMPLING) != row_key(other, SAMPLING)
    assert row_key(one, SAMPLING) != row_key(one, Sampling(seed=4))
    assert int(row_key(one, SAMPLING), 16)


@pytest.mark.parametrize("spec", ["gpt", "hf:", "python:json:no_such", ""])
def test_other_specs_are_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        evaluate(spec, prompts(1), exact, SAMPLING)
