"""Names of columns: what is accepted, what was probably meant, and the optional ones read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from clairkit.records.faults import RowFault
from clairkit.records.messages import kind_of, text_of

PAIR_FORMS = "prompt, chosen, rejected · chosen, rejected · task, student_solution, revision"
ONE_SIDED_FORMS = "prompt, chosen · prompt, rejected · prompt, completion, label"

# What others call our columns. They are suggested, never guessed: a wrong guess trains a model.
_OTHER_WORDS = {
    "prompt": ("instruction", "question", "query", "input", "messages", "text", "task"),
    "chosen": ("revision", "accepted", "preferred", "winner", "better", "positive", "response_w"),
    "rejected": ("student_solution", "dispreferred", "loser", "worse", "negative", "response_l"),
    "answer": ("response", "completion", "output", "generation"),
}


def missing(row: Mapping[str, Any], wanted: Sequence[str], accepted: str) -> RowFault:
    """Return the fault of a row without some of the columns `wanted`."""
    absent = [name for name in wanted if name not in row]
    found = [str(name) for name in row]
    hints = [f"rename `{near}` to `{name}`" for name in absent if (near := _near(name, found))]
    if len(found) == 1 and any(mark in found[0] for mark in ";\t"):
        hints = ["separate the columns with commas"]
    problem = f"column {', '.join(f'`{name}`' for name in absent)} is missing"
    listed = ", ".join(found[:12]) + (", …" if len(found) > 12 else "")
    remedy = " and ".join([*hints, f"use the columns {accepted}"])
    return RowFault("missing_column", problem, received=listed or "no columns", remedy=remedy)


def _near(name: str, found: Iterable[str]) -> str | None:
    lowered = {column.strip().lower(): column for column in found if column != name}
    for word in (name, *_OTHER_WORDS.get(name, ())):
        if word in lowered:
            return lowered[word]
    close = get_close_matches(name, lowered, n=1, cutoff=0.7)
    return lowered[close[0]] if close else None


def explicit_id(row: Mapping[str, Any]) -> str:
    """Return the row's own `id` as text, or "" when it has none and one must be computed."""
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        problem = f"column `id` must be text or an integer and is {kind_of(value)}"
        raise RowFault("bad_type", problem)
    return text_of(value, "id")


def optional_text(row: Mapping[str, Any], *names: str) -> str | None:
    """Return the text of the first of the columns `names` that is there and not null."""
    for name in names:
        if row.get(name) is not None:
            return text_of(row[name], name)
    return None


def optional_object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object in column `name`, empty when it is absent or null."""
    value = row.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problem = f"column `{name}` must be an object and is {kind_of(value)}"
        raise RowFault("bad_type", problem, remedy=f"rename your column `{name}`")
    return dict(value)


def others(row: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return the columns of `row` that are not `known`: they are carried along."""
    names = frozenset(known)
    return {name: value for name, value in row.items() if name not in names}
