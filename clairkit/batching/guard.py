"""Special tokens spelt in the texts of a conversation: which stay text, and which are tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clairkit.batching.in_context import MARK
from clairkit.batching.template_tokens import TemplateTokens, token_pattern
from clairkit.records import Message
from clairkit.records.thoughts import THOUGHT_MARKS

_MARKS = frozenset(text for mark in THOUGHT_MARKS for text in (mark.opening, mark.closing))


@dataclass
class Guarded:
    """Messages in which numbered marks stand for texts that must not become tokens.

    Attributes:
        messages: to be rendered.
        hidden: the protected texts, by number.
        tokens: which of these spell a token.
        spelt: tokens in the texts that are encoded as tokens.
    """

    messages: list[Message] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    spelt: set[str] = field(default_factory=set)

    def count_in(self, text: str) -> int:
        """Return how many protected tokens are in a rendered text."""
        return sum(
            kept in self.tokens and f"{MARK}{number}{MARK}" in text
            for number, kept in enumerate(self.hidden)
        )

    @property
    def as_text(self) -> frozenset[str]:
        """The tokens that are encoded as text."""
        return frozenset(self.tokens)

    @property
    def as_tokens(self) -> frozenset[str]:
        """The tokens that are encoded as such."""
        return frozenset(self.spelt)


class Guard:
    """Hides what spells a token and must not become one.

    Args:
        tokens: of the tokenizer and its template.
        all_text: hide all special tokens but an assistant's thought marks, not only those that
            would forge something.
    """

    def __init__(self, tokens: TemplateTokens, *, all_text: bool = False) -> None:
        more = tokens.special if all_text else frozenset()
        self._others = tokens.written | more
        self._assistant = (tokens.turns | more) - (_MARKS - tokens.turns)
        self._pattern = token_pattern((*tokens.special, *tokens.written, MARK))

    def hide(self, messages: Sequence[Message]) -> Guarded:
        """Return the messages with marks in place of such texts."""
        found = Guarded()
        for message in messages:
            content = message["content"]
            if content and self._pattern.search(content):
                is_assistant = message["role"] == "assistant"
                wanted = self._assistant if is_assistant else self._others
                content = self._pattern.sub(lambda match: _hide(match[0], wanted, found), content)  # noqa: B023 - called at once
            found.messages.append({**message, "content": content})
        return found


def _hide(text: str, wanted: frozenset[str], found: Guarded) -> str:
    if text == MARK:  # else a text could pass for a mark
        found.hidden.append(text)
    elif text in wanted:
        found.hidden.append(text)
        found.tokens.add(text)
    else:
        found.spelt.add(text)
        return text
    return f"{MARK}{len(found.hidden) - 1}{MARK}"
