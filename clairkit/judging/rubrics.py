"""Load what counts in an answer: a rubric by name, or from a file such as a house style."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clairkit.errors import DataError, UsageError, suggest
from clairkit.records.formats.encodings import read_text_file
from clairkit.texts import texts

DEFAULT = "general"
TEXTS = "judging/texts"
"""Where the built-in rubrics and the request of a judge stand, a file a language."""


@dataclass(frozen=True)
class Rubric:
    """What counts in an answer: its name, and the lines that a model is shown."""

    name: str
    text: str


def load_rubric(given: str | None, language: str = "en") -> Rubric:
    """Return the rubric that `given` names.

    Args:
        given: built-in names or files, joined by commas; None is the `general` one. Files are
            shown to the model as they are, in whatever form and language they have.
        language: of the built-in ones.

    Raises:
        UsageError: there is no such rubric or language.
        DataError: a file can't be read as UTF-8 text, or is blank.
    """
    built_in = texts(TEXTS, language)["rubrics"]
    whole = given is not None and given not in built_in and Path(given).is_file()
    names = [given] if given is not None and whole else (given or DEFAULT).split(",")
    parts = [_one(name.strip(), built_in) for name in names]
    return Rubric(",".join(part.name for part in parts), "\n".join(part.text for part in parts))


def _one(name: str, built_in: Mapping[str, str]) -> Rubric:
    if name in built_in:
        return Rubric(name, built_in[name])
    path = Path(name)
    if not name or not path.is_file():
        remedy = f"{suggest(name, built_in)}Use {', '.join(built_in)}, or a file"
        raise UsageError("no such rubric", received=name, remedy=remedy)
    text = read_text_file(path, "rubric").strip()
    if not text:
        raise DataError("the rubric is blank", path=path, remedy="write down what counts")
    return Rubric(os.fspath(path.name), text)
