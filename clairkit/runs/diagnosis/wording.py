"""Say findings in a language: texts stand in `runs/texts`, figures are put in.

A finding keeps what was put in, so that `run.json` can be told again in another language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clairkit.texts import texts

FOLDER = "runs/texts"


@dataclass(frozen=True)
class Said:
    """A text of `runs/texts`: its key, and what is put in: figures, or further texts."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what `run.json` keeps."""
        return {"key": self.key, "values": {name: _json(v) for name, v in self.values.items()}}


def part(key: str, **values: Any) -> Said:
    """Return a text of the section `parts`, to be put into another."""
    return Said(key, values)


def tell(said: Said, code: str = "en") -> tuple[str, str]:
    """Return title and text of a finding.

    Raises:
        KeyError: there is no such text, or a figure is missing.
    """
    words = texts(FOLDER, code)
    values = {name: _told(value, words["parts"]) for name, value in said.values.items()}
    found = words["diagnosis"][said.key]
    return found["title"].format(**values), found["text"].format(**values)


def from_json(value: Mapping[str, Any]) -> Said:
    """Return what `to_json` kept.

    Raises:
        KeyError, TypeError: it is something else.
    """
    return Said(value["key"], {name: _read(each) for name, each in value["values"].items()})


def headline(good: Sequence[str], problems: Sequence[str], notes: Sequence[str], code: str) -> str:
    """Return one line of titles: the good news or none, then the first two problems.

    Args:
        good: titles of good findings, the most pressing first.
        problems: of problems.
        notes: of notes, told where there is nothing else.
        code: of the language.
    """
    words: Mapping[str, str] = texts(FOLDER, code)["headline"]
    told = list(problems[:2])
    if len(problems) > 2:
        told.append(words["more"].format(n=len(problems) - 2))
    joined = words["joint"].join(told)
    if good and told:
        sentence = words["but"].format(good=good[0], problems=joined)
    else:
        first = [*good[:1]] or told or [*notes[:1]] or [words["nothing"]]
        sentence = words["joint"].join(first)
    return words["whole"].format(sentence=f"{sentence[:1].upper()}{sentence[1:]}")


def _told(value: Any, words: Mapping[str, str]) -> str:
    if isinstance(value, Said):
        values = {name: _told(each, words) for name, each in value.values.items()}
        return words[value.key].format(**values)
    if isinstance(value, str):
        return value
    return words["list_joint"].join(_told(each, words) for each in value)


def _json(value: Any) -> Any:
    if isinstance(value, Said):
        return value.to_json()
    return value if isinstance(value, str) else [_json(each) for each in value]


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_json(value)
    return value if isinstance(value, str) else [_read(each) for each in value]
