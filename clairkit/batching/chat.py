"""Conversations to token ids: the one place where chat templates and tokenizers are met.

Prompt and response are encoded so that the prompt's ids are exactly those the model sees when it
generates, and the response's ids are what follows them, up to and with the end-of-turn token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.records import Message

# A code point of the private use area, doubled around a number, stands for protected text.
_MARK = "\uf8f1"


@dataclass(frozen=True)
class Encoded:
    """One conversation: the prompt's and the response's token ids.

    `realigned` tells that the tokenizer would have merged across the boundary between the two;
    `special_text` counts special-token texts that were encoded as plain text.
    """

    prompt_ids: list[int]
    response_ids: list[int]
    realigned: bool = False
    special_text: int = 0


class ChatEncoder:
    """Encodes conversations with a tokenizer's own chat template.

    Text in a message that spells a special token (`<|im_end|>`) is encoded as plain text: a
    message can't end its own turn.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        template_kwargs: passed to the template (`{"enable_thinking": False}`).

    Raises:
        UsageError: the tokenizer has no chat template, or no end-of-sequence token.
    """

    def __init__(self, tokenizer: Any, template_kwargs: Mapping[str, Any] | None = None) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError(
                "the tokenizer has no chat template",
                received=tokenizer.name_or_path,
                remedy="use the instruction-tuned model's tokenizer, or set `chat_template_path` "
                "to a Jinja file",
            )
        if tokenizer.eos_token_id is None:
            raise UsageError(
                "the tokenizer has no end-of-sequence token",
                received=tokenizer.name_or_path,
                remedy="set `eos_token` in its tokenizer_config.json",
            )
        self.tokenizer = tokenizer
        self._template_kwargs = dict(template_kwargs or {})
        special = {*tokenizer.all_special_tokens} | {
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        }
        self._special_ids = frozenset(tokenizer.convert_tokens_to_ids(sorted(special)))
        self._special = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids that a model continues: the messages and the generation prompt."""
        guarded, hidden = self._guard(messages)
        return self._ids(self._render(guarded, generation=True), hidden)

    def response(self, prompt: Sequence[Message], response: Sequence[Message]) -> Encoded:
        """Encode `response` (one or more messages, the last the assistant's) after `prompt`.

        Raises:
            DataError: the template refuses the conversation, renders nothing for the prompt, or
                renders the prompt differently once a response follows.
        """
        guarded, hidden = self._guard([*prompt, *response])
        prompt_text = self._render(guarded[: len(prompt)], generation=True)
        text = self._render(guarded, generation=False)
        if not text.startswith(prompt_text):
            raise _unstable(prompt_text, text)
        prompt_ids = self._ids(prompt_text, hidden)
        if not prompt_ids:
            raise DataError("the chat template renders the prompt as nothing")
        ids = self._ids(text, hidden)
        realigned = ids[: len(prompt_ids)] != prompt_ids
        if realigned:
            response_ids = self._ids(text[len(prompt_text) :], hidden)
        else:
            response_ids = ids[len(prompt_ids) :]
        count = sum(f"{_MARK}{key}{_MARK}" in text for key in range(len(hidden)))
        return Encoded(prompt_ids, self._end_of_turn(response_ids), realigned, count)

    def _render(self, messages: Sequence[Message], *, generation: bool) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=generation,
                **self._template_kwargs,
            )  # fmt: skip
        except TemplateError as error:  # Gemma's, for instance, knows no system message
            raise DataError(
                f"the chat template refuses the conversation: {excerpt(str(error), 200)}",
                remedy="leave it out, or set `chat_template_path` to a template that takes it",
            ) from error
        return text

    def _guard(self, messages: Sequence[Message]) -> tuple[list[Message], list[str]]:
        """Replace special-token texts in the contents by marks; return them by mark number."""
        hidden: list[str] = []

        def hide(match: re.Match[str]) -> str:
            hidden.append(match[0])
            return f"{_MARK}{len(hidden) - 1}{_MARK}"

        guarded: list[Message] = []
        for message in messages:
            content = message["content"]
            if _MARK in content:  # then it can't be a mark: hide it, too
                content = re.sub(f"{self._special.pattern}|{_MARK}", hide, content)
            elif self._special.search(content):
                content = self._special.sub(hide, content)
            guarded.append({**message, "content": content})
        return guarded, hidden

    def _ids(self, text: str, hidden: Sequence[str]) -> list[int]:
        """Encode rendered text; each mark becomes the ids of its text without special tokens."""
        if not hidden:
            return self._encode(text)
        ids: list[int] = []
        for index, piece in enumerate(re.split(f"{_MARK}([0-9]+){_MARK}", text)):
            if index % 2:
                ids += self._encode(hidden[int(piece)], split_special_tokens=True)
            elif piece:
                ids += self._encode(piece)
        return ids

    def _encode(self, text: str, **options: Any) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids

    def _end_of_turn(self, ids: list[int]) -> list[int]:
        """Cut what the template writes after the end of the turn; add an end if it writes none.

        After it come white space and, at the end of a conversation, perhaps another special token
        (Phi-3: `<|end|>`, a line break, `<|endoftext|>`).
        """
        end = None
        for last in range(len(ids) - 1, -1, -1):
            if ids[last] in self._special_ids:
                end = last
            elif self.tokenizer.decode(ids[last]).strip():
                break
        return [*ids, self.tokenizer.eos_token_id] if end is None else ids[: end + 1]


def _unstable(prompt_text: str, text: str) -> DataError:
    shared = next(
        (i for i, (a, b) in enumerate(zip(prompt_text, text, strict=False)) if a != b),
        min(len(prompt_text), len(text)),
    )
    return DataError(
        "the chat template renders the prompt differently once a response follows; "
        f"after {shared} equal characters the prompt goes on with "
        f"{excerpt(prompt_text[shared:], 40)!r} and the conversation with "
        f"{excerpt(text[shared:], 40)!r}",
        remedy="set `chat_template_kwargs` (for instance enable_thinking: false), or "
        "`chat_template_path` to a template whose generation prompt begins the response",
    )
