"""Show the health card of `clairkit build-pairs --probe`, to people and as `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clairkit.cli.shared.console import Console
from clairkit.cli.shared.ending import raised
from clairkit.errors import EvidenceError, GateError

if TYPE_CHECKING:
    from clairkit.probe import ProbeResult

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
