"""Choose what a probe asks, by its settings: answers to be revised, and those known to be good."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Literal

from clairkit.errors import UsageError
from clairkit.generation.gates.language import find_language
from clairkit.probe.fault_injection import PLANTERS, TEXTS, PlantedFault, is_code, items_in, plant
from clairkit.records import Message, PromptRow, digest
from clairkit.texts import languages, texts

GOOD, SLICE = "good", "slice"
"""Columns of a prompt file: the row's answer is known to be good; the group that it counts in."""
_PLACES = 12  # places for a fault that are tried in one answer, by kind
_EXAMINED = 400  # characters of a row that tell its language
_YES = frozenset(("true", "yes", "1"))
Probe = Literal["untouched", "fault", "repeat"]


@dataclass(frozen=True)
class Thresholds:
    """What a healthy reviser reaches; each is a lowest share.

    A share passes when its whole interval lies at or above the threshold, and fails when its
    whole interval lies below. The defaults are what the built-in answers can show with few
    errors: with all 12 Japanese ones untouched, say, the interval begins at 0.76.

    Raises:
        UsageError: one is not in [0, 1].
    """

    usable: float = 0.8
    """Replies that a run would take. What can't be read, or a gate drops, is paid for and lost."""
    untouched: float = 0.75
    """Good answers that come back as they are. A reviser that touches these teaches style."""
    fixed: float = 0.6
    """Planted faults that are mended."""
    careful: float = 0.7
    """Of the answers with a fault in which anything was changed: at most 2 % of the text around
    the fault was."""
    steady: float = 0.5
    """Answers whose repeated revisions edit mostly the same places."""
    preferred: float = 0.5
    """Revisions that the judge prefers to the answer, in both orders."""
    judge_right: float = 0.7
    """Planted faults that the judge sees, in both orders. A judge that fails has no say."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise UsageError(f"the threshold {name} must lie in [0, 1]", received=value)


@dataclass(frozen=True)
class ProbeSettings:
    """How much a probe asks, and what it wants.

    Raises:
        UsageError: a number is too small.
    """

    rows: int = 20
    """Rows of the prompt file whose answers are not known to be good."""
    repeats: int = 3
    """Revisions of each of these."""
    good: int = 40
    """Good answers at most."""
    faults: int = 10
    """Planted faults of each kind at most."""
    seed: int = 0
    """Another one draws other rows and other places for faults."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """What a healthy reviser reaches."""

    @classmethod
    def of_size(cls, rows: int, *, seed: int = 0) -> ProbeSettings:
        """Return settings that ask more, or less, of everything: in proportion to `rows`.

        Raises:
            UsageError: there are no rows.
        """
        if rows < 1:
            raise UsageError("a probe needs at least one row", received=rows)
        return cls(rows=rows, good=2 * rows, faults=-(-rows // 2), seed=seed)

    def __post_init__(self) -> None:
        for name, least in (("rows", 0), ("repeats", 1), ("good", 1), ("faults", 0)):
            if getattr(self, name) < least:
                problem = f"{name} of a probe must be at least {least}"
                raise UsageError(problem, received=getattr(self, name))


@dataclass(frozen=True)
class ProbeCase:
    """One revision that a probe asks for.

    Attributes:
        probe: `untouched`: the answer is good, and should come back as it is; `fault`: a good
            answer with one planted fault; `repeat`: an answer as any other, revised several times.
        row: the prompt, with the answer that the reviser is given.
        slice: the group that the case counts in.
        fault: of a `fault`.
        repeat: which revision of the same answer this is, from 0.
    """

    probe: Probe
    row: PromptRow
    slice: str
    fault: PlantedFault | None = None
    repeat: int = 0


def make_cases(rows: Iterable[PromptRow], settings: ProbeSettings) -> list[ProbeCase]:
    """Return the cases of a probe; the same for the same rows, in whatever order they stand.

    Rows whose column `good` is true are answers known to be good. Without any, answers that come
    with clairkit are used: those in the language of the rows, English where there are none.

    Args:
        rows: of the prompt file; read once, only what is drawn is kept.
        settings: how much to ask.
    """
    good, others = _drawn(rows, settings)
    good = good or heapq.nsmallest(
        settings.good, built_in(_language_of(others)), key=lambda row: _place(row, settings)
    )
    return [
        *(ProbeCase("untouched", row, slice_of(row)) for row in good),
        *_planted(good, settings),
        *(
            ProbeCase("repeat", row, slice_of(row), repeat=repeat)
            for row in others
            for repeat in range(settings.repeats)
        ),
    ]


def built_in(language: str) -> list[PromptRow]:
    """Return the good answers that come with clairkit, in `en` or `ja`.

    Raises:
        UsageError: there are none in this language.
    """
    return [
        PromptRow(
            (Message(role="user", content=each["prompt"]),),
            each["answer"],
            id=f"built-in-{language}-{number}",
            extra={SLICE: each["slice"]},
        )
        for number, each in enumerate(texts(TEXTS, language)["answers"], start=1)
    ]


def is_good(row: PromptRow) -> bool:
    """Return whether a row's answer is marked as good."""
    return row.answer is not None and str(row.extra.get(GOOD, "")).strip().lower() in _YES


def slice_of(row: PromptRow) -> str:
    """Return the group of a row: its column `slice`, else what its answer holds."""
    given = row.extra.get(SLICE)
    if isinstance(given, str | int) and str(given).strip():
        return str(given)
    answer = row.answer or ""
    if is_code(answer):
        return "code"
    return "steps" if items_in(answer) > 1 else "text"


def _language_of(rows: Sequence[PromptRow]) -> str:
    """Return the language of the built-in answers for these rows."""
    texts = (row.answer or row.prompt[-1]["content"] for row in rows)
    found = find_language("\n".join(text[:_EXAMINED] for text in texts))
    return found if found in languages(TEXTS) else "en"


def _drawn(
    rows: Iterable[PromptRow], settings: ProbeSettings
) -> tuple[list[PromptRow], list[PromptRow]]:
    """Return the good rows and the others that are drawn: those with the least digests."""
    good: list[tuple[str, int, PromptRow]] = []
    others: list[tuple[str, int, PromptRow]] = []
    for number, row in enumerate(rows):
        kept, most = (good, settings.good) if is_good(row) else (others, settings.rows)
        kept.append((_place(row, settings), number, row))
        if len(kept) > 2 * most:
            kept[:] = heapq.nsmallest(most, kept)
    return (
        [row for _, _, row in heapq.nsmallest(settings.good, good)],
        [row for _, _, row in heapq.nsmallest(settings.rows, others)],
    )


def _place(row: PromptRow, settings: ProbeSettings) -> str:
    """Return where a row stands in the drawing, whatever its place in the file."""
    return digest([settings.seed, row.id, row.prompt, row.answer])


def _planted(good: Sequence[PromptRow], settings: ProbeSettings) -> Iterator[ProbeCase]:
    """Yield up to `settings.faults` cases of each kind, second places after all first ones."""
    for kind in PLANTERS:
        seen: set[tuple[str, str]] = set()
        for place, row in product(range(_PLACES), good):
            if len(seen) >= settings.faults:
                break
            prompt = "\n".join(turn["content"] for turn in row.prompt)
            seed = _PLACES * settings.seed + place
            fault = plant(kind, row.answer or "", prompt=prompt, seed=seed)
            if fault is not None and (row.id, fault.text) not in seen:
                seen.add((row.id, fault.text))
                yield ProbeCase("fault", replace(row, answer=fault.text), slice_of(row), fault)
