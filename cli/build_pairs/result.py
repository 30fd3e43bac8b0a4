"""Show what a run of `clairkit build-pairs` made, or its probe found, and end it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from clairkit.cli.shared.ending import raised
from clairkit.display import counted, excerpt
from clairkit.errors import EvidenceError, GateError

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.generation.export import BuildResult
    from clairkit.probe import ProbeResult
    from clairkit.records.json_types import JsonMapping


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
            **result.facts(),
            "failed": result.failed,
            "skipped": skipped,
            "new_calls": result.new_calls,
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


_CODES = {"healthy": 0, "unhealthy": GateError.exit_code, "undecided": EvidenceError.exit_code}


def show_card(
    console: Console, result: ProbeResult, skipped: Mapping[str, int], resume: str
) -> None:
    """Show what a probe found.

    Args:
        console: where.
        result: what `clairkit.probe.run_probe` returned.
        skipped: rows left out, by reason.
        resume: the command that goes on, when the probe is not done.
    """
    from clairkit.probe import remarks, spent_text, tables

    files = {"card": result.path, "markdown": result.markdown, "cases": result.cases}
    console.result(
        {
            "probe": True,
            **result.card.to_json(),
            "skipped": skipped,
            "files": {name: str(path) for name, path in files.items()},
            "journal": str(result.journal),
            "resume": raised(resume, result) if result.unfinished else None,
        }
    )
    for table in tables(result.card):
        console.table(table.title, table.columns, table.rows, note=table.note)
        console.show("")
    for remark in remarks(result.card):
        console.show(remark)
    console.show(f"The probe took {spent_text(result.card)}.")
    if result.is_written:
        console.show(f"Card: {result.markdown}\nCases with their texts: {result.cases}")


def exit_code(result: ProbeResult) -> int:
    """Return the exit code of a probe that is done: 0 healthy, 7 unhealthy, 8 undecided."""
    return _CODES[result.card.state]
