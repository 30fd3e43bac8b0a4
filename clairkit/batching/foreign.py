"""Find turns within a side that the model does not write: a tool's result, a user's question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clairkit.scoring.blocks import common_prefix

Spans = tuple[tuple[int, int], ...]
"""Beginning and end of stretches of tokens, in order."""


@dataclass(frozen=True)
class Rendering:
    """A conversation, rendered and encoded, and how parts of it are.

    Attributes:
        messages: all of them.
        size: how many are the prompt.
        prompt: how many ids these take.
        text: all messages rendered.
        ids: of the text.
        render: renders some messages, with or without the generation prompt.
        begin: what of the text is a prompt; None when it does not begin so.
        encode: a text to ids.
        ends_turn: whether a token ends a turn; white space behind it is no part of it.
    """

    messages: Sequence[Mapping[str, object]]
    size: int
    prompt: int
    text: str
    ids: Sequence[int]
    render: Callable[[Sequence[Mapping[str, object]], bool], str]
    begin: Callable[[str, str], str | None]
    encode: Callable[[str], Sequence[int]]
    ends_turn: Callable[[int], bool]

    def foreign(self) -> Spans | None:
        """Return the tokens of turns behind the prompt that are not the assistant's.

        Each stretch begins behind an end of turn and ends with the next generation prompt.
        None: the template does not render the conversation turn after turn.
        """
        spans: list[tuple[int, int]] = []
        before = 0  # where the assistant's turn before them begins, at the earliest
        for first, last in self._runs():
            begin = self.begin(self.render(self.messages[:last], True), self.text)
            end = None if begin is None else self._count(begin)
            start = self._start(first) or self._first_end(before, end)
            if start is None or end is None or not before < start < end:
                return None
            spans.append((start, end))
            before = end
        return tuple(spans)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield where runs of other turns begin, and which assistant's turn follows."""
        first = None
        for place in range(self.size, len(self.messages)):
            if self.messages[place]["role"] != "assistant":
                first = place if first is None else first
            elif first is not None:
                yield first, place
                first = None

    def _start(self, first: int) -> int | None:
        rendered = self.render(self.messages[:first], False)
        size = common_prefix(rendered, self.text)
        number, rest = self._count(self.text[:size]), rendered[size:].strip()
        # At the end of a conversation some templates write one more token (Phi-3).
        if number is None or not all(map(self.ends_turn, self.encode(rest) if rest else ())):
            return None
        while number and not self.ends_turn(self.ids[number - 1]):
            number -= 1
        return number or None

    def _first_end(self, before: int, end: int | None) -> int | None:
        """Look for the token that ends the side: no text of an assistant's turn holds one.

        A turn within may be rendered otherwise than one at the end (Qwen3: with no thoughts).
        """
        last = next((token for token in reversed(self.ids) if self.ends_turn(token)), None)
        places = range(max(before, self.prompt), end or 0)
        return next((place + 1 for place in places if self.ids[place] == last), None)

    def _count(self, text: str) -> int | None:
        """The tokens of a beginning of the text; None where one lies on both sides of its end."""
        ids = self.encode(text)
        return len(ids) if list(self.ids[: len(ids)]) == list(ids) else None
