"""Run functions of the user: `python:PACKAGE:FUNCTION` as target, reviser, judge or check.

Such code may do what would end or bend the program around it: raise `SystemExit`, close the
standard streams, change the working folder or the signal handlers, come back out of a fork.
Everything of the user's runs within `user_code`, which turns the first into an error that names
the function and undoes the others.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from clairkit.display import excerpt
from clairkit.errors import UsageError

_FORM = "write python:PACKAGE.MODULE:FUNCTION, as python:my_rules:revise"
_REMEDY = (
    "let the function return or raise an ordinary exception; "
    "what a file does as a script belongs under `if __name__ == '__main__':`"
)
_ENDS = ("_exit", "execv", "execve")
"""Functions of `os` that end this program without a word; the others of `exec` call these."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FORK_CODE = 70  # of a forked child that comes out of the user's function instead of ending

_name: ContextVar[str | None] = ContextVar("clairkit_user_code", default=None)
_loaded: list[str] = []


class UserCodeEnded(UsageError):
    """The user's code would have ended the program."""


class _LeftProcess(BaseException):
    """Raised in place of `os._exit` and its like."""


class user_code:
    """Runs a block in which code of the user's is imported or called.

    Ordinary exceptions and a real Ctrl-C pass. Streams, working folder and handlers of SIGINT and
    SIGTERM are as before when the block ends.

    Args:
        name: what runs, as the user named it.

    Raises:
        UserCodeEnded: the code raised SystemExit, KeyboardInterrupt or another exception that is
            not meant to be caught.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process = os.getpid()
        self._token: Token[str | None] | None = None

    def __enter__(self) -> None:
        self._token = _name.set(self._name)
        _surroundings.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() != self._process:
            _end_child(error)
        if self._token is not None:
            _name.reset(self._token)
        signalled = _surroundings.leave()
        if error is None or isinstance(error, Exception) or _is_cancelled(error) or signalled:
            return
        raise ended(self._name, error) from None


def _is_cancelled(error: BaseException) -> bool:
    """Whether a task was cancelled; asyncio is not imported to ask for it."""
    loaded = sys.modules.get("asyncio")
    return loaded is not None and isinstance(error, loaded.CancelledError)


def ended(name: str, error: BaseException) -> UserCodeEnded:
    """Return the error for code that tried to end the program."""
    what = str(error) if isinstance(error, _LeftProcess) else described(error)
    return UserCodeEnded(f"the function `{name}` tried to end the program ({what})", remedy=_REMEDY)


def ended_by_loaded(error: SystemExit) -> UserCodeEnded | None:
    """Return the error for an exit in a task or callback of code that was loaded, if any was."""
    return ended("` or `".join(_loaded), error) if _loaded else None


def described(error: BaseException, limit: int = 300) -> str:
    """Return kind and text of an exception; its text is code of the user's, too."""
    kind = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # a report must not fail for what it reports
        return kind
    return excerpt(f"{kind}: {text}" if text else kind, limit)


def call(name: str, function: Callable[..., object], *arguments: object) -> Any:
    """Call a function of the user's and return what it returns."""
    with user_code(name):
        return function(*arguments)


def load_function(path: str) -> Callable[..., Any]:
    """Return the function that `PACKAGE.MODULE:FUNCTION` names; the current folder comes first.

    Raises:
        UsageError: the module can't be imported, or has no such function.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise UsageError("not the name of a function", received=path, remedy=_FORM)
    with suppress(OSError):  # the folder is gone
        here = str(Path.cwd())
        if here not in sys.path:  # a console script does not look where the user stands
            sys.path.insert(0, here)
    name = f"python:{path}"
    try:
        with user_code(name):
            found: object = importlib.import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
    except UserCodeEnded:
        raise
    except Exception as error:
        problem = f"the function can't be loaded ({described(error)})"
        raise UsageError(problem, received=path, remedy=_FORM) from error
    if not callable(found):
        raise UsageError("that is not a function", received=path, remedy=_FORM)
    if name not in _loaded:
        _loaded.append(name)
    function: Callable[..., Any] = found
    return function


def refuse_silent_ends() -> None:
    """Let code of the user's no longer end this process by `os._exit` or `os.exec…`.

    For the command line, which owns its process: an exit code of 0 says that the work was done.
    Forked children end as ever. What leaves Python altogether, such as C's `_exit`, is not seen.
    """
    for end in _ENDS:
        setattr(os, end, _refusal(end, os.getpid(), getattr(os, end)))
    os.register_at_fork(after_in_child=_let_child_be_ended)


def _let_child_be_ended() -> None:
    """Give a child that code of the user's forked the usual signals.

    It has inherited ours, and with them the descriptor by which they wake the event loop of its
    parent: a pool that ends its workers would end the run.
    """
    if _name.get() is None:
        return
    with suppress(ValueError):  # not in a main thread
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)


def _refusal(end: str, process: int, real: Callable[..., object]) -> Callable[..., NoReturn]:
    def refuse(*given: object, **named: object) -> NoReturn:
        if os.getpid() != process:
            real(*given, **named)
        shown = excerpt(", ".join(map(repr, given)), 60)
        stopped = _LeftProcess(f"os.{end}({shown})")
        if _name.get() is not None:
            raise stopped
        names = "` or `".join(_loaded) or "a library"
        message = f"Error: {ended(names, stopped)}\n"
        with suppress(OSError):
            os.write(2, message.encode("utf-8", "backslashreplace"))
        _os_exit(UserCodeEnded.exit_code)

    return refuse


_os_exit = os._exit


def _end_child(error: BaseException | None) -> NoReturn:
    """End a forked child here: only its parent goes on with the work."""
    code = error.code if isinstance(error, SystemExit) else _FORK_CODE
    with suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    _os_exit(code & 0xFF if isinstance(code, int) else int(code is not None))


class _Surroundings:
    """What the blocks of `user_code` that run at the same time leave as they found it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._folder: str | None = None
        self._running_on_main = 0
        self._handlers: dict[signal.Signals, Any] = {}
        self._signalled = False
        self._kept: dict[int, int] = {}

    def enter(self) -> None:
        with self._lock:
            for number in {1, 2} - self._kept.keys():
                with suppress(OSError):
                    self._kept[number] = os.dup(number)
            if not self._running:
                self._signalled = False
                with suppress(OSError):  # the folder is gone
                    self._folder = str(Path.cwd())
            self._running += 1
            if _is_main_thread():
                if not self._running_on_main:
                    self._handlers = {number: _watch(number, self._note) for number in _SIGNALS}
                self._running_on_main += 1

    def leave(self) -> bool:
        """Undo what was changed; return whether a signal came meanwhile."""
        with self._lock:
            self._running -= 1
            self._mend_streams()
            with suppress(OSError):
                if self._folder is not None and str(Path.cwd()) != self._folder:
                    os.chdir(self._folder)
            if _is_main_thread():
                self._running_on_main -= 1
                for signal_, earlier in self._handlers.items():
                    if not self._running_on_main and earlier is not None:  # None: not Python's
                        signal.signal(signal_, earlier)
            return self._signalled

    def _note(self) -> None:
        self._signalled = True

    def _mend_streams(self) -> None:
        """Open what was closed: the next file would else get its number, and our words."""
        for number, name in ((1, "stdout"), (2, "stderr")):
            try:
                os.fstat(number)
            except OSError:
                with suppress(OSError):
                    os.dup2(self._kept[number], number)
            stream = getattr(sys, name)
            if stream is None or getattr(stream, "closed", False):
                # Line by line, and left open when this stream is dropped.
                made = os.fdopen(number, "w", 1, "utf-8", "backslashreplace", closefd=False)
                setattr(sys, name, made)


_surroundings = _Surroundings()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _watch(number: signal.Signals, note: Callable[[], None]) -> Any:
    """Have `note` called when a signal comes, before its handler; return that handler."""
    earlier = signal.getsignal(number)
    if callable(earlier):

        def handle(number: int, frame: FrameType | None) -> None:
            note()
            earlier(number, frame)

        signal.signal(number, handle)
    return earlier
