"""Thoughts in a content that is trained on, in the forms that chat templates take."""

from __future__ import annotations

from dataclasses import dataclass

from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import THOUGHT_FIELDS, THOUGHT_MARKS, ThoughtMark, split_thoughts


@dataclass(frozen=True)
class ThinkingForm:
    """A message with thoughts before its answer, as one kind of template takes it.

    `apart` tells that the thoughts are in fields of their own.
    """

    message: JsonMapping
    thoughts: str
    answer: str
    mark: ThoughtMark
    apart: bool

    def written(self, *, opened: bool) -> str:
        """Return the content as a model writes it, after a prompt that has opened it or not."""
        begin = "" if opened else f"{self.mark.opening}\n"
        return f"{begin}{self.thoughts}\n{self.mark.closing}\n\n{self.answer}"

    def is_in(self, response: str, opened: str | None) -> bool:
        """Whether a rendered response holds the thoughts once, in one block before the answer.

        Args:
            response: what the template renders, or what follows the prompt of it.
            opened: the mark by which the prompt has opened the thoughts.
        """
        if self.apart:
            said = split_thoughts(response, opened=opened)
            return said.thoughts == self.thoughts and said.answer.startswith(self.answer.strip())
        written = self.thoughts + self.answer
        closings = response.count(self.mark.closing) - written.count(self.mark.closing)
        return self.thoughts in response and closings == 1


def forms_of(message: JsonMapping) -> tuple[ThinkingForm, ...]:
    """Return the forms of a message: with the thoughts in fields of their own, and as it is.

    There is none for a message without thoughts.
    """
    content = message["content"] or ""
    said = split_thoughts(content)
    if message["role"] != "assistant" or said.thoughts is None:
        return ()
    held = (mark for mark in THOUGHT_MARKS if mark.closing in content or mark.opening in content)
    mark = next(held, THOUGHT_MARKS[0])
    apart = {**message, "content": said.answer, **dict.fromkeys(THOUGHT_FIELDS, said.thoughts)}
    return tuple(
        ThinkingForm(form, said.thoughts, said.answer, mark, form is apart)
        for form in (apart, message)
    )
