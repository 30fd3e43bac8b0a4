"""Thoughts in a content that is trained on, in the forms that chat templates take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clairkit.records.thoughts import THOUGHT_MARKS, ThoughtMark, split_thoughts

_FIELDS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True)
class ThinkingForm:
    """A message with thoughts before its answer, as one kind of template takes it."""

    message: Mapping[str, Any]
    thoughts: str
    answer: str
    mark: ThoughtMark

    def written(self, *, opened: bool) -> str:
        """Return the content as a model writes it, after a prompt that has opened it or not."""
        begin = "" if opened else f"{self.mark.opening}\n"
        return f"{begin}{self.thoughts}\n{self.mark.closing}\n\n{self.answer}"


def forms_of(message: Mapping[str, Any]) -> tuple[ThinkingForm, ...]:
    """Return the forms of a message: as it is, and with the thoughts in fields of their own.

    There is none for a message without thoughts.
    """
    content = message["content"]
    said = split_thoughts(content)
    if message["role"] != "assistant" or said.thoughts is None:
        return ()
    mark = next(
        mark for mark in THOUGHT_MARKS if mark.closing in content or mark.opening in content
    )
    apart = {**message, "content": said.answer, **dict.fromkeys(_FIELDS, said.thoughts)}
    return tuple(ThinkingForm(form, said.thoughts, said.answer, mark) for form in (message, apart))


def is_rendered(form: ThinkingForm, response: str, *, opened: bool) -> bool:
    """Whether a rendered response holds the thoughts once, in one block before the answer."""
    opening, closing = form.mark.opening, form.mark.closing
    written = form.thoughts + form.answer
    blocks = response.count(closing) - written.count(closing)
    openings = response.count(opening) - written.count(opening)
    return form.thoughts in response and blocks == 1 and openings == (0 if opened else 1)
