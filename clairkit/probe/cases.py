"""Choose what a probe asks: the answers to be revised, and those known to be good."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from clairkit.generation.gates.language import find_language
from clairkit.probe.fault_injection import PLANTERS, PlantedFault, is_code, items_in, plant
from clairkit.probe.settings import ProbeSettings
from clairkit.probe.words import TEXTS
from clairkit.records import Message, PromptRow, digest
from clairkit.texts import languages, texts

GOOD, SLICE = "good", "slice"
"""Columns of a prompt file: the row's answer is known to be good; the group that it counts in."""

_PLACES = 12  # places for a fault that are tried in one answer, by kind
_EXAMINED = 400  # characters of a row that tell its language
_YES = frozenset(("true", "yes", "1"))

Probe = Literal["untouched", "fault", "repeat"]


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
        *_repeated(others, settings),
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


def _repeated(rows: Sequence[PromptRow], settings: ProbeSettings) -> Iterator[ProbeCase]:
    for row in rows:
        for repeat in range(settings.repeats):
            yield ProbeCase("repeat", row, slice_of(row), repeat=repeat)
