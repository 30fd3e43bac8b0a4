"""Make requests from templates: what a reviser is asked, and in which form it is to reply."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clairkit.errors import UsageError, suggest
from clairkit.judging.rubrics import load_rubric
from clairkit.models.markers import (
    ReplyMarks,
    delimit_answer,
    delimit_conversation,
    edits_marks,
    make_nonce,
    make_tag,
    mark,
    nonce_marks,
    paper_marks,
)
from clairkit.records import Message, digest
from clairkit.records.formats.encodings import read_text_file
from clairkit.records.json_types import JsonMapping
from clairkit.texts import texts

REWRITE, EDITS = "rewrite", "edits"
FORMS = (REWRITE, EDITS)
"""The forms of a reply: the whole revision, or edits of the answer."""
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]*)\s*\}\}")
_PAPER = "{corrected_student_solution}"
_EDIT_MARKS = {f"{name}_mark": name for name in ("find", "to", "replace")}
_REPLY_MARKS = {f"{name}_mark": name for name in ("reasoning", "revision", "edits", "end")}
_MARKS = {**_REPLY_MARKS, **_EDIT_MARKS}
_OPTIONS = ("rubric", "length")
_PLACEHOLDERS = ("conversation", "answer", *_OPTIONS, *_MARKS)
_NEEDED = {
    REWRITE: ("revision_mark", "end_mark"),
    EDITS: ("edits_mark", "find_mark", "replace_mark", "end_mark"),
}
_GRAMMAR = 2  # raised when marks or parser change what the same text asks for
BUILT_IN = {"clair": REWRITE, "clair-paper": REWRITE, "edits": EDITS}
"""The built-in templates, and the form of each."""


def wording(language: str) -> JsonMapping:
    """Return the texts of a language, see `texts/en.yaml`.

    Raises:
        UsageError: there is no such language.
    """
    return texts("generation/revision/texts", language)


def request_text(language: str, form: str, *, worsen: bool) -> str:
    """Return the request of a form (`rewrite`, `edits`) as a template's text."""
    words = wording(language)
    goal, asked = words["worsen" if worsen else "improve"], words[form]
    rules = [asked["rules"], words["rules"], *([] if worsen else [asked["no_change"]])]
    parts = [goal["task"], words["measure"], goal["think"], "\n".join(rules)]
    return "\n\n".join([*parts, words["material"], asked["form"]])


@dataclass(frozen=True)
class Rendered:
    """A request for one row: its messages, and the marks that the reply must hold."""

    messages: tuple[Message, ...]
    marks: ReplyMarks


@dataclass(frozen=True)
class Goal:
    """What a reviser is to do, besides the form of its reply.

    Attributes:
        language: of the request: `en` or `ja`.
        rubric: what counts: built-in names or files, joined by commas; None is `general`.
        length_neutral: the revision is to be as long as the answer.
        worsen: the answer is to be made worse.
    """

    language: str = "en"
    rubric: str | None = None
    length_neutral: bool = False
    worsen: bool = False


@dataclass(frozen=True)
class Template:
    """A request text with placeholders in double braces.

    `{{conversation}}` and `{{answer}}` become the row's texts between marks that carry the row's
    nonce; `{{rubric}}` and `{{length}}`, which may be left out, what is given here. The reply
    form is `rewrite` with our marks (`{{reasoning_mark}}`, `{{revision_mark}}`, `{{end_mark}}`)
    or with the published ones, written as they are; or it is `edits` (`{{reasoning_mark}}`,
    `{{edits_mark}}`, `{{find_mark}}`, `{{to_mark}}`, `{{replace_mark}}`, `{{end_mark}}`).

    Attributes:
        name: for people; part of no key.
        text: the request.
        language: of the text; a request that is made again is worded in it.
        rubric: the lines that say what counts.
        length: the line on the length of the revision.

    Raises:
        UsageError: a placeholder is unknown, or one that is needed is missing.
    """

    name: str
    text: str
    language: str = "en"
    rubric: str = ""
    length: str = ""

    def __post_init__(self) -> None:
        wording(self.language)
        used = self._used
        for name in used:
            if name not in _PLACEHOLDERS:
                raise _unknown(self.name, name)
        needed = ("conversation", "answer", *(() if self.has_paper_form else _NEEDED[self.form]))
        missing = [f"{{{{{name}}}}}" for name in needed if name not in used]
        if missing:
            raise UsageError(
                f"template {self.name} lacks {', '.join(missing)}",
                remedy=f"add it; the reply form may also be that of the paper, with {_PAPER}",
            )
        if self.form == EDITS and "revision_mark" in used:
            raise UsageError(
                f"template {self.name} asks for both a revision and edits",
                remedy="leave out {{revision_mark}}, or those of edits",
            )

    @cached_property
    def form(self) -> str:
        """Return the form of the reply: `rewrite` or `edits`."""
        return EDITS if {"edits_mark", "find_mark"} & set(self._used) else REWRITE

    @property
    def has_paper_form(self) -> bool:
        """Return whether replies carry the published markers."""
        return _PAPER in self.text and not any(name in _MARKS for name in self._used)

    @cached_property
    def hash(self) -> str:
        """Return what determines the request and the reading of the reply; part of every key."""
        return digest([_GRAMMAR, self.text, self.language, self.rubric, self.length])[:16]

    def uses(self, placeholder: str) -> bool:
        """Return whether a placeholder stands in the text."""
        return placeholder in self._used

    @cached_property
    def _used(self) -> tuple[str, ...]:
        return tuple(_PLACEHOLDER.findall(self.text))

    def render(self, prompt: Sequence[Message], answer: str, key: str) -> Rendered:
        """Return the request to revise `answer` to `prompt` for the row with this key."""
        texts = [self.text, self.rubric, answer, *(turn["content"] for turn in prompt)]
        nonce = make_nonce(key, texts)
        tag = make_tag(nonce, texts) if self.form == EDITS else ""
        values: dict[str, Callable[[], str]] = {
            "conversation": lambda: delimit_conversation(prompt, nonce),
            "answer": lambda: delimit_answer(answer, nonce),
            "rubric": lambda: self.rubric,
            "length": lambda: self.length,
        }

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name in values:
                return values[name]()
            return mark(_MARKS[name], tag if name in _EDIT_MARKS else nonce)

        # One pass: a placeholder in a row's own text stays text.
        text = _PLACEHOLDER.sub(value, self.text)
        if self.has_paper_form:
            marks = paper_marks(nonce)
        else:
            marks = edits_marks(nonce, tag) if self.form == EDITS else nonce_marks(nonce)
        return Rendered((Message(role="user", content=text),), marks)


def load_template(name_or_file: str, language: str = "en", *, goal: Goal | None = None) -> Template:
    """Return a built-in template by its name, or a user's by its file.

    Args:
        name_or_file: a key of `BUILT_IN`, or a file.
        language: of a built-in template; `goal` has its own.
        goal: what the reviser is to do.

    Raises:
        UsageError: there is no such template, its placeholders are wrong, or it can't be used
            for the goal.
        DataError: a file can't be read as UTF-8 text.
    """
    goal = goal or Goal(language)
    words = wording(goal.language)
    length = words["worsen" if goal.worsen else "improve"]["length"]
    values = {
        "rubric": load_rubric(goal.rubric, goal.language).text,
        "length": words["length_neutral"] if goal.length_neutral else length,
    }
    if name_or_file in BUILT_IN:
        return Template(name_or_file, _built_in(name_or_file, goal), goal.language, **values)
    path = Path(name_or_file)
    if not path.is_file():
        remedy = f"{suggest(name_or_file, BUILT_IN)}Use {', '.join(BUILT_IN)}, or a file"
        raise UsageError("no such template", received=name_or_file, remedy=remedy)
    template = Template(
        os.fspath(path.name), read_text_file(path, "template"), goal.language, **values
    )
    asked = (
        ("rubric", goal.rubric is not None, "--rubric"),
        ("length", goal.length_neutral, "--length-neutral"),
    )
    for placeholder, is_asked, flag in asked:
        if is_asked and not template.uses(placeholder):
            raise UsageError(
                f"template {template.name} has no place for {flag}",
                remedy=f"add {{{{{placeholder}}}}}, or leave {flag} out",
            )
    return template


def _built_in(name: str, goal: Goal) -> str:
    if name != "clair-paper":
        return request_text(goal.language, BUILT_IN[name], worsen=goal.worsen)
    if goal.worsen:
        raise UsageError(
            "clair-paper has no wording that makes answers worse",
            remedy="use clair or edits, or a file of your own",
        )
    return str(wording(goal.language)["paper"])


def _unknown(template: str, name: str) -> UsageError:
    hint = suggest(name, _PLACEHOLDERS, shown=lambda near: f"{{{{{near}}}}}")
    known = ", ".join(f"{{{{{each}}}}}" for each in _PLACEHOLDERS)
    return UsageError(
        f"template {template} has an unknown placeholder",
        received=f"{{{{{name}}}}}",
        remedy=f"{hint}Known are {known}",
    )
