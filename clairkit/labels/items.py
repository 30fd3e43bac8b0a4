"""Read what people can be asked about: two answers to a prompt, from other stations' files.

A further kind of source is a further function from a file's row to an `Item`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from clairkit.labels.label_files import Label, read_labels
from clairkit.records import Message, RowStream
from clairkit.records.faults import RowFault
from clairkit.records.forms import to_pair, to_prompt
from clairkit.records.json_types import JsonMapping
from clairkit.records.read import read_rows

Question = Literal["better", "accept"]
QUESTIONS: tuple[Question, ...] = get_args(Question)


@dataclass(frozen=True)
class Item:
    """Two answers to one prompt.

    Attributes:
        id: of the row in the source.
        prompt: what both answer.
        a: the first one's text: the model, the chosen side, the revision.
        b: the second one's: the baseline, the rejected side, the answer that was revised.
        names: what A and B are called in tables.
        right: in a gold item, the vote that is right.
    """

    id: str
    prompt: tuple[Message, ...]
    a: str
    b: str
    names: tuple[str, str]
    right: str | None = None


def read_items(source: str | os.PathLike[str], *, skip_bad: bool = False) -> RowStream[Item]:
    """Return the items of a source as a stream; sources as in `clairkit.records.read_pairs`.

    A row has one of these forms:

    - as `evaluate -o` writes it with a baseline: `prompt`, `answer`, `model` and `baseline`;
    - `prompt`, `a`, `b`; or `prompt`, `answer`, `revision`;
    - a pair: the chosen side is A, the rejected one B.

    Args:
        source: the file, folder or Hub id.
        skip_bad: count bad rows instead of raising at the first.

    Raises:
        DataError: the source is missing, or, when iterated, a row is bad.
    """
    return read_rows(source, to_item, skip_bad=skip_bad)


def to_item(row: JsonMapping) -> Item:
    """Return the item of a file row.

    Raises:
        RowFault: a column is missing or wrong.
    """
    if isinstance(row.get("baseline"), Mapping):
        return _evaluated(row, row["baseline"])
    if "model" in row and "answer" in row and "chosen" not in row:
        raise RowFault(
            "no_other_side",
            "the row holds the answer of one model alone",
            remedy="run `clairkit evaluate` with --baseline",
        )
    for a, b in (("a", "b"), ("revision", "answer")):
        if a in row and b in row:
            return _item(row, (_text(row, a), _text(row, b)), (a, b))
    pair = to_pair(row)
    sides = ["\n\n".join(turn["content"] for turn in side) for side in (pair.chosen, pair.rejected)]
    return Item(pair.id, pair.prompt, sides[0], sides[1], ("chosen", "rejected"))


def read_gold(source: str | os.PathLike[str], question: Question) -> list[Item]:
    """Return items with a known right vote, from labels in the form that `calibrate` reads.

    Raises:
        DataError: a row is bad, or of the other question's form.
    """
    return list(_gold(read_labels(source), question))


def _gold(labels: Sequence[Label] | RowStream[Label], question: Question) -> Iterator[Item]:
    form = "accepted" if question == "accept" else "compared"
    for number, label in enumerate(labels, 1):
        if label.form != form:
            fault = RowFault(
                "bad_gold",
                f"a gold row of the question `{question}` is of the form `{form}`",
                received=label.form,
            )
            raise fault.to_error(getattr(labels, "path", ""), number)
        words = ("accept", "reject") if question == "accept" else ("a", "b")
        right = words[0] if label.is_positive else words[1]
        yield Item(label.id[:16], label.row.prompt, label.first, label.second, ("a", "b"), right)


def _evaluated(row: JsonMapping, other: JsonMapping) -> Item:
    names = str(row.get("model", "model")), str(other.get("model", "baseline"))
    texts = _text(row, "answer"), _text(other, "answer")
    return _item(row, texts, names if names[0] != names[1] else ("model", "baseline"))


def _item(row: JsonMapping, texts: tuple[str, str], names: tuple[str, str]) -> Item:
    prompt = to_prompt({name: row[name] for name in ("prompt", "id") if name in row})
    return Item(prompt.id, prompt.prompt, *texts, names)


def _text(row: JsonMapping, column: str) -> str:
    text = row.get(column)
    if not isinstance(text, str):
        raise RowFault("missing_column", f"`{column}` holds no text", received=text)
    return text
