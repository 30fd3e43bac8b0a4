"""The console: hostile text, secrets, JSON in any locale, streams that fail."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from clairkit.cli.shared.console import Console, emit, width_of
from clairkit.errors import ResourceError

HOSTILE = "[/foo][red] \x1b[31m\x1b]0;title\x07\x9b31m\u202e <script>alert(1)</script> =cmd()"
SHOWN = "[/foo][red] \\x1b[31m\\x1b]0;title\\x07\\x9b31m\\u202e <script>alert(1)</script> =cmd()"
ESCAPE = re.compile("[\x1b\x9b\u202e]")


def test_the_console_shows_text_literally(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.show(HOSTILE)
    console.note(HOSTILE)
    console.warn(HOSTILE)
    console.table(HOSTILE, ["a", HOSTILE], [[HOSTILE, "1"]], note=HOSTILE)
    captured = capsys.readouterr()
    assert not ESCAPE.search(captured.out + captured.err)
    assert captured.out.count(SHOWN) == 5
    assert captured.err.count(SHOWN) == 2


def test_json_carries_text_without_harm(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=True).result({"text": HOSTILE, HOSTILE: [1, {"deep": (HOSTILE, None, True)}]})
    out = capsys.readouterr().out
    assert not ESCAPE.search(out)
    assert json.loads(out) == {"text": HOSTILE, HOSTILE: [1, {"deep": [HOSTILE, None, True]}]}


def test_json_in_ascii_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    value = {"é": "東京 👩\u200d👩 \ud800", "nan": float("nan"), "inf": [float("inf"), 1.5]}
    Console(as_json=True).result(value)
    found = json.loads(raw.getvalue())
    assert found == {"é": value["é"], "nan": None, "inf": [None, 1.5]}


def test_json_is_whole_when_secrets_are_taken_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_API_KEY", 'quo"ted\\secret')
    value = {"url": "http://h/?api_key=abcdef", "said": 'it is quo"ted\\secret', "x": "y"}
    Console(as_json=True).result(value)
    found = json.loads(capsys.readouterr().out)
    assert found["x"] == "y"
    assert found["url"] == "http://h/?api_key=[redacted]"
    assert found["said"] == "it is [redacted]"


def test_a_stream_that_fails_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="No space left"):
        emit("text", Full())
    monkeypatch.setattr(sys, "stderr", Full())
    emit("text", sys.stderr)  # nobody is left to tell


def test_after_a_reader_has_gone_nothing_fails() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        emit("text", stream)
        print("x" * 100_000, file=stream, flush=True)  # as a library would


@pytest.mark.parametrize(
    ("columns", "width"), [("33", 33), ("0", 80), ("-5", 80), ("wide", 80), ("", 80)]
)
def test_width_of_what_is_no_terminal(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(io.StringIO()) == width


def test_a_table_in_each_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["東京", "1.5"], ["a", "22.0"]]
    Console().table("Title", ["name", "value"], rows, note="note")
    assert capsys.readouterr().out == "Title\nname value\n東京   1.5\na     22.0\nnote\n"
    monkeypatch.setenv("COLUMNS", "9")
    Console().table("Title", ["name", "value"], rows)
    assert capsys.readouterr().out == "Title\n東京\n  value 1.5\na\n  value 22.0\n"


def test_what_quiet_and_json_leave(capsys: pytest.CaptureFixture[str]) -> None:
    def everything(console: Console) -> tuple[str, str]:
        console.note("note")
        console.warn("warning")
        console.show("shown")
        console.table("table", ["a"], [["b"]])
        console.result({"result": 1})
        captured = capsys.readouterr()
        return captured.out, captured.err

    assert everything(Console()) == ("shown\ntable\na\nb\n", "note\nWarning: warning\n")
    assert everything(Console(quiet=True)) == ("shown\ntable\na\nb\n", "Warning: warning\n")
    out, err = everything(Console(as_json=True))
    assert out == '{"result": 1}\n'
    assert err == "note\nWarning: warning\nshown\ntable\na\nb\n"
    out, err = everything(Console(as_json=True, quiet=True))
    assert (out, err) == ('{"result": 1}\n', "Warning: warning\n")


def test_prose_breaks_between_words_on_a_terminal_and_commands_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "24")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    command = "  clairkit build-pairs prompts.jsonl -o pairs.jsonl"
    Console().show(f"one two three four five six\n{command}\n    > quoted words that go on")
    assert stream.getvalue().split("\n")[:3] == ["one two three four five", "six", command]
    assert all(line.startswith("    ") for line in stream.getvalue().split("\n")[3:-1])


def test_lines_of_a_file_stay_whole_unless_columns_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    line = "one two three four five six " * 8
    Console().show(line)
    assert capsys.readouterr().out == line + "\n"
    monkeypatch.setenv("COLUMNS", "24")
    Console().show(line)
    assert all(len(part) <= 24 for part in capsys.readouterr().out.split("\n"))


def test_a_signal_s_handler_may_speak_while_the_stream_is_written(tmp_path: Path) -> None:
    class Interrupted(io.RawIOBase):
        """Its first write is interrupted by a handler that prints on the same stream."""

        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor
            self.is_interrupted = False

        def writable(self) -> bool:
            return True

        def fileno(self) -> int:
            return self.descriptor

        def write(self, data: Any) -> int:
            if not self.is_interrupted:
                self.is_interrupted = True
                emit("handler\n", stream)
            return os.write(self.descriptor, data)

    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    stream = io.TextIOWrapper(io.BufferedWriter(Interrupted(descriptor)), encoding="utf-8")
    emit("line\n", stream)
    assert sorted(path.read_text().splitlines()) == ["handler", "line"]
    os.close(descriptor)
    stream.detach().detach()
