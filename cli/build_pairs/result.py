"""Show what a run of `clairkit build-pairs` made, and end it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from clairkit.cli.shared.console import Console
from clairkit.cli.shared.ending import raised
from clairkit.display import counted, excerpt
from clairkit.records.json_types import JsonMapping

if TYPE_CHECKING:
    from clairkit.generation.export import BuildResult


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
            "new_calls": result.new_calls,
            "tokens": result.tokens,
            "cost": result.cost,
            "output": str(result.path),
            "quarantine": None if result.quarantine is None else str(result.quarantine),
            "journal": str(result.journal),
            "seconds": round(result.seconds, 3),
            "resume": None if is_whole else raised(resume, result),
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

    earlier = result.calls - result.new_calls
    calls = counted(result.new_calls, "call")
    parts = [f"{calls} in this run, {result.calls:,} in all" if earlier else calls]
    tokens = result.tokens
    if any(tokens.values()):
        parts.append(f"{tokens['prompt']:,} + {tokens['completion']:,} tokens")
        parts.append("no price known" if result.cost is None else dollars(result.cost))
    return ", ".join([*parts, f"{result.seconds:.1f} s in this run"])
