"""Special tokens spelt in the texts of a conversation: which stay text, and which are tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from clairkit.batching.in_context import HIDDEN, MARK
from clairkit.records import Message
from clairkit.records.thoughts import THOUGHT_MARKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = Mapping[str, object]
Render = Callable[..., str]
"""Renders a list of messages; further arguments go to the template."""

PROBE = "zprobe"
_USER: Turn = {"role": "user", "content": PROBE}
_SYSTEM: Turn = {"role": "system", "content": PROBE}
_ANSWER: Turn = {"role": "assistant", "content": PROBE}
_THINKING: Turn = {**_ANSWER, "reasoning_content": PROBE, "thinking": PROBE}
_FUNCTION = {"name": "probe", "arguments": {"probe": PROBE}}
_CALL: Turn = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "id": "probe0000", "function": _FUNCTION}],
}
_RESULT: Turn = {"role": "tool", "name": "probe", "tool_call_id": "probe0000", "content": PROBE}
_PARAMETERS = {"type": "object", "properties": {"probe": {"type": "string"}}}
_TOOL = {"name": "probe", "description": PROBE, "parameters": _PARAMETERS}
_TOOLS = [{"type": "function", "function": _TOOL}]
_PLAIN: tuple[Sequence[Turn], ...] = (
    (_USER,),
    (_USER, _ANSWER),
    (_SYSTEM, _USER),
    (_SYSTEM, _USER, _ANSWER, _USER, _ANSWER),
)
_VARIANTS: tuple[Mapping[str, object], ...] = (
    {},
    {"enable_thinking": True},
    {"enable_thinking": False},
    {"thinking": True},
)
_MARKS = frozenset(text for mark in THOUGHT_MARKS for text in (mark.opening, mark.closing))
_DELIMITER = re.compile(r"[^\w\s]")

Match = tuple[int, int, str]
"""Beginning and end of a text that becomes a token, and the token."""


@dataclass(frozen=True)
class TemplateTokens:
    """The texts of a tokenizer's added tokens, by what they are to its chat template.

    Attributes:
        special: all special tokens.
        known: these, and added tokens that are not special but delimit something (Qwen3's
            `<tool_call>`).
        written: what the template writes, whatever the turn; bos, eos and padding.
        turns: of these, what begins, ends or separates turns of any role, and what only comes
            with a tool's result: in an assistant's text it would end or forge a turn. Thought
            marks and what an assistant calls tools with are not among them.
    """

    special: frozenset[str]
    known: frozenset[str]
    written: frozenset[str]
    turns: frozenset[str]


def find_template_tokens(tokenizer: PreTrainedTokenizerBase, render: Render) -> TemplateTokens:
    """Render conversations of every kind, and return the added tokens that are in them."""
    added = {token.content: token.special for token in tokenizer.added_tokens_decoder.values()}
    special = {*tokenizer.all_special_tokens, *(text for text in added if added[text])}
    named = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token} - {None}
    # A word or white space that is a token (Gemma has some) delimits nothing.
    known = special | {text for text in added if _DELIMITER.search(text)}

    def tokens_of(text: str) -> list[str]:
        return token_pattern(token for token in known if token in text).findall(text)

    def found(conversations: Iterable[Sequence[Turn]], **more: object) -> set[str]:
        return {
            token for text in _rendered(conversations, render, **more) for token in tokens_of(text)
        }

    plain = found(_PLAIN)
    calls = found([(_USER, _CALL)], tools=_TOOLS)
    results = found([(_USER, _CALL, _RESULT), (_USER, _CALL, _RESULT, _ANSWER)], tools=_TOOLS)
    thinking = found([(_USER, _THINKING)])
    turns = (plain | (results - calls if calls else set())) - _MARKS
    template = tokenizer.chat_template
    sources = template.values() if isinstance(template, dict) else [str(template)]
    source = set(tokens_of("\n".join(sources)))
    return TemplateTokens(
        special=frozenset(special),
        known=frozenset(known),
        written=frozenset(plain | calls | results | thinking | source | named),
        turns=frozenset(turns | named),
    )


def token_pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of the tokens, of two at one place the longer."""
    ordered = sorted(tokens, key=lambda text: (-len(text), text))
    if not ordered:
        return re.compile(r"(?!)")
    # Some tokenizers have thousands: where no first letter stands, none of them is tried.
    first = "".join(re.escape(letter) for letter in sorted({text[0] for text in ordered}))
    return re.compile(f"(?=[{first}])(?:{'|'.join(map(re.escape, ordered))})")


def _rendered(
    conversations: Iterable[Sequence[Turn]], render: Render, **more: object
) -> Iterator[str]:
    for messages in conversations:
        for variant in _VARIANTS:
            for generation in (False, True):
                try:
                    yield render(messages, generation=generation, **variant, **more)
                except Exception:  # of any kind: a template refuses as it likes
                    continue


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
        numbers = {int(number) for number in HIDDEN.findall(text)}
        return sum(self.hidden[number] != MARK for number in numbers)

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
        all_text: hide all tokens that delimit something, but an assistant's thought marks; not
            only those that would forge something.
        disguised: finds what becomes a token without spelling it, see `disguised_in`.
    """

    def __init__(
        self,
        tokens: TemplateTokens,
        *,
        all_text: bool = False,
        disguised: Callable[[str], Iterator[Match]] | None = None,
    ) -> None:
        more = tokens.known if all_text else frozenset()
        self._others = tokens.written | more
        self._assistant = (tokens.turns | more) - (_MARKS - tokens.turns)
        self._pattern = token_pattern((*tokens.special, *more, *tokens.written, MARK))
        self._disguised = disguised

    def hide(self, messages: Sequence[Message]) -> Guarded:
        """Return the messages with marks in place of such texts."""
        found = Guarded()
        for message in messages:
            wanted = self._assistant if message["role"] == "assistant" else self._others
            guarded = {
                name: value if name == "role" else self._hidden(value, wanted, found)
                for name, value in message.items()
            }
            found.messages.append(cast("Message", guarded))
        return found

    def _hidden(self, value: Any, wanted: frozenset[str], found: Guarded) -> Any:
        """Return a text with marks; of a list or an object, as tool calls are, all its texts."""
        if isinstance(value, list | tuple):
            return [self._hidden(each, wanted, found) for each in value]
        if isinstance(value, dict):
            return {name: self._hidden(each, wanted, found) for name, each in value.items()}
        if not isinstance(value, str) or not value:
            return value
        parts: list[str] = []
        done = 0
        for start, end, token in self._matches(value):
            parts += value[done:start], _hide(value[start:end], token, wanted, found)
            done = end
        return "".join((*parts, value[done:]))

    def _matches(self, content: str) -> list[Match]:
        matches = [
            (match.start(), match.end(), match[0]) for match in self._pattern.finditer(content)
        ]
        if self._disguised is None:
            return matches
        taken = {place for start, end, _ in matches for place in range(start, end)}
        more = (each for each in self._disguised(content) if taken.isdisjoint(range(*each[:2])))
        return sorted((*matches, *more))


def disguised_in(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], Iterator[Match]] | None:
    """Return what finds texts that a tokenizer makes tokens of though they are spelt otherwise.

    Tokens that are looked for in normalised text are also found in full-width letters, say. None
    for a tokenizer without such tokens or without a normalizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    added = tokenizer.added_tokens_decoder.items()
    normalised = {number: token.content for number, token in added if token.normalized}
    if backend is None or backend.normalizer is None or not normalised:
        return None

    def find(content: str) -> Iterator[Match]:
        made = backend.encode(content, add_special_tokens=False)
        for number, (start, end) in zip(made.ids, made.offsets, strict=True):
            token = normalised.get(number)
            if token is not None and start < end and content[start:end] != token:
                yield start, end, token

    return find


def _hide(text: str, token: str, wanted: frozenset[str], found: Guarded) -> str:
    if text == MARK:  # else a text could pass for a mark
        found.hidden.append(text)
    elif token in wanted:
        found.hidden.append(text)
        found.tokens.add(token)
    else:
        found.spelt.add(token)
        return text
    return f"{MARK}{len(found.hidden) - 1}{MARK}"
