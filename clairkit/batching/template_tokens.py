"""Which tokens a chat template writes itself: found by rendering small conversations with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clairkit.records.thoughts import THOUGHT_MARKS

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
    source = set(tokens_of(_source(tokenizer)))
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


def _source(tokenizer: PreTrainedTokenizerBase) -> str:
    template = tokenizer.chat_template
    return "\n".join(template.values()) if isinstance(template, dict) else str(template)
