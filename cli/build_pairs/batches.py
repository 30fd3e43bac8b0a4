"""Show the batch files of `clairkit build-pairs`: what was written, and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clairkit.cli.shared.console import Console
    from clairkit.generation.batch.rounds import Imported
    from clairkit.generation.batch.run import Exported
    from clairkit.generation.export import BuildResult
    from clairkit.records.json_types import JsonObject


def show_export(console: Console, exported: Exported) -> None:
    """Show which files are to be uploaded, and what to do then."""
    rows = [
        [str(each.path), each.model, f"{each.requests:,}", f"{each.size / 1000:,.0f} kB"]
        for each in exported.files
    ]
    if rows:
        console.table(
            "To be uploaded",
            ["file", "model", "requests", "size"],
            rows,
            note="Run each as a batch of /v1/chat/completions, then give what it leaves, output "
            "and errors, to --batch-import.",
        )
    else:
        console.show("No request is open: no batch file is written.")
    from clairkit.display import counted

    if exported.earlier is not None:
        console.warn(
            f"{exported.earlier} was exported before, and nothing was imported since: "
            "run both, and requests that are in both are paid twice."
        )
    for model, count in exported.waiting.items():
        console.warn(f"{counted(count, 'call')} of {model} not made: what follows is missing.")
    console.result(export_json(exported))


def export_json(exported: Exported) -> JsonObject:
    """Return an export as `--json` has it."""
    files = [
        {"path": str(each.path), "model": each.model, "requests": each.requests, "bytes": each.size}
        for each in exported.files
    ]
    return {
        "batch_files": files,
        "waiting": dict(exported.waiting),
        "exported_before": exported.earlier,
    }


def show_import(console: Console, imported: Imported, result: BuildResult) -> None:
    """Show what the files held, before the result of the run as a whole."""
    from clairkit.models.reasons import reason

    console.show(f"Results recorded: {imported.recorded:,}")
    for code, count in imported.failures.most_common():
        console.show(f"  of these, {code}: {count:,}")
    if imported.earlier:
        console.show(f"Recorded before: {imported.earlier:,}")
    if imported.foreign:
        console.warn(f"Results that belong to no request of this run: {imported.foreign:,}")
    again = sum(count for code, count in result.counts.items() if reason(code).again)
    if rows := result.unfinished + again:
        console.note(
            f"Rows that ask more: {rows:,}. --batch-export writes it to the next file; "
            "without either, it is asked at once."
        )


def import_json(imported: Imported) -> JsonObject:
    """Return an import as `--json` has it, to stand in the run's result."""
    return {
        "recorded": imported.recorded,
        "failures": dict(imported.failures),
        "recorded_before": imported.earlier,
        "foreign": imported.foreign,
    }
