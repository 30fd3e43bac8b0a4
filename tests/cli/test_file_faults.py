"""Bad input files and impossible outputs, as a user of the commands meets them."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.main import run
from clairkit.records import read_pairs

SHOUT = "python:reviser_functions:shout"
Capture = pytest.CaptureFixture[str]
Make = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def _functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def row(number: int, **more: Any) -> bytes:
    """A line that is a prompt with its answer and a pair at once."""
    sides = {"answer": f"a{number} b.", "chosen": f"c{number} b.", "rejected": f"a{number} b."}
    return json.dumps({"prompt": f"q{number}", **sides, **more}).encode() + b"\n"


def holding(data: bytes, name: str = "rows.jsonl") -> Make:
    """Returns a maker of a file with this content."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def pickled(name: str) -> Make:
    return holding(pickle.dumps([os.getcwd]), name)


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo.jsonl")
    return folder / "fifo.jsonl"


def loop(folder: Path) -> Path:
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    return folder / "loop.jsonl"


def bound_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "s.jsonl"))
    return folder / "s.jsonl"


GARBAGE = b"\x1b[31m not JSON \xe2\x80\xae" + b"z" * 200 + b"\n"
LINES = [row(number) for number in range(900)]
JAPANESE = json.dumps({"prompt": "日本の首都は?", "answer": "東京です。"}, ensure_ascii=False)

BAD_FILES: dict[str, tuple[Make, str]] = {
    "empty": (holding(b""), "0 rows in"),
    "blank lines": (holding(b"\n \n\t\r\n"), "0 rows in"),
    "a torn last line": (holding(row(1) + row(2)[:20]), "rows.jsonl:2: "),
    "garbage in line 812": (holding(b"".join([*LINES[:811], GARBAGE])), "rows.jsonl:812: bad_json"),
    "UTF-16": (holding(row(1).decode().encode("utf-16")), "UTF-16LE"),
    "Shift_JIS": (holding(JAPANESE.encode("shift_jis") + b"\n"), "CP932"),
    "a lone surrogate": (holding(row(1).replace(b"q1", b"\\ud800")), "rows.jsonl:1: bad_unicode"),
    "deep nesting": (holding(row(1) + b"[" * 100_000 + b"\n"), "rows.jsonl:2: too_deep"),
    "a long integer": (holding(b'{"prompt": ' + b"7" * 5000 + b"}\n"), ":1: bad_number"),
    "NaN": (holding(row(1) + row(2, note=float("nan"))), "rows.jsonl:2: bad_number"),
    "a key twice": (holding(b'{"prompt": "a", "prompt": "b"}\n'), ":1: duplicate_key"),
    "a row of 50 MB": (holding(row(1, note="x" * 50_000_000)), "rows.jsonl:1: too_large"),
    "a gzip bomb": (holding(gzip.compress(b" " * 2**27, 9), "rows.jsonl.gz"), "gzip bomb"),
    "no such column": (holding(b'{"promt": "a", "answr": "b"}\n'), "prompt"),
    "a column of another type": (holding(row(1) + row(2, prompt=3)), "rows.jsonl:2: bad_type"),
    "an id twice": (holding(row(1, id="x") + row(2, id="x")), "rows.jsonl:2: duplicate_id"),
    "a directory": (lambda folder: folder, "directory"),
    "a FIFO": (fifo, "is a FIFO"),
    "a socket": (bound_socket, "is a socket"),
    "a device": (lambda _: Path("/dev/zero"), "device"),
    "a loop of links": (loop, "link leads back to itself"),
    "a pickle": (pickled("rows.jsonl"), "pickle"),
    "a pickle named .pt": (pickled("model.pt"), "model.pt"),
    "no file": (lambda folder: folder / "none.jsonl", "no such file"),
}


@pytest.mark.parametrize("command", ["score", "build-pairs"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_message_and_exit_code_3(
    tmp_path: Path, capsys: Capture, command: str, name: str
) -> None:
    make, words = BAD_FILES[name]
    given = [command, str(make(tmp_path))]
    if command == "build-pairs":
        given += ["-o", "out.jsonl", "--reviser", SHOUT]
    before = set(tmp_path.iterdir())
    assert run(given) == 3
    captured = capsys.readouterr()
    (message,) = [line for line in captured.err.splitlines() if line.startswith("Error: ")]
    assert words in message
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.err
    assert len(message) < 1000
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xef\xbb\xbf" + b"".join(LINES[:3]).replace(b"\n", b"\r\n"), "rows.jsonl"),
        (gzip.compress(b"".join(LINES[:3])), "rows.jsonl.gz"),
        (b"[" + b",".join(LINES[:3]) + b"]", "rows.json"),
    ],
    ids=["BOM and CRLF", "gzip", "array"],
)
def test_good_files_of_other_makes_are_read(tmp_path: Path, data: bytes, name: str) -> None:
    path = holding(data, name)(tmp_path)
    assert run(["score", str(path)]) == 0
    assert run(["build-pairs", str(path), "-o", "out.jsonl", "--reviser", SHOUT]) == 0
    assert [pair.chosen[0]["content"] for pair in read_pairs("out.jsonl")] == [
        "A0 B.",
        "A1 B.",
        "A2 B.",
    ]


def test_bad_rows_are_skipped_when_asked_and_counted(tmp_path: Path, capsys: Capture) -> None:
    data = b"".join([*LINES[:5], GARBAGE, row(9, prompt=3), *LINES[5:8], row(8)[:9]])
    path = str(holding(data)(tmp_path))
    given = ["build-pairs", path, "-o", "out.jsonl", "--reviser", SHOUT, "--skip-bad"]
    assert run(given) == 0
    captured = capsys.readouterr()
    assert len(list(read_pairs("out.jsonl"))) == 8
    shown = " ".join((captured.out + captured.err).split())
    for reason in ("bad_json", "bad_type", "torn_line"):
        assert f"left out, {reason} 1" in shown


ODD = [
    *("nul \0", "bidi \u202e\u2066", "e" + "\u0301" * 20_000, "x\u2028\x85\x1f", "x\ufeff"),
    *("[/b]", "<script>", "=cmd()", "\x1b[31m"),
]


def test_odd_texts_and_other_columns_come_through_unchanged(tmp_path: Path) -> None:
    rows = [
        {"prompt": text, "answer": f"a {text}", "id": f"row-{at}", "colour": {"x": [text]}}
        for at, text in enumerate(ODD)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert run(["build-pairs", "rows.jsonl", "-o", "out.jsonl", "--reviser", SHOUT]) == 0
    pairs = list(read_pairs("out.jsonl"))
    assert [pair.prompt[0]["content"] for pair in pairs] == ODD
    assert [pair.rejected[0]["content"] for pair in pairs] == [f"a {text}" for text in ODD]
    assert [pair.extra["colour"] for pair in pairs] == [{"x": [text]} for text in ODD]
    assert [pair.provenance["row"] for pair in pairs] == [f"row-{at}" for at in range(len(ODD))]


IMPOSSIBLE = [
    ("../../out.jsonl", "current directory"),
    ("a\0b.jsonl", "NUL"),
    ("x" * 300 + ".jsonl", "255 bytes"),
    ("x" * 240 + ".jsonl", "at most 223 bytes"),
    ("/dev/null", "not a regular file"),
    ("out.txt", ".txt"),
]
WITH_OUTPUT = {
    "build": ["build-pairs", "rows.jsonl", "--reviser", SHOUT],
    "dry run": ["build-pairs", "rows.jsonl", "--reviser", SHOUT, "--dry-run"],
    "probes": ["build-pairs", "rows.jsonl", "--reviser", SHOUT, "--dry-run", "--probes", "1"],
    "fork": ["build-pairs", "rows.jsonl", "--reviser", SHOUT, "--fork", "done/pairs.jsonl"],
    "batch": ["build-pairs", "rows.jsonl", "--reviser", "openai:gpt", "--batch-export", "b.jsonl"],
    "merge": ["merge", "done/pairs.jsonl"],
}


@pytest.mark.parametrize(("output", "words"), IMPOSSIBLE, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("mode", WITH_OUTPUT)
def test_an_impossible_output_is_refused_before_any_work(
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    output: str,
    words: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-test")
    holding(row(1))(tmp_path)
    if "done/pairs.jsonl" in WITH_OUTPUT[mode]:
        assert run([*WITH_OUTPUT["build"], "-o", "done/pairs.jsonl"]) == 0
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert run([*WITH_OUTPUT[mode], "-o", output]) == 2
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_exists_needs_force(tmp_path: Path, capsys: Capture) -> None:
    path = str(holding(row(1))(tmp_path))
    Path("out.jsonl").write_text("mine\n")
    given = ["build-pairs", path, "-o", "out.jsonl", "--reviser", SHOUT]
    assert run(given) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("out.jsonl").read_text() == "mine\n"
    assert run([*given, "--force"]) == 0
    assert len(list(read_pairs("out.jsonl"))) == 1


LIMITED = """
import resource, signal, sys
from clairkit.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
code = run(sys.argv[2:])
assert "torch" not in sys.modules
sys.exit(code)
"""


@pytest.mark.parametrize("room", [4096, 70_000, 200_000])
def test_a_disk_that_fills_up_costs_nothing_that_was_done(tmp_path: Path, room: int) -> None:
    """The first three rows fit; then there is no room for the journal, or for the pairs."""
    Path("rows.jsonl").write_bytes(b"".join(LINES[:3]))
    given = ["build-pairs", "rows.jsonl", "-o", "out.jsonl", "--reviser", SHOUT]
    assert run(given) == 0
    before = Path("out.jsonl").read_bytes()
    more = [row(number, x="y" * 3000) for number in range(3, 99)]
    Path("rows.jsonl").write_bytes(b"".join([*LINES[:3], *more]))
    path = os.pathsep.join(sys.path)
    limited = subprocess.run(
        [sys.executable, "-c", LIMITED, str(room), *given],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert limited.returncode == 5, limited.stderr
    assert "Traceback" not in limited.stderr
    assert Path("out.jsonl").read_bytes() == before
    assert run(given) == 0
    assert len(list(read_pairs("out.jsonl"))) == 99
    assert not [each for each in tmp_path.iterdir() if each.suffix == ".tmp"]


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "LOOP"],
        ["explain", "x", "LOOP"],
        ["remove", "LOOP", "--id", "x"],
        ["merge", "LOOP", "LOOP", "-o", "out.jsonl"],
        ["build-pairs", "LOOP", "-o", "out.jsonl", "--reviser", SHOUT],
    ],
    ids=lambda command: command[0],
)
def test_a_link_to_itself_is_named_by_every_command(
    tmp_path: Path, capsys: Capture, command: list[str]
) -> None:
    place = str(loop(tmp_path))
    assert run([place if word == "LOOP" else word for word in command]) == 3
    said = capsys.readouterr().err
    assert f"{place}: the link leads back to itself. Give the file itself" in said
