"""The entry point: errors to exit codes and messages, once."""

from __future__ import annotations

import importlib.util
from typing import Any

import click
import pytest

from clairkit.cli import main as main_module
from clairkit.cli.main import COMMANDS, cli, run
from clairkit.errors import ClairError

SECRET = "sk-proj-abcdef0123456789abcd"


def test_a_bug_report_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"{SECRET} \x1b[31m")

    monkeypatch.setattr(cli, "main", fails)
    assert run(["doctor"]) == 1
    err = capsys.readouterr().err
    assert "This is a bug in clairkit" in err
    assert "Traceback" in err
    assert "\x1b" not in err
    assert SECRET not in err


def subclasses(kind: type[ClairError]) -> list[type[ClairError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in subclasses(child))]


CODES = [(kind("no"), kind.exit_code) for kind in subclasses(ClairError)] + [
    (click.UsageError("no"), 2),
    (KeyboardInterrupt(), 130),
    (click.exceptions.Abort(), 130),
    (main_module.Terminated(), 143),
    (MemoryError(), 5),
    (OSError(28, "No space left on device"), 5),
    (BrokenPipeError(32, "Broken pipe"), 4),
    (ValueError("no"), 1),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: repr(value)[:40])
def test_exit_codes(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(cli, "main", fails)
    monkeypatch.setattr(main_module, "silence", lambda _stream: None)
    assert run([]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("Error: ") <= 1
    assert ("Traceback" in captured.err) == (code == 1 and not isinstance(error, ClairError))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scor"], "No such command 'scor'. Did you mean 'score'?"),
        (["nothing-like-it"], "No such command 'nothing-like-it'.\nTry 'clairkit --help'."),
        (["score"], "Missing argument 'PAIRS...'.\nTry 'clairkit score --help'."),
        (["score", "x", "--tokeniser", "y"], "--tokenizer"),
        (["--no-such"], "No such option"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    err = capsys.readouterr().err
    assert "Usage: clairkit" in err
    assert "Error" not in err


def test_a_library_that_leaves_the_program_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leaves(*_: Any, **__: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(cli, "main", leaves)
    assert run([]) == 1
    assert "This is a bug" in capsys.readouterr().err


def test_every_command_has_its_help_in_both_places() -> None:
    context = click.Context(cli)
    there = [
        name
        for name, (module, _) in COMMANDS.items()
        if importlib.util.find_spec(f"clairkit.cli.{module}")
    ]
    for name in there:
        found = cli.get_command(context, name)
        assert found is not None
        assert found.name == name
        assert (found.help or "").strip()
        below = found.commands.values() if isinstance(found, click.Group) else [found]
        for command in below:
            assert (command.help or "").strip()
            assert {"as_json", "quiet"} <= {parameter.name for parameter in command.params}
