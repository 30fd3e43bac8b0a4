"""End a command that makes model calls: how it was stopped, and the command that goes on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.errors import ClairError

PARTIAL = 4


class Stopped(Protocol):
    """Why a run ended early: a `Budget`, a `BuildResult`, a `ProbeResult`."""

    @property
    def signal(self) -> int | None: ...

    @property
    def over_budget(self) -> bool: ...


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
        remedy = f"{error.remedy}. To go on:\n{resume}" if error.remedy else f"To go on:\n{resume}"
        raise type(error)(error.problem, received=error.received, remedy=remedy) from error
    if stopped.signal is not None:
        console.warn(f"Interrupted. To go on:\n{resume}")
        return 128 + signal.Signals(stopped.signal)
    if stopped.over_budget:
        console.warn(f"The cap on calls or cost is reached. To go on, with a higher one:\n{resume}")
        return PARTIAL
    return None
