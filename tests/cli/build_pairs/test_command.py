"""`clairkit build-pairs`: output, exit codes, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fake_server import Request, Response, completion, error, revise, serving

from clairkit.cli.main import run

SHOUT = "python:reviser_functions:shout"


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"q{n}", "answer": f"a{n}"} for n in range(6)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "pairs.jsonl")


def test_one_json_object_on_stdout(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build-pairs", prompts, "-o", output, "--reviser", SHOUT, "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["pairs"], result["rows"], result["counts"], result["resume"]) == (6, 6, {}, None)
    assert result["output"] == output
    assert "6 pairs from 6 rows" in captured.err
    assert f"Next: clairkit score {output}" in captured.err


def test_quiet_json_is_silent_on_stderr(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build-pairs", prompts, "-o", output, "--reviser", SHOUT, "--json", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_lost_rows_give_4_and_their_reasons(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = "python:reviser_functions:number"
    assert run(["build-pairs", prompts, "-o", output, "--reviser", spec]) == 4
    shown = capsys.readouterr().out
    assert re.search(r"^function_error, row \w+: \w", shown, re.MULTILINE)  # no pair: here is why
    lines = Path(f"{output}.quarantine.jsonl").read_text().splitlines()
    assert {json.loads(line)["reason"] for line in lines} == {"function_error"}


def test_no_ops_alone_give_0(prompts: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "python:reviser_functions:nothing"
    assert run(["build-pairs", prompts, "-o", output, "--reviser", spec]) == 0
    assert "no_op: the revision does not differ" in capsys.readouterr().out.replace("\n", " ")


def test_max_calls_gives_4_and_ends_with_what_resumes(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["build-pairs", prompts, "-o", output, "--reviser", SHOUT, "--max-calls", "2"]
    assert run(given) == 4
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"clairkit {' '.join(given[:-1])} 4"
    assert "not done yet" in captured.out
    assert run([*given[:-1], "100"]) == 0


def test_a_refused_key_gives_6_and_what_resumes(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret-4711")
    with serving(lambda request: error(401, message="bad key planted-secret-4711")) as server:
        given = [
            "build-pairs",
            prompts,
            "-o",
            output,
            "--reviser",
            "openai:gpt",
            "--base-url",
            server.url,
        ]
        assert run(given) == 6
    captured = capsys.readouterr()
    assert "OPENAI_API_KEY" in captured.err
    assert captured.err.splitlines()[-1] == f"clairkit {' '.join(given)}"
    assert "planted-secret" not in captured.err + captured.out


def test_other_settings_give_2(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(revise) as server:
        given = [
            "build-pairs",
            prompts,
            "-o",
            output,
            "--reviser",
            "openai:gpt",
            "--base-url",
            server.url,
        ]
        assert run(given) == 0
        assert run([*given, "--seed", "1"]) == 2
        assert "reviser.seed: 0 -> 1" in capsys.readouterr().err
        assert run([*given, "--seed", "1", "--force"]) == 0


def test_dry_run_touches_nothing(
    prompts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: Request) -> Response:
        raise AssertionError("a request was made")

    with serving(script) as server:
        before = sorted(tmp_path.iterdir())
        given = [
            "build-pairs",
            prompts,
            "-o",
            str(tmp_path / "x" / "pairs.jsonl"),
            "--dry-run",
            "--reviser",
            "openai:gpt",
            "--base-url",
            server.url,
            "--json",
        ]
        assert run(given) == 0
        assert not server.requests
    assert sorted(tmp_path.iterdir()) == before
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["done"], list(result["roles"])) == (6, 0, ["reviser"])
    reviser = result["roles"]["reviser"]
    assert reviser["calls"] == {"estimate": 6, "low": 6, "high": 6}
    assert 6 * 200 < reviser["prompt_tokens"]["estimate"] < 6 * 800
    assert reviser["completion_tokens"]["estimate"] > 6 * 200


def test_bad_rows_give_3_or_are_left_out(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(prompts).open("a") as file:
        file.write('\n{"prompt": 7}\n')
    assert run(["build-pairs", prompts, "-o", output, "--reviser", SHOUT]) == 3
    assert f"{prompts}:7" in capsys.readouterr().err
    assert run(["build-pairs", prompts, "-o", output, "--reviser", SHOUT, "--skip-bad"]) == 0
    assert "left out, bad_type" in capsys.readouterr().out


def test_limit(prompts: str, output: str) -> None:
    assert run(["build-pairs", prompts, "-o", output, "--reviser", SHOUT, "--limit", "2"]) == 0
    assert len(Path(output).read_text().splitlines()) == 2


def test_model_text_is_shown_literally(
    prompts: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = error(400, message="[/red]\x1b[31m \u202e")
    with serving(lambda request: script) as server:
        given = [
            "build-pairs",
            prompts,
            "-o",
            output,
            "--reviser",
            "openai:[bold]",
            "--base-url",
            server.url,
        ]
        assert run(given) == 4
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert (
        r"[/red]\x1b[31m \u202e"
        in json.loads(Path(f"{output}.quarantine.jsonl").read_text().splitlines()[0])["detail"]
    )


def start(prompts: str, output: str, url: str, **environment: str) -> subprocess.Popen[str]:
    given = [
        "build-pairs",
        prompts,
        "-o",
        output,
        "--reviser",
        "openai:gpt",
        "--base-url",
        url,
        "--concurrency",
        "1",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "clairkit.cli", *given],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_and_tells_how_to_go_on(
    prompts: str, output: str, number: int, code: int
) -> None:
    def script(request: Request) -> Response:
        time.sleep(0.3)
        return revise(request)

    with serving(script) as server:
        process = start(prompts, output, server.url)
        wait_for(lambda: len(server.requests) == 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert len(server.requests) == 2  # the one under way was waited for, and is kept
        assert "2 pairs from 6 rows" in out
        assert err.splitlines()[-1].startswith(f"clairkit build-pairs {prompts} -o {output}")
        again = start(prompts, output, server.url)
        again.communicate(timeout=30)
        assert (again.returncode, len(server.requests)) == (0, 6)


@pytest.mark.slow
def test_a_second_signal_leaves_at_once(prompts: str, output: str) -> None:
    released = threading.Event()

    def script(request: Request) -> Response:
        released.wait(60)
        return completion("late")

    with serving(script) as server:
        process = start(prompts, output, server.url)
        wait_for(lambda: len(server.requests) == 1)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=50)
        assert server.running == 1  # its answer was not waited for
        released.set()
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_second_process_gives_2_and_names_the_first(prompts: str, output: str) -> None:
    answered = threading.Event()  # nothing is, before the second process has ended

    def script(request: Request) -> Response:
        answered.wait(60)
        return revise(request)

    with serving(script) as server:
        first = start(prompts, output, server.url)
        wait_for(lambda: server.requests)
        second = start(prompts, output, server.url)
        _, err = second.communicate(timeout=30)
        answered.set()
        assert second.returncode == 2
        assert f"process {first.pid} is working on this output" in err
        first.communicate(timeout=30)
        assert first.returncode == 0


def test_plain_under_a_poor_terminal(prompts: str, output: str) -> None:
    with serving(revise) as server:
        process = start(
            prompts,
            output,
            server.url,
            TERM="dumb",
            LANG="C",
            NO_COLOR="1",
            COLUMNS="20",
            PYTHONIOENCODING="ascii",
        )
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "\x1b" not in out + err
    assert "\r" not in err
    assert max(map(len, out.splitlines()[:3])) <= 20


def test_help_is_instant() -> None:
    code = (
        "import sys; sys.argv = ['clairkit', 'build-pairs', '--help']\n"
        "from clairkit.cli.main import run; run()\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'aiohttp', 'sqlite3'}\n"
        "print('heavy:', sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    for word in ("--target", "--reviser", "--template", "--max-calls", "--dry-run"):
        assert word in done.stdout
