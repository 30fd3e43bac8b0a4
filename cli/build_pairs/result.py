"""Show what a run of `clairkit build-pairs` made, and end it."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, Protocol

from clairkit.cli.shared.console import Console
from clairkit.display import counted, excerpt
from clairkit.records.json_types import JsonMapping

if TYPE_CHECKING:
    from clairkit.errors import ClairError
    from clairkit.generation.export import BuildResult

PARTIAL = 4


class Stopped(Protocol):
    """Why a run ended early: a `Budget`, a `BuildResult`, a `ProbeResult`."""

    @property
    def signal(self) -> int | None: ...

    @property
    def over_budget(self) -> bool: ...


def show_result(
    console: Console,
    result: BuildResult,
    skipped: Mapping[str, int],
    resume: str,
    more: JsonMapping,
) -> None:
    """Show the result of a run.

    Args:
        console: prints it.
        result: of the run.
        skipped: rows that were left out, by reason.
        resume: the command that goes on.
        more: is added to the JSON.
    """
    is_whole = not result.unfinished
    console.result(
        {
            "rows": result.rows,
            "pairs": result.pairs,
            "counts": result.counts,
            "flags": result.flags,
            "failed": result.failed,
            "unfinished": result.unfinished,
            "skipped": skipped,
            "calls": result.calls,
            "tokens": result.tokens,
            "cost": result.cost,
            "output": str(result.path),
            "quarantine": None if result.quarantine is None else str(result.quarantine),
            "journal": str(result.journal),
            "seconds": round(result.seconds, 3),
            "resume": None if is_whole else resume,
            **more,
        }
    )
    console.table(
        f"{counted(result.pairs, 'pair')} from {counted(result.rows, 'row')}",
        ["rows", "count"],
        list(_rows(result, skipped)),
        note=_spent(result),
    )
    if not result.pairs:
        for code, example in result.examples.items():
            console.show(f"{code}, {excerpt(example, 300)}")
    console.show(f"Pairs: {result.path}")
    if result.quarantine is not None:
        console.show(f"Why not the others: {result.quarantine}")
    if result.removing:
        console.warn(
            f"A removal of {counted(result.removing, 'row')} was cut short, and their texts are "
            "still in files: give the same `clairkit remove` again."
        )
    if is_whole and result.pairs:
        console.note(f"Next: clairkit score {shlex.quote(str(result.path))}")


def _rows(result: BuildResult, skipped: Mapping[str, int]) -> Iterator[list[str]]:
    from clairkit.models.reasons import reason

    yield ["pair", f"{result.pairs:,}"]
    for code, count in result.flags.items():
        yield [f"  of these, {code}: {reason(code).meaning}", f"{count:,}"]
    for code, count in result.counts.items():
        yield [f"{code}: {reason(code).meaning}", f"{count:,}"]
    if result.unfinished:
        yield ["not done yet", f"{result.unfinished:,}"]
    for code, count in skipped.items():
        yield [f"left out, {code}", f"{count:,}"]


def _spent(result: BuildResult) -> str:
    from clairkit.journal.prices import dollars

    parts = [counted(result.calls, "call")]
    tokens = result.tokens
    if any(tokens.values()):
        parts.append(f"{tokens['prompt']:,} + {tokens['completion']:,} tokens")
        parts.append("no price known" if result.cost is None else dollars(result.cost))
    return ", ".join([*parts, f"{result.seconds:.1f} s in this run"])


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
        _raise_with(error, resume)
    if stopped.signal is not None:
        console.warn(f"Interrupted. To go on:\n{resume}")
        return 128 + signal.Signals(stopped.signal)
    if stopped.over_budget:
        console.warn(f"The cap on calls or cost is reached. To go on, with a higher one:\n{resume}")
        return PARTIAL
    return None


def _raise_with(error: ClairError, resume: str) -> NoReturn:
    """Raise an error with the command that resumes as the end of its remedy."""
    remedy = f"{error.remedy}. To go on:\n{resume}" if error.remedy else f"To go on:\n{resume}"
    raise type(error)(error.problem, received=error.received, remedy=remedy) from error
