"""Planted secrets: whatever a server, a function or a setting does, they stand nowhere.

Sinks: every file that a run leaves (pairs, quarantine, journal, manifest, batch file), both
streams of the command, log records down to DEBUG, and the traceback of what a call raises.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from fake_server import Request, Response, Script, completion, error, revise, serving
from planted import ECHOES, FORMS, KEY, PASSWORD, SECRETS, SEEN, files_text, held

from clairkit.cli.main import run
from clairkit.display import excerpt, printable, redact
from clairkit.errors import ClairError
from clairkit.generation import BuildResult
from clairkit.models.server.endpoint import find_endpoint
from clairkit.models.server.retry import RetryPolicy

Build = Callable[..., BuildResult]
QUICK = RetryPolicy(tries=2, base=0.001, cap=0.002)


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("clairkit.models.server.model.RetryPolicy", lambda: QUICK)
    for name in ("OPENAI_API_KEY", "REVISER_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann:{quote(PASSWORD, safe='')}@127.0.0.1:9")
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"question {n}", "answer": f"answer {n}."} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


@pytest.mark.parametrize("script", ECHOES.values(), ids=ECHOES)
def test_what_a_server_echoes_reaches_no_sink(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture, script: Script
) -> None:
    shown = ""
    with serving(script) as server:
        try:
            build(server.url, rows=4, concurrency=1)
        except ClairError as raised:
            shown = "".join(traceback.format_exception(raised)) + repr(raised)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    written = files_text(tmp_path)
    assert shown or "quarantine" in str(list(tmp_path.iterdir()))
    assert held(written) == held(shown) == held(caplog.text) == []


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_echo_in_thoughts_reaches_no_sink(build: Build, tmp_path: Path, field: str) -> None:
    said = completion("An answer.", **{field: f"I was sent {KEY}."})
    with serving(lambda _: said) as server:
        assert build(server.url, rows=1).counts == {"secret_echoed": 1}
    assert held(files_text(tmp_path)) == []


def test_an_echo_does_get_that_far(build: Build, tmp_path: Path) -> None:
    with serving(ECHOES["400"]) as server:
        build(server.url, rows=1)
    assert files_text(tmp_path).count(f"{SEEN}: Bearer [redacted]") >= 2  # journal, quarantine


@pytest.mark.parametrize("name", ["400", "401", "404", "quota", "200 with an error", "a redirect"])
def test_a_command_shows_no_secret(
    prompts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    output = str(tmp_path / "pairs.jsonl")
    with serving(ECHOES[name]) as server:
        given = [
            "build-pairs",
            prompts,
            "-o",
            output,
            "--reviser",
            "openai:gpt",
            "--json",
            "--base-url",
            server.url,
            "--concurrency",
            "1",
        ]
        assert run(given) in (4, 6)
    captured = capsys.readouterr()
    assert held(captured.out + captured.err) == []
    assert held(files_text(tmp_path)) == []


def test_good_pairs_and_their_journal_hold_no_secret(
    prompts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "pairs.jsonl")
    with serving(revise) as server:
        assert (
            run(
                [
                    "build-pairs",
                    prompts,
                    "-o",
                    output,
                    "--reviser",
                    "openai:gpt",
                    "--base-url",
                    server.url,
                ]
            )
            == 0
        )
    captured = capsys.readouterr()
    assert "3 pairs" in captured.out + captured.err
    assert held(captured.out + captured.err + files_text(tmp_path)) == []


def test_what_is_made_of_a_journal_later_shows_no_secret(
    prompts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "pairs.jsonl")
    build_pairs = ["build-pairs", prompts, "-o", output, "--reviser", "openai:gpt"]
    with serving(ECHOES["400"]) as server:
        given = [*build_pairs, "--base-url", server.url]
        assert run(given) == 4
        quarantined = Path(f"{output}.quarantine.jsonl").read_text().splitlines()
        row_id = json.loads(quarantined[0])["id"]
        assert run(["explain", row_id, output]) == 0
        assert SEEN in capsys.readouterr().out
        for later in (
            ["explain", row_id, output, "--json"],
            ["verify", output, "--json"],
            [*given, "--dry-run"],
        ):
            assert run(later) == 0, later
    captured = capsys.readouterr()
    assert held(captured.out + captured.err + files_text(tmp_path)) == []


def test_batch_files_and_what_comes_back_in_them_leave_no_secret(
    prompts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, batch = str(tmp_path / "pairs.jsonl"), tmp_path / "batch.jsonl"
    given = ["build-pairs", prompts, "-o", output, "--reviser", "openai:gpt"]
    assert run([*given, "--batch-export", str(batch)]) == 0
    assert held(batch.read_text()) == []
    body = {"error": {"message": f"{SEEN}: Bearer {KEY}"}}
    back = [
        {"custom_id": json.loads(line)["custom_id"], "response": {"status_code": 400, "body": body}}
        for line in batch.read_text().splitlines()
    ]
    results = tmp_path.parent / f"{tmp_path.name}-results.jsonl"  # is not ours to redact
    results.write_text("\n".join(map(json.dumps, back)))
    assert run([*given, "--batch-import", str(results)]) == 4
    captured = capsys.readouterr()
    assert SEEN in files_text(tmp_path)
    assert held(captured.out + captured.err + files_text(tmp_path)) == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://ann:{PASSWORD}@127.0.0.1:9/v1",
        f"http://127.0.0.1:9/v1?api_key={PASSWORD}",
        f"http://127.0.0.1:9/v1#{PASSWORD}",
        f"ftp://ann:{PASSWORD}@127.0.0.1/v1",
        f"http://ann:{PASSWORD}@127.0.0.1:port/v1",
        f"http://[{PASSWORD}/v1",
        f"ann:{PASSWORD}@127.0.0.1",
    ],
)
@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_secret_in_an_address_is_refused_unshown(
    prompts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    how: str,
) -> None:
    given = ["build-pairs", prompts, "-o", str(tmp_path / "p.jsonl"), "--reviser", "openai:gpt"]
    if how == "option":
        given += ["--base-url", url]
    else:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert run(given) == 2
    captured = capsys.readouterr()
    assert "base URL" in captured.err
    assert held(captured.out + captured.err + files_text(tmp_path)) == []


@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", f"{KEY}\u3042", f"{KEY}\x1b[31m"])
def test_a_key_that_no_header_can_carry_is_refused_unshown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ClairError, match="OPENAI_API_KEY") as info:
        find_endpoint("http://127.0.0.1:9/v1")
    assert held("".join(traceback.format_exception(info.value))) == []


def test_an_endpoint_shows_no_key() -> None:
    endpoint = find_endpoint("http://127.0.0.1:9/v1")
    assert endpoint.key == KEY
    assert held(repr(endpoint) + str(endpoint)) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_no_form_of_a_secret_is_shown(secret: str, form: str) -> None:
    written = FORMS[form](secret)
    if form not in ("as it is", "in capitals"):  # those that `held` decodes
        assert held(written.lower() if form == "in capitals" else written), "the oracle is blind"
    shown = redact(f"x {written} y")
    assert held(shown) == []
    assert shown.startswith("x ")
    assert shown.endswith(" y")
    assert held(excerpt(f"x {written} y", 300)) == []
    assert held(redact(printable(f"x {written} y", keep=""))) == []


def _echo_of_all(request: Request) -> str:
    """Whatever the request carries, in all forms."""
    carried = [KEY, PASSWORD, *request.headers.values()]
    return f"{SEEN}: " + " ; ".join(write(text) for text in carried for write in FORMS.values())


@pytest.mark.parametrize("way", ["400", "500", "an error in a 200", "an answer", "a code"])
def test_a_server_that_echoes_all_forms_leaves_none(
    prompts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """Through a proxy: it is the fake server itself, which is sent the password in base64."""
    scripts: dict[str, Script] = {
        "400": lambda request: error(400, message=_echo_of_all(request)),
        "500": lambda request: Response(500, _echo_of_all(request).encode()),
        "an error in a 200": lambda request: error(200, message=_echo_of_all(request)),
        "an answer": lambda request: completion(_echo_of_all(request)),
        "a code": lambda request: error(400, _echo_of_all(request), ""),
    }
    output = str(tmp_path / "pairs.jsonl")
    with serving(scripts[way]) as server:
        place = server.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTP_PROXY", f"http://ann:{quote(PASSWORD, safe='')}@{place}")
        given = [
            "build-pairs",
            prompts,
            "-o",
            output,
            "--reviser",
            "openai:gpt",
            "--base-url",
            "http://models.example/v1",
        ]
        assert run([*given, "--json"]) in (4, 6)
        assert server.requests[0].headers["proxy-authorization"].startswith("Basic ")
        assert run(given) in (4, 6)
    captured = capsys.readouterr()
    assert held(captured.out + captured.err) == []
    assert held(files_text(tmp_path)) == []


def test_a_proxy_that_fails_shows_no_password(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://ann:{quote(PASSWORD, safe='')}@127.0.0.1:9")
    with pytest.raises(ClairError) as info:
        build("http://models.example/v1", rows=4)
    assert held("".join(traceback.format_exception(info.value))) == []
    assert held(files_text(tmp_path)) == []


@pytest.mark.parametrize("function", ["telling", "leaving_with_it"])
def test_what_a_function_raises_is_redacted(
    prompts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    source = (
        "import os\n"
        "def telling(request):\n    raise ValueError('no ' + os.environ['OPENAI_API_KEY'])\n"
        "def leaving_with_it(request):\n    raise SystemExit(os.environ['OPENAI_API_KEY'])\n"
    )
    (tmp_path / "telling_functions.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    output = str(tmp_path / "pairs.jsonl")
    given = ["build-pairs", prompts, "-o", output, "--reviser"]
    assert run([*given, f"python:telling_functions:{function}"]) in (2, 4, 6)
    captured = capsys.readouterr()
    assert held(captured.out + captured.err + files_text(tmp_path)) == []
    assert "redacted" in captured.err + files_text(tmp_path)


def test_a_bug_report_is_redacted(
    prompts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"no route to http://ann:{PASSWORD}@host with {KEY}")

    monkeypatch.setattr("clairkit.generation.engine.run_build", broken)
    given = [
        "build-pairs",
        prompts,
        "-o",
        str(tmp_path / "p.jsonl"),
        "--reviser",
        "python:reviser_functions:shout",
    ]
    assert run(given) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert held(shown) == []
