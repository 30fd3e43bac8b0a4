"""Turn a row, in any of the accepted forms, into a record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from clairkit.errors import nearest
from clairkit.records.columns import (
    ONE_SIDED_FORMS,
    PAIR_FORMS,
    check_all_read,
    explicit_id,
    missing,
    optional_object,
    optional_text,
    others,
    unnamed_prompt,
)
from clairkit.records.faults import RowFault
from clairkit.records.formats.strict_json import is_empty
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.messages import (
    Messages,
    check_prompt,
    check_side,
    kind_of,
    opened,
    text_of,
    turns_of,
)
from clairkit.records.schema import SOURCES, Message, Pair, PromptRow

# The transcript form of Anthropic's hh-rlhf.
_SPEAKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_ENDINGS = frozenset(".:?!>。」』\uff0e\uff1a\uff1f\uff01")  # the last four are full-width .:?!
_GIVE_PROMPT = "give the prompt a column of its own, named `prompt`"

_DISTILABEL = ("task", "student_solution", "revision")
_OPENAI = ("input", "preferred_output", "non_preferred_output")
_SIDES = ("chosen", "rejected")
_PAIR_KNOWN = frozenset(
    ("prompt", *_SIDES, "id", "rationale", "rational", "source", "scores", "provenance")
)
_LABELLED = ("completion", "label")
_LABELS = {"true": True, "false": False}
_UNPAIRED = "train on rows of one side with `--loss apo_zero_unpaired`"
_PROMPT_KNOWN = frozenset(("prompt", "answer", "id"))


def split_messages(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """Return prompt, chosen and rejected: the messages shared at the start are the prompt.

    Raises:
        RowFault: they share no message.
    """
    size = 0
    for ours, theirs in zip(chosen[:-1], rejected[:-1], strict=False):
        if ours != theirs:
            break
        size += 1
    while size and chosen[size - 1]["role"] == "assistant":
        size -= 1  # both answers begin with the same turn
    if not size:
        problem = "`chosen` and `rejected` do not begin with the same prompt messages"
        raise RowFault("no_prompt", problem, remedy=_GIVE_PROMPT)
    return chosen[:size], chosen[size:], rejected[size:]


def split_texts(chosen: str, rejected: str) -> tuple[Messages, Messages, Messages]:
    """Return prompt, chosen and rejected of two texts that begin with the same prompt.

    Transcripts with `Human:` and `Assistant:` become messages. Other texts are cut where their
    common beginning last ends a word, a line or a sentence.

    Raises:
        RowFault: they share no beginning that ends where a text can end.
    """
    turns, others = _transcript(chosen), _transcript(rejected)
    if turns and others:
        return split_messages(turns, others)
    size = _shared(chosen, rejected)
    while size and not (chosen[size - 1] in _ENDINGS or chosen[size - 1].isspace()):
        size -= 1
    prompt = chosen[:size].rstrip(" ")
    if not prompt.strip():
        problem = "`chosen` and `rejected` do not begin with the same text"
        raise RowFault("no_prompt", problem, remedy=_GIVE_PROMPT)
    sides = (chosen[len(prompt) :], rejected[len(prompt) :])
    return (
        (Message(role="user", content=prompt),),
        (Message(role="assistant", content=sides[0]),),
        (Message(role="assistant", content=sides[1]),),
    )


def is_transcript(text: str) -> bool:
    """Whether a text is a transcript with `Human:` and `Assistant:`, which holds its prompt."""
    return bool(_transcript(text))


def _shared(chosen: str, rejected: str) -> int:
    """Return how many characters both texts begin with, the last one of a text left out."""
    most = max(min(len(chosen), len(rejected)) - 1, 0)
    pairs = zip(range(most), chosen, rejected, strict=False)
    return next((index for index, ours, theirs in pairs if ours != theirs), most)


def _transcript(text: str) -> Messages:
    marks = list(_SPEAKER.finditer(text))
    if len(marks) < 2 or marks[0].start() or marks[0][1] != "Human" or marks[-1][1] == "Human":
        return ()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(role=roles[mark[1]], content=text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    )


def to_prompt(row: JsonMapping) -> PromptRow:
    """Return the prompt row of a file row: `prompt`, optional `answer` and `id`, extra columns.

    Raises:
        RowFault: a column is missing, null, of the wrong type, or not text.
    """
    if "prompt" not in row:
        raise missing(row, ("prompt",), "prompt (text or messages), answer and id (both optional)")
    prompt = check_prompt(turns_of(row["prompt"], "prompt", role="user"))
    check_all_read(row, prompt)
    return PromptRow(
        prompt=prompt, answer=_answer(row), id=explicit_id(row), extra=others(row, _PROMPT_KNOWN)
    )


def _answer(row: JsonMapping) -> str | None:
    """Return the answer's text, which may stand in one message of the assistant."""
    if row.get("answer") is None:
        return None
    if isinstance(opened(row["answer"], "answer"), str):
        return text_of(row["answer"], "answer")
    turns = turns_of(row["answer"], "answer", role="assistant")
    if len(turns) == 1 and turns[0]["role"] == "assistant":
        return turns[0]["content"]
    problem = "column `answer` must be a text, or one message of the assistant"
    raise RowFault("bad_type", problem, remedy="write all turns before it into `prompt`")


def to_pair(row: JsonMapping, *, one_sided: bool = False) -> Pair:
    """Return the pair of a file row: ours, an implicit prompt, distilabel's or OpenAI's columns.

    Args:
        row: the row.
        one_sided: take also a prompt with `chosen` or `rejected` alone (the other column absent
            or null), or with `completion` and `label` (true: chosen); the other side is empty.

    Raises:
        RowFault: a column is missing, null, of the wrong type, or not text.
    """
    column = _only_column(row)
    if column is None:
        return _two_sided(row)
    if not one_sided:
        raise _no_other_side(row, column)
    side = _labelled_side(row["label"]) if column == "completion" else column
    prompt, [turns] = _explicit(row, [column])
    known = _PAIR_KNOWN.union(_LABELLED) if column == "completion" else _PAIR_KNOWN
    return _pair(row, known, prompt, **{side: check_side(turns, column)})


def _two_sided(row: JsonMapping) -> Pair:
    row, known = _renamed(row)
    if "prompt" in row:
        prompt, (chosen, rejected) = _explicit(row, _SIDES)
    else:
        prompt, chosen, rejected = _implicit(row)
    sides = {"chosen": check_side(chosen, "chosen"), "rejected": check_side(rejected, "rejected")}
    return _pair(row, known, prompt, **sides)


def _pair(
    row: JsonMapping,
    known: frozenset[str],
    prompt: Messages,
    *,
    chosen: Messages = (),
    rejected: Messages = (),
) -> Pair:
    source, provenance = _source(row)
    check_all_read(row, check_prompt(prompt))
    return Pair(
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        id=explicit_id(row),
        rationale=optional_text(row, "rationale", "rational"),
        source=source,
        scores=optional_object(row, "scores"),
        provenance=provenance,
        extra=others(row, known),
    )


def _only_column(row: JsonMapping) -> str | None:
    """Return the column of the one response of a one-sided row; None for other rows."""
    if row.get("prompt") is None or all(name in row for name in _DISTILABEL):
        return None
    found = [side for side in _SIDES if row.get(side) is not None]
    if not found and all(row.get(name) is not None for name in _LABELLED):
        return "completion"
    return found[0] if len(found) == 1 else None


def _labelled_side(label: object) -> str:
    if isinstance(label, str):  # CSV knows only texts
        label = _LABELS.get(label.strip().lower(), label)
    if not isinstance(label, bool):
        problem = f"column `label` must be true or false and is {kind_of(label)}"
        raise RowFault("bad_type", problem, received=label)
    return "chosen" if label else "rejected"


def _no_other_side(row: JsonMapping, column: str) -> RowFault:
    null = [side for side in _SIDES if side != column and side in row]
    if null:
        remedy = f"give it a text, or {_UNPAIRED}"
        return RowFault("null_value", f"column `{null[0]}` is null", remedy=remedy)
    return missing(row, _SIDES, f"{PAIR_FORMS}, or {_UNPAIRED} ({ONE_SIDED_FORMS})")


def _renamed(row: JsonMapping) -> tuple[JsonMapping, frozenset[str]]:
    """Return the row under our own names, and the names that are no extra columns."""
    if "chosen" in row and "rejected" in row:
        return row, _PAIR_KNOWN
    if all(name in row for name in _DISTILABEL):
        prompt, rejected, chosen = (row[name] for name in _DISTILABEL)
        rest = others(row, (*_DISTILABEL, "prompt", *_SIDES))
        return {**rest, "prompt": prompt, "chosen": chosen, "rejected": rejected}, _PAIR_KNOWN
    if all(name in row for name in _OPENAI) and isinstance(row["input"], Mapping):
        asked = row["input"]
        sides = {"chosen": row["preferred_output"], "rejected": row["non_preferred_output"]}
        rest = others(row, (*_OPENAI, "prompt", *_SIDES))
        tools = {"tools": asked.get("tools")} if not is_empty(asked.get("tools")) else {}
        return {**rest, **tools, "prompt": asked.get("messages"), **sides}, _PAIR_KNOWN
    required = ("prompt", *_SIDES) if "prompt" not in row else _SIDES
    raise missing(row, required, PAIR_FORMS)


def _explicit(row: JsonMapping, columns: Sequence[str]) -> tuple[Messages, list[Messages]]:
    """Return the prompt and the response in each of `columns`."""
    prompt = turns_of(row["prompt"], "prompt", role="user")
    sides = [turns_of(row[column], column, role="assistant") for column in columns]
    if sides[0][0]["role"] == "assistant":
        return prompt, sides
    # Sides repeat the prompt, as ContextualAI/ultrafeedback_clair_32k and ultrafeedback do.
    if isinstance(opened(row["prompt"], "prompt"), str):
        prompt = _prompt_within(prompt, sides[0])
    return prompt, [
        _after(prompt, side, column) for side, column in zip(sides, columns, strict=True)
    ]


def _prompt_within(prompt: Messages, side: Messages) -> Messages:
    """Return the start of `side` that ends with the text `prompt`: a system turn may precede it."""
    question = prompt[0]["content"].strip()
    for index, turn in enumerate(side[:-1]):
        if turn["role"] == "user" and turn["content"].strip() == question:
            return side[: index + 1]
    return prompt


def _after(prompt: Messages, side: Messages, column: str) -> Messages:
    size = len(prompt)
    if len(side) <= size or side[:size] != prompt:
        problem = f"`{column}` begins with a turn that is neither the assistant's nor `prompt`"
        remedy = "let each side hold what follows the prompt, or the prompt and what follows it"
        raise RowFault("bad_role", problem, remedy=remedy)
    return side[size:]


def _implicit(row: JsonMapping) -> tuple[Messages, Messages, Messages]:
    chosen, rejected = (opened(row[side], side) for side in _SIDES)
    if isinstance(chosen, str) != isinstance(rejected, str):
        problem = "`chosen` and `rejected` must both be texts or both be lists of messages"
        raise RowFault("bad_type", problem)
    unnamed = unnamed_prompt(row, _PAIR_KNOWN)
    if isinstance(chosen, str):
        texts = text_of(chosen, "chosen"), text_of(rejected, "rejected")
        if unnamed is not None and not all(map(is_transcript, texts)):
            raise unnamed
        return split_texts(*texts)
    turns = (
        turns_of(value, side, role="assistant")
        for side, value in zip(_SIDES, (chosen, rejected), strict=True)
    )
    try:
        return split_messages(*turns)
    except RowFault as fault:
        raise unnamed or fault from None


def _source(row: JsonMapping) -> tuple[str, JsonObject]:
    """Return the pair's source and provenance; a foreign `source` is kept in the latter."""
    provenance = optional_object(row, "provenance")
    name = optional_text(row, "source")
    if name is None or name in SOURCES:
        return name or "imported", provenance
    if close := _close_source(name):
        remedy = f"use one of {', '.join(SOURCES)}"
        problem = f"unknown source; did you mean {close}?"
        raise RowFault("bad_source", problem, received=name, remedy=remedy)
    return "imported", {**provenance, "source": name}


@lru_cache(maxsize=256)
def _close_source(name: str) -> str | None:
    return nearest(name, SOURCES, cutoff=0.8)
