"""Read labels that people gave to revisions: accepted or rejected, or which of two is better."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Literal

from clairkit.records import ColumnChoice, PromptRow, RowStream, digest
from clairkit.records.faults import RowFault
from clairkit.records.forms import to_pair, to_prompt
from clairkit.records.json_types import JsonMapping
from clairkit.records.read import AS_NAMED, read_rows

Form = Literal["accepted", "compared"]

_ACCEPTED = {"accept": True, "reject": False, "true": True, "false": False}
_COMPARED = {"a": True, "b": False}
_ACCEPTS = (
    "prompt, answer, revision (or prompt, chosen, rejected) with label accept or reject; "
    "or prompt, a, b with label a or b"
)


@dataclass(frozen=True)
class Label:
    """What a person said of one revision, or of two.

    Attributes:
        form: "accepted": `first` is a revision of `second`, and was accepted or rejected.
            "compared": `first` and `second` are A and B, and one of them is better.
        row: the prompt; its `extra` has the row's other columns.
        first: the revision, or A.
        second: the answer it revises, or B.
        is_positive: accepted; or A is the better one.
    """

    form: Form
    row: PromptRow
    first: str
    second: str
    is_positive: bool

    @property
    def id(self) -> str:
        """Return the digest of all that is known: only a row that comes twice has the same."""
        extra = json.loads(json.dumps(self.row.extra, default=str))
        known = [self.row.id, self.row.prompt, self.first, self.second, self.is_positive, extra]
        return digest(known)

    @property
    def prompt(self) -> str:
        """Return the digest of the prompt: labels of one prompt are not independent."""
        return digest(self.row.prompt)


def read_labels(
    source: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    columns: ColumnChoice = AS_NAMED,
) -> RowStream[Label]:
    """Return the labels of a source as a stream; sources as in `clairkit.records.read_pairs`.

    A row has `prompt` and `label`, and one of these:

    - `answer` and `revision`, or `chosen` (the revision) and `rejected` as in a pair file;
      `label` is `accept` or `reject`, or true or false;
    - `a` and `b`; `label` is `a` or `b`, the better one.

    Args:
        source: the file, folder or Hub id.
        skip_bad: count bad rows instead of raising at the first.
        limit: stop after this many good rows; None reads all.
        columns: what the file's columns are, where they have other names.

    Raises:
        DataError: the source is missing, or, when iterated, a row is bad.
    """
    return read_rows(source, to_label, skip_bad=skip_bad, limit=limit, columns=columns)


def to_label(row: JsonMapping) -> Label:
    """Return the label of a file row.

    Raises:
        RowFault: a column is missing or wrong.
    """
    said, row = row.get("label"), {name: row[name] for name in row if name != "label"}
    word = str(said).strip().lower() if isinstance(said, str | bool) else ""
    if word in _COMPARED:
        return _compared(row, is_positive=_COMPARED[word])
    if word in _ACCEPTED:
        return _accepted(row, is_positive=_ACCEPTED[word])
    raise RowFault(
        "bad_label",
        "the label says nothing that is known",
        received=said,
        remedy=f"a row has {_ACCEPTS}; leave out rows without a preference",
    )


def _accepted(row: JsonMapping, *, is_positive: bool) -> Label:
    if "revision" in row and "answer" in row:
        prompt = to_prompt({name: row[name] for name in row if name != "revision"})
        first, second = _text(row, "revision"), _text(row, "answer")
    else:
        pair = to_pair(row)
        prompt = PromptRow(pair.prompt, id=pair.id, extra=pair.extra)
        first, second = pair.chosen[-1]["content"], pair.rejected[-1]["content"]
    return Label("accepted", prompt, first, second, is_positive)


def _compared(row: JsonMapping, *, is_positive: bool) -> Label:
    prompt = to_prompt({name: row[name] for name in row if name not in ("a", "b")})
    return Label("compared", prompt, _text(row, "a"), _text(row, "b"), is_positive)


def _text(row: JsonMapping, column: str) -> str:
    text = row.get(column)
    if not isinstance(text, str) or not text.strip():
        raise RowFault(
            "missing_column",
            f"`{column}` holds no text",
            received=text,
            remedy=f"a row has {_ACCEPTS}",
        )
    return text
