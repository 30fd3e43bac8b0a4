"""`clairkit build-pairs`: what each option does, and which do not go together."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from fake_server import Request, Response, answer_in, completion, revise, serving

from clairkit.cli.main import run
from clairkit.records import read_pairs

SHOUT = "python:reviser_functions:shout"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret-4711")
    rows = [{"prompt": f"q{n}", "answer": f"answer {n}."} for n in range(6)]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))


def build(*given: str) -> int:
    return run(["build-pairs", "prompts.jsonl", "-o", "pairs.jsonl", *given])


def result(capsys: pytest.CaptureFixture[str], *given: str) -> dict[str, Any]:
    assert build(*given, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--dry-run", "--probe"], "exclude each other"),
        (["--batch-export", "a.jsonl", "--batch-import", "b.jsonl"], "exclude each other"),
        (["--probes", "5"], "--probes goes with --dry-run"),
        (["--probes", "-5", "--dry-run"], "probes must be at least 0"),
        (["--fork", "old.jsonl", "--dry-run"], "--fork goes with a run only"),
        (["--engine", "ray", "--probe"], "--engine goes with a run only"),
        (["--max-edit-share", "1.5"], "max_edit_share is out of range"),
        (["--gate", "refusal"], "a gate needs its action"),
        (["--price", "gpt=cheap"], "not the price of a model"),
        (["--max-cost", "-1"], "max_cost must be above 0"),
        (["--shard", "3/2"], "no such shard"),
        (["--method", "judge-on-policy"], "needs a"),
        (["--template", "edits", "--revision", "rewrite"], "asks for the form edits"),
    ],
)
def test_what_does_not_go_together_gives_2(
    capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    assert build("--reviser", SHOUT, *given) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert [path.name for path in Path().iterdir()] == ["prompts.jsonl"]


def test_a_reviser_is_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert build() == 2
    assert "give --reviser SPEC" in capsys.readouterr().err.replace("Give", "give")


def test_the_cost_by_price(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(revise) as server:
        given = ["--reviser", "openai:gpt", "--base-url", server.url]
        found = result(capsys, *given, "--price", "gpt=1,20")
        assert found["cost"] == pytest.approx(6 * (7 * 1 + 5 * 20) / 1e6)
        Path("prices.yaml").write_text("gpt: {input: 2, output: 40}")
        found = result(capsys, *given, "--prices", "prices.yaml")
    assert found["cost"] == pytest.approx(12 * (7 * 1 + 5 * 20) / 1e6)
    assert found["calls"] == 6


def test_a_cap_on_the_cost_gives_4_and_goes_on_with_a_higher_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(revise) as server:
        given = ["--reviser", "openai:gpt", "--base-url", server.url, "--price", "gpt=1,20"]
        assert build(*given, "--max-cost", "0.00025") == 4
        err = capsys.readouterr().err
        assert "--max-cost 0.00025 is reached: the next call may pass it" in err
        assert err.splitlines()[-1].endswith("--max-cost 0.01")
        assert len(server.requests) == 2
        assert run(shlex.split(err.splitlines()[-1])[1:]) == 0
        assert len(server.requests) == 6


def test_the_command_that_goes_on_has_a_cap_that_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build("--reviser", SHOUT, "--max-calls=1") == 4
    for cap in (2, 4, 8):
        captured = capsys.readouterr()
        assert (" in all" in captured.out) == (cap > 2)
        way_on = captured.err.splitlines()[-1]
        assert way_on.endswith(f"--max-calls={cap}")
        assert run(shlex.split(way_on)[1:]) == (0 if cap == 8 else 4)
    assert "2 calls in this run, 6 in all" in capsys.readouterr().out


def test_a_cap_of_the_configuration_is_raised_by_the_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("build.yaml").write_text("max-calls: 3\n")
    assert build("--reviser", SHOUT, "--config", "build.yaml", "--json") == 4
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["calls"], found["new_calls"]) == (3, 3)
    assert found["resume"] == captured.err.splitlines()[-1]
    assert found["resume"].endswith("--max-calls 6")
    assert run(shlex.split(found["resume"])[1:]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["calls"], found["new_calls"], found["resume"]) == (6, 3, None)


def test_servers_and_keys_by_role(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET_API_KEY", "planted-target-key")
    Path("prompts.jsonl").write_text('{"prompt": "q"}')
    with serving(lambda request: completion("An answer.")) as target, serving(revise) as reviser:
        found = result(
            capsys,
            "--target",
            "openai:small",
            "--target-base-url",
            target.url,
            "--reviser",
            "openai:large",
            "--base-url",
            reviser.url,
        )
    assert found["pairs"] == 1
    assert [each.headers["authorization"] for each in (*target.requests, *reviser.requests)] == [
        "Bearer planted-target-key",
        "Bearer planted-secret-4711",
    ]
    assert [each.body["model"] for each in (*target.requests, *reviser.requests)] == [
        "small",
        "large",
    ]
    assert answer_in(reviser.requests[0])[1] == "An answer."


def test_worse_revisions_are_the_rejected_side(capsys: pytest.CaptureFixture[str]) -> None:
    result(capsys, "--reviser", SHOUT, "--worsen")
    first = next(iter(read_pairs("pairs.jsonl")))
    assert first.chosen[0]["content"] == "answer 0."
    assert first.rejected[0]["content"] == "ANSWER 0."


def test_a_gate_can_flag_instead_of_drop(capsys: pytest.CaptureFixture[str]) -> None:
    def refusing(request: Request) -> Response:
        return revise(request, lambda _: "I'm sorry, but I can't help with that.")

    with serving(refusing) as server:
        given = ["--reviser", "openai:gpt", "--base-url", server.url]
        assert build(*given, "--json") == 4
        assert json.loads(capsys.readouterr().out)["counts"] == {"refusal": 6}
        gates = ["--gate", "refusal=flag", "--force"]
        found = result(capsys, *given, *gates)
        assert len(server.requests) == 6  # another policy asks nothing anew
    assert (found["pairs"], found["flags"]["refusal"]) == (6, 6)
    flags = next(iter(read_pairs("pairs.jsonl"))).provenance["flags"]
    assert flags[0]["reason"] == "refusal"


def test_a_fork_begins_with_the_replies_of_another_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(revise) as server:
        given = ["--reviser", "openai:gpt", "--base-url", server.url]
        result(capsys, *given)
        forked = [*given, "--fork", "pairs.jsonl", "--gate", "no_op=drop", "--gate", "refusal=keep"]
        assert run(["build-pairs", "prompts.jsonl", "-o", "other.jsonl", *forked]) == 0
        assert "Begun with the replies of pairs.jsonl" in capsys.readouterr().err
        assert len(server.requests) == 6
    assert Path("other.jsonl").read_bytes() == Path("pairs.jsonl").read_bytes()


def test_shards_are_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert result(capsys, "--reviser", SHOUT, "--shard", "2/4")["rows"] == 2
    answers = [pair.rejected[0]["content"] for pair in read_pairs("pairs.jsonl")]
    assert answers == ["answer 1.", "answer 5."]


def test_help_has_sections_and_every_option_stands_in_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from clairkit.cli.build_pairs.command import command

    assert run(["build-pairs", "--help"]) == 0
    text = capsys.readouterr().out
    for heading in ("Models:", "Revisions:", "Sampling:", "Pace and cost:", "Rows:"):
        assert heading in text
    flags = [name for parameter in command.params for name in parameter.opts if name[:2] == "--"]
    assert len(flags) > 40
    assert all(flag in text for flag in flags)


def test_answers_in_another_column(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.jsonl").write_text('{"prompt": "q", "output": "answer 1."}')
    assert build("--reviser", SHOUT) == 3
    assert "--answer-column NAME" in capsys.readouterr().err
    assert result(capsys, "--reviser", SHOUT, "--answer-column", "output")["pairs"] == 1
