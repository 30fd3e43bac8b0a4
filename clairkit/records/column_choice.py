"""Apply what the user says of a foreign file's columns: which are read, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass

from clairkit.records.columns import listed, together
from clairkit.records.faults import RowFault
from clairkit.records.formats.strict_json import is_empty
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.messages import kind_of, text_of, turns_of


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
