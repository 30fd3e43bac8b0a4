"""Revision templates: what a reviser is asked, and in which form it is to reply."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from clairkit.errors import DataError, UsageError
from clairkit.generation import texts_en
from clairkit.generation.marks import (
    ReplyMarks,
    delimit_answer,
    delimit_conversation,
    make_nonce,
    mark,
    nonce_marks,
    paper_marks,
)
from clairkit.records import Message, digest

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]*)\s*\}\}")
_MARKS = ("reasoning_mark", "revision_mark", "end_mark")
_PLACEHOLDERS = ("conversation", "answer", *_MARKS)
_PAPER = "{corrected_student_solution}"
_SIZE_CAP = 2**20
_GRAMMAR = 1  # raised when marks or parser change what the same text asks for

_BUILT_IN: dict[tuple[str, str], str] = {
    ("clair", "en"): texts_en.CLAIR,
    ("clair-paper", "en"): texts_en.CLAIR_PAPER,
}


@dataclass(frozen=True)
class Rendered:
    """A request for one row: its messages, and the marks that the reply must hold."""

    messages: tuple[Message, ...]
    marks: ReplyMarks


@dataclass(frozen=True)
class Template:
    """A request text with placeholders in double braces.

    `{{conversation}}` and `{{answer}}` become the row's texts between marks that carry the row's
    nonce. The reply form is either our marks (`{{reasoning_mark}}`, `{{revision_mark}}`,
    `{{end_mark}}`) or the published ones, written as they are.

    Raises:
        UsageError: a placeholder is unknown, or one that is needed is missing.
    """

    name: str
    text: str
    language: str = "en"

    def __post_init__(self) -> None:
        used = _PLACEHOLDER.findall(self.text)
        for name in used:
            if name not in _PLACEHOLDERS:
                raise _unknown(self.name, name)
        needed = ["conversation", "answer"]
        if not self.has_paper_form:
            needed += ["revision_mark", "end_mark"]
        missing = [f"{{{{{name}}}}}" for name in needed if name not in used]
        if missing:
            raise UsageError(
                f"template {self.name} lacks {', '.join(missing)}",
                remedy=f"add it; the reply form may also be that of the paper, with {_PAPER}",
            )

    @property
    def has_paper_form(self) -> bool:
        """Whether replies carry the published markers."""
        return _PAPER in self.text and not any(
            name in _MARKS for name in _PLACEHOLDER.findall(self.text)
        )

    @property
    def hash(self) -> str:
        """What determines the request and the reading of the reply; part of every key."""
        return digest([_GRAMMAR, self.text])[:16]

    def render(self, prompt: Sequence[Message], answer: str, key: str) -> Rendered:
        """Return the request to revise `answer` to `prompt` for the row with this key."""
        contents = [turn["content"] for turn in prompt]
        nonce = make_nonce(key, [self.text, answer, *contents])
        values: dict[str, Callable[[], str]] = {
            "conversation": lambda: delimit_conversation(prompt, nonce),
            "answer": lambda: delimit_answer(answer, nonce),
            "reasoning_mark": lambda: mark("reasoning", nonce),
            "revision_mark": lambda: mark("revision", nonce),
            "end_mark": lambda: mark("end", nonce),
        }
        # One pass: a placeholder in a row's own text stays text.
        text = _PLACEHOLDER.sub(lambda found: values[found[1]](), self.text)
        marks = paper_marks(nonce) if self.has_paper_form else nonce_marks(nonce)
        return Rendered((Message(role="user", content=text),), marks)


def load_template(name_or_file: str, language: str = "en") -> Template:
    """Return a built-in template by its name, or a user's by its file.

    Raises:
        UsageError: there is no such template, or its placeholders are wrong.
        DataError: the file can't be read as UTF-8 text.
    """
    built_in = _BUILT_IN.get((name_or_file, language))
    if built_in is not None:
        return Template(name_or_file, built_in, language)
    path = Path(name_or_file)
    if not path.is_file():
        raise _no_such(name_or_file)
    try:
        with path.open("rb") as file:
            text = file.read(_SIZE_CAP + 1).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the template can't be read ({type(error).__name__})", path=path,
                        remedy="give a file of UTF-8 text") from None  # fmt: skip
    if len(text) > _SIZE_CAP:
        raise DataError("the template is larger than 1 MiB", path=path)
    return Template(os.fspath(path.name), text, language)


def _unknown(template: str, name: str) -> UsageError:
    close = get_close_matches(name, _PLACEHOLDERS, n=1)
    hint = f"did you mean {{{{{close[0]}}}}}? " if close else ""
    known = ", ".join(f"{{{{{each}}}}}" for each in _PLACEHOLDERS)
    return UsageError(f"template {template} has an unknown placeholder", received=f"{{{{{name}}}}}",
                      remedy=f"{hint}Known are {known}")  # fmt: skip


def _no_such(name: str) -> UsageError:
    names = [built_in for built_in, _ in _BUILT_IN]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return UsageError("no such template", received=name,
                      remedy=f"{hint}Use {', '.join(names)}, or a file")  # fmt: skip
