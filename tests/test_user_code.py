"""Code of the user's: what would end or bend the program is an error or is undone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clairkit.errors import UsageError
from clairkit.user_code import UserCodeEnded, call, described, load_function, user_code


class Unforeseen(BaseException):
    """Meant to be caught by nobody."""


def raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


@pytest.mark.parametrize(
    "error",
    [SystemExit(0), SystemExit("bye"), KeyboardInterrupt(), GeneratorExit(), Unforeseen("x")],
    ids=repr,
)
def test_what_would_end_the_program_names_the_function(error: BaseException) -> None:
    with pytest.raises(UserCodeEnded, match="`python:a:b` tried to end") as caught:
        call("python:a:b", raising(error))
    assert caught.value.exit_code == 2
    assert type(error).__name__ in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()], ids=repr)
def test_ordinary_exceptions_pass(error: BaseException) -> None:
    with pytest.raises(type(error)):
        call("python:a:b", raising(error))


def test_a_real_interrupt_is_the_users_wish() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        call("python:a:b", lambda: signal.raise_signal(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before


def test_folder_handlers_and_streams_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bend() -> None:
        os.chdir(tmp_path)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout.close()
        sys.stderr = None  # type: ignore[assignment]

    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w"))  # noqa: SIM115, PTH123 - user code closes it
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    before = Path.cwd(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    call("python:a:b", bend)
    assert (Path.cwd(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    sys.stdout.write("")
    sys.stderr.write("")


def test_blocks_that_overlap_restore_the_folder_of_before(tmp_path: Path) -> None:
    before = Path.cwd()
    changed, entered = threading.Event(), threading.Event()

    def first() -> None:
        with user_code("first"):
            os.chdir(tmp_path)
            changed.set()
            entered.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    changed.wait(10)
    with user_code("second"):
        entered.set()
        thread.join(10)
    assert Path.cwd() == before


def test_a_forked_child_never_goes_on_with_the_work(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def fork() -> int:
        child = os.fork()
        if not child:
            raise SystemExit(3)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    code = call("python:a:b", fork)
    with seen.open("a") as file:
        file.write("once\n")
    assert code == 3
    assert seen.read_text() == "once\n"


def test_an_exception_whose_text_fails_is_still_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise SystemExit(0)

    assert described(Broken()) == "Broken"


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("import sys\nsys.exit(0)", UserCodeEnded, "SystemExit: 0"),
        ("raise KeyboardInterrupt", UserCodeEnded, "KeyboardInterrupt"),
        ("def f(): return f()\nf()", UsageError, "RecursionError"),
        ("def broken(:", UsageError, "SyntaxError"),
        ("def __getattr__(name): raise SystemExit(0)", UserCodeEnded, "SystemExit: 0"),
    ],
)
def test_faults_of_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: Any, message: str
) -> None:
    name = f"imported_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(error, match=message) as caught:
        load_function(f"{name}:check")
    assert name in str(caught.value)
