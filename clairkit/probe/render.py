"""Render the health card for people: tables, remarks, and both as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clairkit.display import excerpt
from clairkit.intervals import Interval
from clairkit.journal.prices import dollars
from clairkit.models.reasons import reason
from clairkit.probe.findings import HealthCard
from clairkit.probe.measures import Mean, Rate
from clairkit.probe.observe import Observation
from clairkit.scoring import EditSpan, align, units_of

_NONE = "\u2013"
_BESIDE = 24  # characters shown before and after an edit


@dataclass(frozen=True)
class Table:
    """A table for people: the first column names, the others hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(card: HealthCard) -> list[Table]:
    """Return the tables of a card; those without rows are left out."""
    made = [
        _findings(card),
        _kinds(card),
        _slices(card),
        _reasons("Replies that a run would not take", "replies", card.unusable),
        _reasons("What the drawn rows would become", "rows", card.rows),
    ]
    return [table for table in made if table.rows]


def remarks(card: HealthCard) -> list[str]:
    """Return what follows from the card, a sentence or two each."""
    return list(_remarks(card))


def to_markdown(card: HealthCard) -> str:
    """Return the card as Markdown; model text in it is escaped and short."""
    first, *others = tables(card)
    lines = [f"# {first.title}", ""]
    lines += [f"- {_plain(name)}: {_plain(value)}" for name, value in card.about.items()]
    lines += [f"- it took {spent_text(card)}", "", *_grid(first), "", first.note]
    for table in others:
        lines += ["", f"## {table.title}", "", *_grid(table)]
        lines += ["", table.note] if table.note else []
    lines += ["", "## What follows", "", *(f"- {_plain(each)}" for each in _remarks(card))]
    if card.examples:
        lines += ["", "## Cases to look at", "", *(f"- {each}" for each in _examples(card))]
    return "\n".join(lines) + "\n"


def spent_text(card: HealthCard) -> str:
    """Return what the probe took, in words."""
    calls, tokens, cost = (card.spent[name] for name in ("calls", "tokens", "cost"))
    text = f"{calls:,} calls, {tokens['prompt']:,} + {tokens['completion']:,} tokens"
    return text if cost is None else f"{text}, {dollars(cost)}"


def _findings(card: HealthCard) -> Table:
    rows = tuple(
        (each.label, *_cells(each.rate), _percent(each.threshold), each.verdict)
        for each in card.findings
    )
    columns = ("", "share", "95 % interval", "of", "at least", "verdict")
    note = "A line passes, or fails, when its whole interval does."
    return Table(f"Reviser health: {card.state}", columns, rows, note)


def _kinds(card: HealthCard) -> Table:
    columns = ("fault", "mended", "95 % interval", "of", "rewritten", "missed", "other change")
    rows = tuple(
        (kind, *_cells(each.fixed), str(each.changed), str(each.missed), _mean(each.collateral))
        for kind, each in card.kinds.items()
    )
    note = (
        "rewritten: what was wrong is gone, and what was right is not back word by word; other "
        "change: mean share of the graphemes beside the fault, where anything was changed, with "
        "its bootstrap interval."
    )
    return Table("Planted faults by kind", columns, rows, note)


def _slices(card: HealthCard) -> Table:
    columns = (
        "group",
        "untouched",
        "95 % interval",
        "of",
        "mended",
        "95 % interval",
        "of",
        "other change",
    )
    rows = tuple(
        (name, *_cells(each.untouched), *_cells(each.faults.fixed), _mean(each.faults.collateral))
        for name, each in card.slices.items()
    )
    return Table("Good answers by group", columns, rows)


def _reasons(title: str, counted: str, counts: Mapping[str, int]) -> Table:
    rows = [
        (code if code == "pair" else f"{code}: {reason(code).meaning}", str(count))
        for code, count in counts.items()
    ]
    return Table(title, ("", counted), tuple(rows))


def _remarks(card: HealthCard) -> Iterator[str]:
    verdicts = {each.name: each.verdict for each in card.findings}
    for finding in card.findings:
        if finding.verdict == "fail" and finding.name not in card.aside:
            label = finding.label[:1].upper() + finding.label[1:]
            yield f"{label}: too few. {_ADVICE[finding.name]}."
    if any(verdict == "undecided" for verdict in verdicts.values()):
        yield (
            "Where it says undecided, more cases can decide it: a higher --probes, and more rows "
            "with an answer that is known to be good and the column `good`: true."
        )
    if not card.judge_counts:
        yield f"The judge misses planted faults: its preferences do not count. {_ADVICE_JUDGE}."
    if card.changed_for_better.n:
        better = card.changed_for_better
        yield f"The judge prefers {better.hits} of {better.n} changes of good answers."
    if card.judge_consistent.n:
        rate = card.judge_consistent
        yield f"The judge says the same in both orders in {rate.hits} of {rate.n} comparisons."
    if card.agreement.mean is not None:
        yield (
            f"Revisions of the same answer share {_mean(card.agreement)} of the places that they "
            "edit."
        )
    if card.open:
        yield f"{_cases(card.open)} not done; the same command goes on with them."
    for code, count in card.lost.items():
        yield f"{_cases(count)} without a result ({code}: {reason(code).meaning}): in no share."


_ADVICE_JUDGE = "Choose another judge, one that is not the reviser"
_ADVICE = {
    "usable": "Look at the reasons, give --reviser-max-tokens more room, or change the template",
    "untouched": "Ask for fewer changes in the template, or take --revision edits or "
    "--max-edit-share",
    "fixed": "Take a stronger reviser, or say in a rubric what to look for",
    "careful": "Take --revision edits, or --max-edit-share",
    "steady": "Lower --reviser-temperature, or say more exactly in a rubric what counts",
    "preferred": "Do not train on these pairs before you have read some of them",
}


def _examples(card: HealthCard) -> Iterator[str]:
    for each in card.examples:
        fault, name = each.case.fault, f"{_plain(each.case.row.id)} ({_plain(each.case.slice)})"
        if fault is not None and each.repair == "missed":
            was = f"{_code(fault.right)} became {_code(fault.wrong or 'nothing')}"
            yield f"{name}: the planted {fault.kind} was missed: {was}"
        else:
            place = "around the fault" if fault is not None else "in a good answer"
            was, now = _first_change(each)
            yield f"{name}: changed {place}: {_code(was)} to {_code(now)}"


def _first_change(seen: Observation) -> tuple[str, str]:
    """Return the longest edit of a case with some text beside it, before and after."""
    answer, revision = units_of(seen.answer or "", None), units_of(seen.revision or "", None)
    spans = align(answer, revision).spans
    longest = max(spans, key=lambda span: span.length, default=EditSpan(0, 0, 0, 0))
    return (
        _around(answer, longest.rejected_start, longest.rejected_end),
        _around(revision, longest.chosen_start, longest.chosen_end),
    )


def _around(units: Sequence[str | int], start: int, end: int) -> str:
    return "".join(map(str, units[max(0, start - _BESIDE) : end + _BESIDE]))


def _cells(rate: Rate) -> tuple[str, str, str]:
    return _percent(rate.share), _interval(rate.interval), str(rate.n)


def _mean(mean: Mean) -> str:
    return f"{_percent(mean.mean)} ({_interval(mean.interval)})" if mean.n else _NONE


def _interval(interval: Interval | None) -> str:
    return _NONE if interval is None else f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f} %"


def _cases(count: int) -> str:
    return "1 case is" if count == 1 else f"{count} cases are"


def _grid(table: Table) -> list[str]:
    lines = [list(table.columns), ["---", *["---:"] * (len(table.columns) - 1)]]
    lines += [[_plain(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(line)} |" for line in lines]


_MARKUP = str.maketrans(
    {
        **{character: f"\\{character}" for character in "\\`*_{}[]#|~!"},
        "<": "&lt;",
        ">": "&gt;",
        "&": "&amp;",
    }
)


def _plain(value: object) -> str:
    """Return a value as text that Markdown shows literally."""
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(name)} {_plain(each)}" for name, each in value.items())
    return excerpt(str(value), 400).translate(_MARKUP)


def _code(text: str) -> str:
    """Return a text as a code span, in which Markdown reads no markup."""
    shown = excerpt(text.strip())
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    ticks = "`" * (longest + 1)
    space = " " if longest else ""  # so that a tick at an end is none of the span's
    return f"{ticks}{space}{shown}{space}{ticks}"
