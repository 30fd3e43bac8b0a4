"""Find columns by accepted names or the user's choice, suggest the one meant, read the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clairkit.errors import nearest
from clairkit.records.faults import RowFault
from clairkit.records.formats.strict_json import is_empty
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.messages import kind_of, text_of, turns_of

PAIR_FORMS = "prompt, chosen, rejected · chosen, rejected · task, student_solution, revision"
ONE_SIDED_FORMS = "prompt, chosen · prompt, rejected · prompt, completion, label"

# What others call our columns. They are suggested, never guessed: a wrong guess trains a model.
_OTHER_WORDS = {
    "prompt": (
        "prompts",
        "instruction",
        "question",
        "query",
        "input",
        "messages",
        "conversations",
        "conversation",
        "text",
        "task",
        "problem",
        "request",
        "user",
        "human",
        "user_input",
        "inputs",
        "context",
        "history",
        "質問",
        "指示",
        "問題",
        "入力",
        "プロンプト",
        "お題",
    ),
    "chosen": ("revision", "accepted", "preferred", "winner", "better", "positive", "response_w"),
    "rejected": ("student_solution", "dispreferred", "loser", "worse", "negative", "response_l"),
    "answer": ("response", "completion", "output", "generation"),
}

# What changes what a model is asked and is read from no column: refused, unless it is empty.
_UNREAD = {
    **dict.fromkeys(
        ("images", "image", "videos", "video", "audio", "audios"),
        ("holds what a text model is not given", "take rows of text alone"),
    ),
    "tools": (
        "would be dropped: tools of single rows are not put into the prompt",
        "write what the model is to see into `prompt`",
    ),
    "chat_template_kwargs": (
        "would be dropped: arguments of the chat template are read of a whole run, not of a row",
        "set them for the run",
    ),
    "history": (
        "holds earlier turns, which would be dropped",
        "write all turns into `prompt` as messages",
    ),
}
_SYSTEM = ("system", "system_prompt", "system_message")
_WATCHED = frozenset((*_UNREAD, *_SYSTEM))


def missing(row: JsonMapping, required: Sequence[str], accepted: str) -> RowFault:
    """Return the fault of a row without some of the columns `required`."""
    absent = [name for name in required if name not in row]
    found = [str(name) for name in row]
    hints = [_naming(row, near, name) for name in absent if (near := _near(name, found))]
    if "prompt" in row and {"chosen", "rejected"} <= set(absent) and not hints:
        accepted = f"{accepted}; or, if these are prompts, make pairs with `clairkit build-pairs`"
    problem = f"column {', '.join(f'`{name}`' for name in absent)} is missing"
    remedy = " and ".join([*hints, f"use the columns {accepted}"])
    return RowFault("missing_column", problem, received=listed(row), remedy=remedy)


def listed(row: JsonMapping) -> str:
    """Return the names of a row's columns, for an error."""
    found = [str(name) for name in row]
    return ", ".join(found[:12]) + (", …" if len(found) > 12 else "") or "no columns"


def unnamed_prompt(row: JsonMapping, known: Iterable[str]) -> RowFault | None:
    """Return the fault of a row without `prompt` of which another column could be the prompt."""
    rest = {name: value for name, value in row.items() if name not in frozenset(known)}
    asked = [name for name, value in rest.items() if _is_named_as_prompt(name, value)]
    asked = asked or [name for name, value in rest.items() if _reads_as_prompt(value)]
    if not asked:
        return None
    name = next((word for word in _OTHER_WORDS["prompt"] if word in asked), asked[0])
    problem = f"column `prompt` is missing, and `{name}` could be the prompt"
    remedy = (
        f"{_naming(row, name)}; if the prompt is what both sides begin with, leave `{name}` "
        f"out with --ignore-column {name}"
    )
    return RowFault("missing_column", problem, received=listed(row), remedy=remedy)


def _naming(row: JsonMapping, found: str, required: str = "prompt") -> str:
    """Return what to do with a column that is probably the one `required`."""
    if required == "prompt" and (more := together(row, found)):
        return f"join `{found}` and `{more}` in a column `prompt`"
    option = f", or give --prompt-column {found}" if required == "prompt" else ""
    return f"rename `{found}` to `{required}`{option}"


def together(row: JsonMapping, name: str) -> str | None:
    """Return the column that is the other half of the prompt in column `name`, if there is one."""
    halves = {"instruction": "input", "input": "instruction"}
    other = halves.get(name)
    return other if other is not None and not is_empty(row.get(other)) else None


def _is_named_as_prompt(name: str, value: object) -> bool:
    lowered = name.strip().lower()
    is_word = lowered == "prompt" or lowered in _OTHER_WORDS["prompt"]
    return is_word and isinstance(value, str | list) and not is_empty(value)


def _reads_as_prompt(value: object) -> bool:
    """Whether a value is a sentence or messages, not a label such as `en` or a number."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(turn, Mapping) for turn in value)
    return isinstance(value, str) and (len(value.split()) > 1 or not value.isascii())


def check_all_read(row: JsonMapping, prompt: Sequence[JsonMapping]) -> None:
    """Refuse columns that change what a model is asked, and that nothing reads.

    Raises:
        RowFault: `unread_column`.
    """
    if _WATCHED.isdisjoint(row):  # nearly every row
        return
    for name, (problem, remedy) in _UNREAD.items():
        value = row.get(name)
        if isinstance(value, str | list | Mapping) and not is_empty(value):
            raise _unread(f"column `{name}` {problem}", remedy, name)
    if prompt[0]["role"] in ("system", "developer"):
        return
    for name in _SYSTEM:
        value = row.get(name)
        if isinstance(value, str) and not is_empty(value):
            problem = f"column `{name}` holds a system prompt, which would be dropped"
            raise _unread(problem, f"put it in front with --system-column {name}", name)


def _unread(problem: str, remedy: str, name: str) -> RowFault:
    remedy = f"{remedy}, or leave the column out with --ignore-column {name}"
    return RowFault("unread_column", problem, remedy=remedy)


def _near(name: str, found: Iterable[str]) -> str | None:
    lowered = {column.strip().lower(): column for column in found if column != name}
    for word in (name, *_OTHER_WORDS.get(name, ())):
        if word in lowered:
            return lowered[word]
    near = nearest(name, lowered, cutoff=0.8)
    return None if near is None else lowered[near]


def explicit_id(row: JsonMapping) -> str:
    """Return the row's own `id` as text, or "" when it has none and one must be computed.

    Raises:
        RowFault: it is neither a text nor an integer.
    """
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        problem = f"column `id` must be text or an integer and is {kind_of(value)}"
        raise RowFault("bad_type", problem)
    return text_of(value, "id")


def optional_text(row: JsonMapping, *names: str) -> str | None:
    """Return the text of the first of the columns `names` that is there and not null."""
    for name in names:
        if row.get(name) is not None:
            return text_of(row[name], name)
    return None


def optional_object(row: JsonMapping, name: str) -> JsonObject:
    """Return the object in column `name`, empty when it is absent or null.

    Raises:
        RowFault: it is not an object.
    """
    value = row.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problem = f"column `{name}` must be an object and is {kind_of(value)}"
        raise RowFault("bad_type", problem, remedy=f"rename your column `{name}`")
    return dict(value)


def others(row: JsonMapping, known: Iterable[str]) -> JsonObject:
    """Return the columns of `row` that are not `known`: they are carried along."""
    names = frozenset(known)
    return {name: value for name, value in row.items() if name not in names}


@dataclass(frozen=True)
class ColumnChoice:
    """What the user says of a file's columns.

    Attributes:
        prompt: the column that holds the prompt, where it is not named `prompt`.
        system: the column whose text goes in front of the prompt as the system turn.
        ignore: columns that are left out: neither read nor carried along.
        answer: of prompts: the column of the target's own answer, where it is not named `answer`.
    """

    prompt: str | None = None
    system: str | None = None
    ignore: tuple[str, ...] = ()
    answer: str | None = None

    def __bool__(self) -> bool:
        return bool(self.prompt or self.system or self.ignore or self.answer)

    def apply(self, row: JsonMapping) -> JsonObject:
        """Return the row under our own names.

        Raises:
            RowFault: a named column is missing, or is not what it was said to be.
        """
        made = {name: value for name, value in row.items() if name not in self.ignore}
        if self.prompt is not None and self.prompt != "prompt":
            self._move_prompt(made)
        if self.answer is not None and self.answer != "answer":
            _rename(made, _there(made, self.answer, "--answer-column"), "answer")
        if self.system is not None:
            _put_in_front(made, self.system)
        return made

    def _move_prompt(self, row: JsonObject) -> None:
        name = _there(row, self.prompt or "", "--prompt-column")
        if joined := together(row, name):
            problem = f"column `{joined}` belongs to the prompt in `{name}`"
            remedy = f"join both in a column `prompt`, or add --ignore-column {joined}"
            raise RowFault("bad_column", problem, remedy=remedy)
        _rename(row, name, "prompt")


def _rename(row: JsonObject, name: str, own: str) -> None:
    if not is_empty(row.get(own)):
        problem = f"`{name}` is to be the {own}, and there is a column `{own}` as well"
        raise RowFault("bad_column", problem, remedy=f"add --ignore-column {own}")
    row[own] = row.pop(name)


def _put_in_front(row: JsonObject, column: str) -> None:
    name = _there(row, column, "--system-column")
    value = row.pop(name)
    if is_empty(value):
        return
    if not isinstance(value, str):
        problem = f"column `{name}` must be the text of a system turn and is {kind_of(value)}"
        raise RowFault("bad_type", problem)
    if row.get("prompt") is None:
        problem = f"there is no column `prompt` that `{name}` could stand before"
        raise RowFault(
            "missing_column", problem, received=listed(row), remedy="name it with --prompt-column"
        )
    turn = {"role": "system", "content": text_of(value, name)}
    row["prompt"] = [turn, *turns_of(row["prompt"], "prompt", role="user")]


def _there(row: JsonMapping, name: str, option: str) -> str:
    if name in row:
        return name
    raise RowFault(
        "missing_column",
        f"the column `{name}` of {option} is missing",
        received=listed(row),
        remedy="name a column that is there",
    )
