"""What holds of every command: closed streams, plain terminals, secrets, hostile text, signals."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import COMMANDS

PROGRAM = [sys.executable, "-m", "clairkit.cli"]
HEAVY = ("torch", "transformers", "triton", "datasets", "numpy", "rich", "pyarrow", "aiohttp")
HOSTILE = "[/foo][red] \x1b[31m\x1b]0;title\x07\x9b31m\u202e <script>alert(1)</script> =cmd()"
SHOWN = "[/foo][red] \\x1b[31m\\x1b]0;title\\x07\\x9b31m\\u202e <script>alert(1)</script> =cmd()"
SECRETS = {
    "OPENAI_API_KEY": "sk-proj-abcdef0123456789abcd",
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuv",
    "MY_DB_PASSWORD": "correct-horse-battery",
}
ESCAPE = re.compile("[\x1b\x9b\u202e]")


def present() -> list[str]:
    """Commands whose module is there."""
    return [
        name
        for name, (module, _) in COMMANDS.items()
        if importlib.util.find_spec(f"clairkit.cli.{module}")
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("work")
    rows = [
        {
            "prompt": f"Why {at}? {HOSTILE}",
            "chosen": f"東京 {at} {HOSTILE}",
            "rejected": f"京都 {at}",
        }
        for at in range(5)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "pairs.jsonl").write_text(text, encoding="utf-8")
    (path / "slow_check.py").write_text(
        "import pathlib, time\npathlib.Path('ready').touch()\ntime.sleep(60)\n"
    )
    (path / "reviser_9a.py").write_text("def revise(request): return request.answer + ' EUR'\n")
    answers = [{"prompt": f"Cost {at}?", "answer": f"{at} {HOSTILE}"} for at in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in answers)
    (path / "answers.jsonl").write_text(text, encoding="utf-8")
    return path


RUNS = {
    "score": ["score", "pairs.jsonl"],
    "score to a file": ["score", "pairs.jsonl", "-o", "out.jsonl", "--force"],
    "score --json": ["score", "pairs.jsonl", "--json"],
    "doctor": ["doctor"],
    "build-pairs": [
        "build-pairs",
        "answers.jsonl",
        "-o",
        "built.jsonl",
        "--force",
        "--reviser",
        "python:reviser_9a:revise",
    ],
    "--help": ["--help"],
    "--version": ["--version"],
} | {f"{name} --help": [name, "--help"] for name in present()}
# Of many commands' help one stands for all: each goes to the same stream.
STREAMED = (
    *(name for name in RUNS if name != "doctor" and not name.endswith(" --help")),
    "score --help",
    pytest.param("doctor", marks=pytest.mark.slow),
)


SLOW_RUNS = {"train": ["train", "--model", "m", "--pairs", "p", "-o", "r", "--print-config"]}


def start(
    arguments: list[str], folder: Path, env: dict[str, str] | None = None, **streams: Any
) -> subprocess.Popen[str]:
    plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env={**plain, **(env or {})},
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out or "", err or ""


# Streams


@pytest.mark.parametrize("name", STREAMED)
def test_a_reader_that_goes_away_is_no_error(name: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (folder / "out.jsonl").unlink(missing_ok=True)
    process = start(RUNS[name], folder, stdout=writing)
    os.close(writing)
    code, _, err = finish(process)
    assert (code, "Traceback" in err, "Broken" in err, "Exception" in err) == (0, *[False] * 3)
    if name == "score to a file":  # the work is done all the same
        assert (folder / "out.jsonl").exists()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed(closed: str, folder: Path) -> None:
    (folder / "out.jsonl").unlink(missing_ok=True)
    line = f'exec "$@" {closed}'
    shell = ["sh", "-c", line, "sh", *PROGRAM, *RUNS["score to a file"]]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    rows = (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(row)["scores"] for row in rows)  # no message went into the file


@pytest.mark.parametrize("name", ["score", "score --json", "--help"])
def test_a_full_disk_behind_stdout(name: str, folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, err = finish(start(RUNS[name], folder, stdout=full))
    assert (code, "Traceback" in err) == (5, False)
    assert "standard output cannot be written" in err


PLAIN = [
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"NO_COLOR": "1"},
    {"TERM": "dumb"},
    {"COLUMNS": "20"},
    {"COLUMNS": "20", "TERM": "dumb", "NO_COLOR": "1", "PYTHONIOENCODING": "ascii:strict"},
]


@pytest.mark.parametrize(
    ("name", "env"),
    [("score", env) for env in PLAIN]
    + [(name, env) for name in ("score --json", "score --help") for env in (PLAIN[0], PLAIN[-1])]
    + [("build-pairs", PLAIN[-1])]
    + [pytest.param(name, PLAIN[-1], marks=pytest.mark.slow) for name in ("doctor", "train")],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_plain_output_without_a_terminal(name: str, env: dict[str, str], folder: Path) -> None:
    code, out, err = finish(start({**RUNS, **SLOW_RUNS}[name], folder, {**env, **SECRETS}))
    assert (code, "Traceback" in err) == (0, False)
    assert out
    assert not [secret for secret in SECRETS.values() if secret in out + err]
    assert not ESCAPE.search(out + err)
    if name == "score --json":
        assert json.loads(out)["kept"] == 5


@pytest.mark.parametrize("env", PLAIN[:2], ids=lambda env: ",".join(env))
def test_text_that_a_locale_lacks_is_spelt_out(env: dict[str, str], folder: Path) -> None:
    (folder / "bad.jsonl").write_text("東京\n", encoding="utf-8")
    code, _, err = finish(start(["score", "bad.jsonl"], folder, env))
    assert (code, "Traceback" in err) == (3, False)
    assert "\\u6771\\u4eac" in err
    arguments = ["score", "pairs.jsonl", "-o", f"{folder}/東京.jsonl", "--force"]
    code, out, err = finish(start(arguments, folder, PLAIN[1]))
    assert (code, "Traceback" in err) == (0, False)
    assert "\\u6771\\u4eac.jsonl" in out


def on_terminal(arguments: list[str], folder: Path, env: dict[str, str]) -> str:
    """What a terminal would get."""
    ours, theirs = pty.openpty()
    process = start(arguments, folder, env, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is gone
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return text.decode()


@pytest.mark.slow
def test_a_terminal_may_get_bold_but_not_under_no_color(folder: Path) -> None:
    base = {"TERM": "xterm", "COLUMNS": "80"}
    assert "\x1b[1m" in on_terminal(RUNS["score"], folder, base)
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not ESCAPE.search(on_terminal(RUNS["score"], folder, {**base, **plain}))


# Text that is not ours


def test_model_text_is_shown_literally(folder: Path) -> None:
    bad = folder / "bad.jsonl"
    bad.write_text(json.dumps({"prompt": "p", "chosen": HOSTILE[:60]}) + "\n" + HOSTILE + "\n")
    code, out, err = finish(start(["score", "bad.jsonl"], folder))
    assert code == 3
    assert not ESCAPE.search(out + err)
    bad.write_text(HOSTILE + "\n")
    code, out, err = finish(start(["score", "bad.jsonl"], folder))
    assert code == 3
    assert not ESCAPE.search(out + err)
    # The error shows the text once more as Python would write it: backslashes doubled.
    assert SHOWN[:60] in err.replace("\\\\", "\\")


# Secrets


@pytest.mark.parametrize(
    "arguments",
    [
        # what succeeds is looked through by the tests of plain output and of help
        ["score", "secrets.jsonl"],
        ["score", "https://user:hunter2hunter2@host/pairs.jsonl"],
        ["score", "pairs.jsonl", "--tokenizer", "https://user:hunter2hunter2@host/tok"],
        ["score", "pairs.jsonl", "--drop", SECRETS["MY_DB_PASSWORD"]],
        ["score", "pairs.jsonl", f"--{SECRETS['MY_DB_PASSWORD']}"],
        [SECRETS["OPENAI_API_KEY"]],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_secrets_are_in_no_output(arguments: list[str], folder: Path) -> None:
    line = " ".join([*SECRETS.values(), "Authorization: Bearer abcdef123456", "api_key=zyxwvu98"])
    (folder / "secrets.jsonl").write_text(line + "\n")
    code, out, err = finish(start(arguments, folder, SECRETS))
    assert code in (0, 2, 3)
    for secret in (*SECRETS.values(), "hunter2", "abcdef123456", "zyxwvu98"):
        assert secret not in out + err


# Signals


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [(signal.SIGTERM, 143, "Terminated."), (signal.SIGINT, 130, "Interrupted.")],
)
def test_signals(sent: signal.Signals, code: int, said: str, folder: Path) -> None:
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    arguments = ["evaluate", "pairs.jsonl", "--model", "hf:x", "--check", "python:slow_check:f"]
    process = start(arguments, folder)
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    found, out, err = finish(process)
    assert (found, out) == (code, "")
    assert err.split() == [said]


# Help


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in present())])
def test_help_loads_nothing_heavy(arguments: list[str], folder: Path) -> None:
    program = (
        "import sys\n"
        "from clairkit.cli.main import run\n"
        f"code = run({arguments})\n"
        f"heavy = sorted(set({HEAVY}) & set(sys.modules))\n"
        "print(code, heavy, len(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **SECRETS},
        capture_output=True,
        text=True,
        timeout=60,
    )
    code, heavy, modules = done.stderr.split()
    assert (code, heavy) == ("0", "[]")
    assert int(modules) < 300  # counted, since a busy machine's time says nothing
    assert "--help" in done.stdout
    assert not [secret for secret in SECRETS.values() if secret in done.stdout]
