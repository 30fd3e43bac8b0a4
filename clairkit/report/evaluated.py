"""Read what `clairkit evaluate -o EVAL/` left: its figures, the answers, verdicts and votes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from clairkit.errors import DataError
from clairkit.records.json_types import JsonMapping, JsonObject

Row = JsonMapping
Basis = Literal["judge", "check", "people"]
_BASES: tuple[Basis, ...] = get_args(Basis)

_FIGURES, _ITEMS = "eval.json", "items.jsonl"
_SCHEMA = 1
_AGAIN = "run the evaluation again: finished answers are kept"


@dataclass(frozen=True)
class Comparison:
    """A candidate's answer to one prompt beside the baseline's."""

    prompt_id: str  # of the prompt
    model: str  # the candidate's name
    answer: Row  # the candidate's row
    other: Row | None  # the baseline's row; None where there is no baseline
    verdicts: Sequence[Row]  # rows of judges on these two
    votes: Sequence[Row]  # rows of people on these two, in time order

    @property
    def judged(self) -> float | None:
        """Return the mean of the verdicts that could be parsed, in [0, 1]; None without one."""
        return _mean(self.verdicts)

    @property
    def people(self) -> float | None:
        """Return the mean of the votes, in [0, 1]; None without one."""
        return _mean(self.votes)

    @property
    def checked(self) -> float | None:
        """Return 1, 1/2 or 0 by what the check says of both; None where it did not look."""
        if self.other is None:
            return None
        ours, theirs = self.answer.get("right"), self.other.get("right")
        if ours is None or theirs is None:
            return None
        return 0.5 + (bool(ours) - bool(theirs)) / 2

    def score(self, basis: Basis) -> float | None:
        """Return how the candidate did here by judges, people or the check."""
        return {"judge": self.judged, "people": self.people, "check": self.checked}[basis]

    @property
    def length_difference(self) -> int:
        """Return how many characters longer the candidate's answer is."""
        return len(text_of(self.answer)) - len(text_of(self.other))


@dataclass(frozen=True)
class Evaluated:
    """An evaluation: its folder's name, `eval.json`, and the comparisons, candidates in order.

    `baseline` is None where models were not compared.
    """

    name: str
    facts: Row
    baseline: str | None
    candidates: Sequence[str]
    comparisons: Mapping[str, Sequence[Comparison]]

    def signals(self) -> list[Row]:
        """Return the signals that are objects, in the table's order."""
        return self.rows("signals")

    def rows(self, name: str) -> list[Row]:
        """Return the objects of a list in `eval.json`; none where it is missing."""
        return _rows(self.facts.get(name))

    @cached_property
    def bases(self) -> Mapping[str, Basis | None]:
        """The basis on which most of each candidate's prompts have a score; judges come first."""
        found: dict[str, Basis | None] = {}
        for model, compared in self.comparisons.items():
            counts = {b: sum(each.score(b) is not None for each in compared) for b in _BASES}
            best = max(_BASES, key=counts.__getitem__)
            found[model] = best if counts[best] else None
        return found


def is_evaluation(path: Path) -> bool:
    """Return whether a path is a folder that `evaluate` wrote."""
    return (path / _FIGURES).is_file()


def read_evaluation(path: Path) -> Evaluated:
    """Return the evaluation in a folder; without `items.jsonl` it has no comparisons.

    Raises:
        DataError: a file is damaged, or was written by a later version.
    """
    facts = read_object(path / _FIGURES, _AGAIN)
    if facts.get("schema") != _SCHEMA:
        raise DataError(
            "the evaluation is of another version",
            path=path / _FIGURES,
            received=facts.get("schema"),
            remedy="use the clairkit that wrote it, or evaluate anew",
        )
    roles = {str(each.get("name")): each.get("role") for each in _rows(facts.get("models"))}
    baseline = next((name for name, role in roles.items() if role == "baseline"), None)
    candidates = [name for name in roles if name != baseline]
    items = path / _ITEMS
    rows = list(_lines(items)) if items.is_file() else []
    grouped = _grouped(rows)
    comparisons = {name: _comparisons(grouped, name, baseline) for name in candidates}
    return Evaluated(path.absolute().name, facts, baseline, candidates, comparisons)


def text_of(answer: Row | None) -> str:
    """Return the text of an answer's row; "" where there is none."""
    text = None if answer is None else answer.get("answer")
    return text if isinstance(text, str) else ""


@dataclass(frozen=True)
class _Grouped:
    answers: Mapping[str, Mapping[str, Row]]
    verdicts: Mapping[tuple[str, str], list[Row]]
    votes: Mapping[tuple[str, str], list[Row]]


def _grouped(rows: Iterable[Row]) -> _Grouped:
    answers: dict[str, dict[str, Row]] = defaultdict(dict)
    verdicts: dict[tuple[str, str], list[Row]] = defaultdict(list)
    votes: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        place = str(row.get("id")), str(row.get("model"))
        if row.get("kind") == "answer":
            answers[place[0]][place[1]] = row
        elif row.get("kind") == "verdict":
            verdicts[place].append(row)
        elif row.get("kind") == "vote":
            votes[place].append(row)
    return _Grouped(answers, verdicts, votes)


def _comparisons(found: _Grouped, model: str, baseline: str | None) -> list[Comparison]:
    made = []
    for prompt_id, answers in found.answers.items():
        if model in answers:
            place = prompt_id, model
            made.append(
                Comparison(
                    prompt_id,
                    model,
                    answers[model],
                    answers.get(baseline) if baseline else None,
                    found.verdicts.get(place, []),
                    sorted(found.votes.get(place, []), key=lambda row: str(row.get("at") or "")),
                )
            )
    return made


def _mean(rows: Sequence[Row]) -> float | None:
    scores = [row["score"] for row in rows if isinstance(row.get("score"), int | float)]
    return fmean(scores) if scores else None


def _rows(value: Any) -> list[Row]:
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, Mapping)]


def _lines(path: Path) -> Iterable[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(
                    "the line is damaged", path=path, line=number, remedy=_AGAIN
                ) from None
            if isinstance(row, dict):
                yield row


def read_object(path: Path, remedy: str) -> JsonObject:
    """Return the JSON object that a file holds.

    Raises:
        DataError: it can't be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problem = f"the file can't be read ({type(error).__name__})"
        raise DataError(problem, path=path, remedy=remedy) from None
    if not isinstance(found, dict):
        raise DataError("the file holds no JSON object", path=path)
    return found
