"""End a command that makes model calls: how it was stopped, and the command that goes on."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.errors import ClairError
    from clairkit.models.budget import ReachedCap

PARTIAL = 4


class Stopped(Protocol):
    """Why a run ended early: a `Budget`, a `BuildResult`, a `ProbeResult`."""

    @property
    def signal(self) -> int | None: ...

    @property
    def reached(self) -> ReachedCap | None: ...


def leave_early(
    console: Console, stopped: Stopped, error: ClairError | None, resume: str
) -> int | None:
    """Return the exit code of what was stopped, its last line being how to go on; else None.

    Args:
        console: prints it.
        stopped: what stopped the run.
        error: the error that did, if one did.
        resume: the command that goes on.

    Raises:
        ClairError: `error`, with how to go on.
    """
    if error is not None:
        way_on = f"To go on:\n{resume}"
        remedy = f"{error.remedy.rstrip('.')}. {way_on}" if error.remedy else way_on
        raise type(error)(error.problem, received=error.received, remedy=remedy) from error
    if stopped.signal is not None:
        console.warn(f"Interrupted. To go on:\n{resume}")
        return 128 + signal.Signals(stopped.signal)
    if stopped.reached is not None:
        way_on = raised(resume, stopped)
        console.warn(f"{cap_text(stopped.reached)}. To go on, with a higher cap:\n{way_on}")
        return PARTIAL
    return None


def raised(resume: str, stopped: Stopped) -> str:
    """Return the command that goes on, with a higher cap where one ended the run."""
    if stopped.reached is None:
        return resume
    words = shlex.split(resume)
    flag, value = _flag(stopped.reached), f"{stopped.reached.raised:.15g}"
    options = words[: words.index("--")] if "--" in words else words
    for index, word in enumerate(options):
        if word == flag:
            words[index + 1] = value
        elif word.startswith(f"{flag}="):
            words[index] = f"{flag}={value}"
    if not any(word.partition("=")[0] == flag for word in options):  # the cap is --config's
        words[len(options) : len(options)] = [flag, value]
    return shlex.join(words)


def cap_text(reached: ReachedCap) -> str:
    """Return which cap ended a run, and what it takes to go on."""
    flag = _flag(reached)
    if reached.option == "max_calls":
        left = reached.needed - reached.done
        coming = "one more would pass it" if left == 1 else f"the next {left} go out together"
        return f"{flag} {reached.cap} is reached: {reached.done:,} calls so far, and {coming}"
    return f"{flag} {reached.cap:g} is reached: the next call may pass it"


def _flag(reached: ReachedCap) -> str:
    return f"--{reached.option.replace('_', '-')}"
