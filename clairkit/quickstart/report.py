"""Tell at the quickstart's end what it measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clairkit.evaluation import Difference, Evaluation, compare
from clairkit.evaluation.wording import percent, points

if TYPE_CHECKING:
    from clairkit.quickstart.outcome import QuickstartResult
    from clairkit.quickstart.stations import Skills

_PARTS = {
    "sums_right": "  right sums",
    "unit_missing": "  unit missing",
    "closing_missing": "  closing missing",
}


def table_rows(before: Skills, after: Skills) -> list[Sequence[str]]:
    """Return the closing table: the KPI, what it is made of, and the guard skill.

    All cells are in per cent, changes in points, so that it fits into 80 columns.
    """
    earlier, later = before.parts(), after.parts()
    return [
        _measured("KPI: right bills", before.bills, after.bills),
        *(
            [
                name,
                *(f"{100 * part[key]:.1f}" for part in (earlier, later)),
                points(later[key] - earlier[key], unit=False),
            ]
            for key, name in _PARTS.items()
        ),
        _measured("Guard: right sums", before.sums, after.sums),
    ]


def closing_lines(outcome: QuickstartResult) -> list[str]:
    """Return what stands below the table: cost, files, and the next command."""
    folder = outcome.folder
    return [
        f"Prompts: {outcome.before.bills.n} bills and {outcome.before.sums.n} sums, none of them "
        "trained on or seen when the model was made.",
        f"Cost: {outcome.seconds:.0f} s, peak memory {outcome.peak_memory_mb:.0f} MB.",
        f"Files: {folder} (pairs: pairs.jsonl, the trained model: trained/, all figures: "
        "summary.json)",
        f"Memo for whoever decides, one page: {folder / 'memo.html'}. The gates behind it:",
        f"  clairkit pilot status {folder}",
        'Next, on your own data, a file prompts.jsonl with {"prompt": "…"} on each line:',
        "  clairkit build-pairs prompts.jsonl -o pairs.jsonl --target hf:YOUR/MODEL "
        "--reviser openai:STRONGER-MODEL",
        "  clairkit train --model YOUR/MODEL --pairs pairs.jsonl -o run",
    ]


def interval_text(found: Evaluation) -> str:
    """Return a share with its interval, all in per cent."""
    low, high = found.interval.low, found.interval.high
    return f"{percent(found.share)} [{100 * low:.1f}, {100 * high:.1f}]"


def change_text(change: Difference) -> str:
    """Return a paired change with its interval, in points."""
    ends = f"[{points(change.low, unit=False)}, {points(change.high, unit=False)}]"
    return f"{points(change.estimate)} {ends}"


def _measured(name: str, before: Evaluation, after: Evaluation) -> list[str]:
    cells = (interval_text(before), interval_text(after), change_text(compare(before, after)))
    return [name, *(cell.replace(" %", "").replace(" points", "") for cell in cells)]
