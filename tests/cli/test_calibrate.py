"""`clairkit calibrate`: from labels to a choice, or to the word that there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, Request, Response, completion, error, revise, serving

from clairkit.cli.main import run
from clairkit.journal.results import Journal

RIGHT, LONG = "Only whether the sum is right.", "Only whether it is longer."
SIDES = re.compile(
    r"\[\[answer-a:(?P<nonce>[0-9a-f]{8})\]\]\n(?P<a>.*)\n\[\[answer-a-end:.*"
    r"\[\[answer-b:(?P=nonce)\]\]\n(?P<b>.*)\n\[\[answer-b-end:",
    re.DOTALL,
)


def is_right(text: str) -> bool:
    """Whether `2 + 3 = 5` holds; what follows is padding."""
    one, other, total = map(int, re.findall(r"\d+", text)[:3])
    return one + other == total


def judge(request: Request) -> Response:
    """Judges by the rubric that it is told."""
    content = request.body["messages"][0]["content"]
    found = SIDES.search(content)
    assert found is not None
    weigh = is_right if RIGHT in content else len
    assert RIGHT in content or LONG in content
    lead = weigh(found["a"]) - weigh(found["b"])
    name = "A" if lead > 0 else "B" if lead < 0 else "tie"
    return completion(f"My thoughts.\n[[{name}:{found['nonce']}]]")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret-4711")
    with serving(judge) as made:
        yield made


def labelled(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Revisions of wrong sums; those that are right are accepted. Every other one is longer."""
    rows = []
    for number in range(count):
        right = number % 4 < 2
        total = number + 1 if right else number + 2
        padding = ", I am quite sure of that" if number % 2 else ""
        rows.append(
            {
                "prompt": f"{number} + 1 = ?",
                "answer": f"{number} + 1 = {number}, I think",
                "revision": f"{number} + 1 = {total}{padding}",
                "label": "accept" if right else "reject",
                **columns,
            }
        )
    return rows


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("right.txt", RIGHT), ("long.txt", LONG), ("again.txt", f"{RIGHT} Only.")):
        Path(name).write_text(text)
    write(labelled(28))
    return tmp_path


def write(rows: list[dict[str, Any]]) -> None:
    Path("labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def calibrate(server: FakeServer, *arguments: str, rubrics: str = "right.txt long.txt") -> int:
    named = [each for name in rubrics.split() for each in ("--rubric", name)]
    return run(
        [
            "calibrate",
            "labels.jsonl",
            "-o",
            "report.json",
            *named,
            "--judge",
            "openai:gpt",
            "--base-url",
            server.url,
            *arguments,
        ]
    )


def test_the_rubric_that_people_go_by_is_chosen(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(server) == 0
    out = capsys.readouterr().out
    assert "Agreement with 28 labels on 28 prompts" in out
    assert re.search(r"rubric right\.txt +28/28 +100\.0 % +87\.9 % +100\.0 % +0", out)
    assert "Chosen: rubric right.txt" in out
    report = json.loads((place / "report.json").read_text())
    assert report["chosen"] == "rubric right.txt"
    assert [each["name"] for each in report["contenders"]] == [
        "rubric right.txt",
        "rubric long.txt",
    ]
    assert report["choosing"]["agreed"] == 28
    assert len(server.requests) == 28 * 2 * 2


def test_what_was_asked_is_not_asked_again(server: FakeServer, place: Path) -> None:
    assert calibrate(server) == 0
    first = (place / "report.json").read_bytes()
    asked = len(server.requests)
    assert calibrate(server) == 0
    assert len(server.requests) == asked
    assert (place / "report.json").read_bytes() == first
    assert calibrate(server, rubrics="right.txt long.txt again.txt") == 8
    assert len(server.requests) == asked + 28 * 2


def test_rubrics_that_agree_alike_are_not_separable(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(server, "--json", rubrics="right.txt again.txt") == 8
    captured = capsys.readouterr()
    assert json.loads(captured.out)["chosen"] is None
    assert "Not separable: rubric right.txt from rubric again.txt." in captured.err


def test_a_run_that_is_stopped_goes_on(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(server, "--max-calls", "30") == 4
    err = capsys.readouterr().err
    assert "82 calls are still to be made" in err
    assert err.splitlines()[-1].startswith("clairkit calibrate labels.jsonl -o report.json")
    assert len(server.requests) == 30
    assert not (place / "report.json").exists()
    assert calibrate(server) == 0
    assert len(server.requests) == 28 * 2 * 2


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        (labelled(19), 8, "at least 20 labels are needed: received 19"),
        (labelled(28, label="accept"), 8, "all labels say the same"),
        ([*labelled(20), {"prompt": "p", "a": "x", "b": "y", "label": "a"}], 3, "are mixed"),
    ],
)
def test_too_little_to_go_by_costs_no_call(
    server: FakeServer,
    place: Path,
    rows: list[dict[str, Any]],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(rows)
    assert calibrate(server) == code
    assert message in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "openai:gpt"], "nothing is named"),
        (["--rubric", "right.txt"], "no model to try"),
        (["--template", "edits", "--judge", "openai:gpt"], "give --reviser"),
        (["--rubric", "nosuch", "--judge", "openai:gpt"], "no such rubric"),
        (["--rubric", "concise", "--rubric", "concise", "--judge", "openai:gpt"], "own"),
        (["--rubric", "concise", "--judge", "python:json:dumps"], "a function is told"),
    ],
)
def test_arguments(
    server: FakeServer,
    place: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["calibrate", "labels.jsonl", "-o", "report.json", "--base-url", server.url]
    assert run([*common, *arguments]) == 2
    assert message in capsys.readouterr().err.replace("Give", "give")


def test_a_file_of_somebody_else_is_kept(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "report.json").write_text("mine")
    assert calibrate(server) == 2
    assert (place / "report.json").read_text() == "mine"
    assert calibrate(server, "--force") == 0


def test_an_output_of_another_command_is_kept(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(labelled(20))
    with closing(Journal(place / "report.json")) as journal:
        journal.settle({"method": "clair"}, force=True)
    assert calibrate(server) == 2
    assert "belongs to another command" in capsys.readouterr().err
    assert server.requests == []


def test_a_server_that_refuses_ends_the_run(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda request: error(401, "invalid_api_key")
    assert calibrate(server) == 6
    captured = capsys.readouterr()
    assert "OPENAI_API_KEY" in captured.err
    assert "planted-secret-4711" not in captured.err + captured.out
    assert captured.err.splitlines()[-1].startswith("clairkit calibrate labels.jsonl")


def mend_or_repeat(request: Request) -> Response:
    """A reviser that mends wrong sums and leaves right ones, or one that says all twice."""
    if "MEND" not in request.body["messages"][0]["content"]:
        return revise(request, lambda text: f"{text}. I repeat: {text}")
    return revise(request, lambda text: text if is_right(text) else "The sum is another one.")


def calibrate_templates(server: FakeServer) -> int:
    server.script = mend_or_repeat
    form = "{{conversation}}{{answer}}{{reasoning_mark}}{{revision_mark}}{{end_mark}}"
    Path("mend.txt").write_text(f"MEND {form}")
    Path("twice.txt").write_text(f"TWICE {form}")
    arguments = ["--template", "mend.txt", "--template", "twice.txt", "--reviser", "openai:gpt"]
    common = ["calibrate", "labels.jsonl", "-o", "report.json", "--base-url", server.url]
    return run([*common, *arguments])


def compared(count: int) -> list[dict[str, Any]]:
    """A right sum and a wrong one that is longer, in turn as A and as B."""
    rows = []
    for at in range(count):
        right, wrong = f"{at} + 1 = {at + 1}", f"{at} + 1 = {at}, that is for sure"
        sides = {"a": right, "b": wrong} if at % 2 else {"a": wrong, "b": right}
        rows.append({"prompt": f"{at} + 1 = ?", **sides, "label": "a" if at % 2 else "b"})
    return rows


def test_templates_are_tried_by_what_they_would_leave_alone(
    server: FakeServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate_templates(server) == 0
    assert "Chosen: template mend.txt" in capsys.readouterr().out
    report = json.loads((place / "report.json").read_text())
    assert -1 < report["contenders"][0]["threshold"] < 0


def test_of_two_a_template_is_for_the_one_it_would_change_less(
    server: FakeServer, place: Path
) -> None:
    write(compared(28))
    assert calibrate_templates(server) == 0
    best, other = json.loads((place / "report.json").read_text())["contenders"]
    assert (best["name"], best["agreed"], best["threshold"]) == ("template mend.txt", 28, None)
    assert other["agreed"] < 28


def test_of_two_a_rubric_is_for_the_one_the_judge_prefers(server: FakeServer, place: Path) -> None:
    write(compared(28))
    assert calibrate(server) == 0
    report = json.loads((place / "report.json").read_text())
    assert [each["agreed"] for each in report["contenders"]] == [28, 0]  # longer is wrong here
    assert report["contenders"][0]["threshold"] is None
