"""Turn conversations into token ids: the one place where templates and tokenizers are met.

Prompt and response are encoded so that the prompt's ids are exactly those the model sees when it
generates, and the response's ids are what follows them, up to and with the end-of-turn token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from clairkit.batching.chat_settings import ChatSettings, fold_system
from clairkit.batching.foreign import Rendering, Spans
from clairkit.batching.guard import (
    PROBE,
    Guard,
    Guarded,
    TemplateTokens,
    disguised_in,
    find_template_tokens,
)
from clairkit.batching.in_context import ContextEncoder
from clairkit.choices import SpecialTokens
from clairkit.display import excerpt
from clairkit.errors import DataError, UsageError
from clairkit.records import Message
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import (
    THOUGHT_FIELDS,
    THOUGHT_MARKS,
    Marks,
    ThoughtMark,
    opening_mark,
    split_thoughts,
)
from clairkit.scoring.blocks import common_prefix

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


@dataclass(frozen=True)
class Encoded:
    """One conversation: the prompt's and the response's token ids.

    `realigned` tells that the tokenizer would have merged across the boundary between the two;
    `special_text` counts special-token texts that were encoded as plain text. `as_text` and
    `as_tokens` are the special tokens that are spelt in the texts, by how they were encoded.
    `foreign` are the response's tokens of turns that are not the assistant's; None: not known.
    """

    prompt_ids: list[int]
    response_ids: list[int]
    realigned: bool = False
    special_text: int = 0
    as_text: frozenset[str] = frozenset()
    as_tokens: frozenset[str] = frozenset()
    foreign: Spans | None = ()


class ChatEncoder:
    """Encodes conversations with a tokenizer's own chat template.

    Text in a message that spells a token which the template writes itself (`<|im_end|>`), or bos,
    eos or padding, is encoded as plain text: a message can't end its own turn or forge another.
    An assistant's text may hold the other ones, those the model was made for: of citations, tool
    calls and thoughts.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        template_kwargs: passed to the template (`{"enable_thinking": False}`).
        special_tokens: "text" encodes all special tokens in a text as plain text, but for an
            assistant's thought marks.
        fold: put a leading system turn into the first user turn, for templates that have none.

    Raises:
        UsageError: the tokenizer has no chat template, or no end-of-sequence token.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template_kwargs: Mapping[str, object] | None = None,
        special_tokens: SpecialTokens = "tokens",
        *,
        fold: bool = False,
    ) -> None:
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
        self._special_tokens = special_tokens
        self._fold = fold

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, settings: ChatSettings) -> ChatEncoder:
        """Return the encoder of settings; what they don't give has its default."""
        return cls(
            tokenizer,
            settings.chat_template_kwargs,
            settings.special_tokens or "tokens",
            fold=bool(settings.fold_system),
        )

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids that a model continues: the messages and the generation prompt."""
        guarded = self._guard.hide(self._folded(messages))
        return self._encoder.encode(self._render(guarded.messages, generation=True), guarded.hidden)

    def response(self, prompt: Sequence[Message], response: Sequence[Message]) -> Encoded:
        """Encode `response` (one or more messages, the last the assistant's) after `prompt`.

        Raises:
            DataError: the template refuses the conversation, renders nothing for the prompt, or
                renders the prompt differently once a response follows.
        """
        prompt = self._folded(prompt)
        guarded = self._guard.hide([*prompt, *response])
        hidden = guarded.hidden
        prompt_text, text = self._texts(guarded, len(prompt))
        prompt_ids = self._encoder.encode(prompt_text, hidden)
        if not prompt_ids:
            raise DataError("the chat template renders the prompt as nothing")
        ids = self._encoder.encode(text, hidden)
        realigned = ids[: len(prompt_ids)] != prompt_ids
        if realigned:
            rest = text[len(prompt_text) :]
            response_ids = self._encoder.encode(rest, hidden, continues=True)
        else:
            response_ids = ids[len(prompt_ids) :]
        return Encoded(
            prompt_ids,
            self._end_of_turn(response_ids),
            realigned,
            guarded.count_in(text),
            guarded.as_text,
            guarded.as_tokens,
            None if realigned else self._foreign(guarded, len(prompt), text, ids, len(prompt_ids)),
        )

    def opened_thoughts(self, marks: Marks = THOUGHT_MARKS) -> str | None:
        """Return the mark by which the generation prompt opens thoughts: a reply begins in them."""
        try:
            prompt = self._render([Message(role="user", content=PROBE)], generation=True)
        except DataError:  # it takes conversations of another kind, one by one
            return None
        return opening_mark(prompt, marks)

    def _folded(self, messages: Sequence[Message]) -> Sequence[Message]:
        return fold_system(messages) if self._fold else messages

    @cached_property
    def tokens(self) -> TemplateTokens:
        """Return what the tokenizer's added tokens are to the template."""
        return find_template_tokens(self.tokenizer, self._render_raw)

    @cached_property
    def turn_ids(self) -> frozenset[int]:
        """Return the ids of the tokens that begin, end or separate turns."""
        return frozenset(self.tokenizer.convert_tokens_to_ids(sorted(self.tokens.turns)))

    @cached_property
    def _guard(self) -> Guard:
        return Guard(
            self.tokens,
            all_text=self._special_tokens == "text",
            disguised=disguised_in(self.tokenizer),
        )

    @cached_property
    def _encoder(self) -> ContextEncoder:
        return ContextEncoder(self.tokenizer, self.tokens.special | self.tokens.written)

    @cached_property
    def _needs_parts(self) -> bool:
        """Whether the template passes over a content that is a text, as those of images do."""
        turn = {"role": "user", "content": PROBE}
        parts = {"role": "user", "content": [{"type": "text", "text": PROBE}]}
        return not self._shows(turn) and self._shows(parts)

    def _shows(self, turn: Mapping[str, object]) -> bool:
        try:
            text = self.tokenizer.apply_chat_template(
                [turn], tokenize=False, **self._template_kwargs
            )
        except Exception:  # of any kind: a template refuses as it likes
            return False
        return PROBE in text

    def _foreign(
        self, guarded: Guarded, size: int, text: str, ids: list[int], skip: int
    ) -> Spans | None:
        """Return the places of other turns in the response, `skip` tokens behind the beginning."""
        if all(turn["role"] == "assistant" for turn in guarded.messages[size:]):
            return ()
        spans = Rendering(
            messages=guarded.messages,
            size=size,
            prompt=skip,
            text=text,
            ids=ids,
            render=lambda messages, generation: self._render(messages, generation=generation),
            begin=_begin_of,
            encode=lambda part: self._encoder.encode(part, guarded.hidden),
            ends_turn=self.turn_ids.__contains__,
        ).foreign()
        return spans and tuple((start - skip, end - skip) for start, end in spans)

    def _texts(self, guarded: Guarded, size: int) -> tuple[str, str]:
        """Render the prompt, which are the first `size` messages, and all of them.

        Thoughts in the last content are given to the template in the form that it renders.
        """
        messages = guarded.messages
        prompt_text = self._render(messages[:size], generation=True)
        forms = forms_of(messages[-1])
        text = self._render(messages, generation=False)
        if not forms:
            return _begin(prompt_text, text), text
        opened = opening_mark(prompt_text)
        for form in forms:
            text = self._render([*messages[:-1], form.message], generation=False)
            begin = _begin(prompt_text, text)
            if form.is_in(text[len(begin) :], opened if begin == prompt_text else None):
                return begin, text
        # The template leaves thoughts out: they follow the prompt as the model would write them.
        _, _, tail = text.rpartition(forms[0].answer.strip())
        return prompt_text, prompt_text + forms[0].written(opened=opened is not None) + tail

    def _render(self, messages: Sequence[Mapping[str, object]], *, generation: bool) -> str:
        from jinja2 import TemplateError

        if self._needs_parts:
            messages = [
                {**turn, "content": [{"type": "text", "text": turn["content"] or ""}]}
                for turn in messages
            ]
        try:
            return self._render_raw(messages, generation=generation)
        except TemplateError as error:  # Gemma's, for instance, knows no system message
            raise DataError(
                f"the chat template refuses the conversation: {excerpt(str(error), 200)}",
                remedy="leave it out, fold a system turn into the user's (`fold_system`), or set "
                "`chat_template_path` to a template that takes it",
            ) from error

    def _render_raw(
        self, messages: Sequence[Mapping[str, object]], *, generation: bool, **more: object
    ) -> str:
        text: str = self.tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=generation,
            **{**more, **self._template_kwargs},
        )
        return text

    def _end_of_turn(self, ids: list[int]) -> list[int]:
        """Cut what the template writes after the end of the turn; add an end if it writes none.

        After it come white space and, at the end of a conversation, perhaps another token of the
        template (Phi-3: `<|end|>`, a line break, `<|endoftext|>`).
        """
        end = None
        for last in range(len(ids) - 1, -1, -1):
            if ids[last] in self.turn_ids:
                end = last
            elif self.tokenizer.decode(ids[last]).strip():
                break
        return [*ids, self.tokenizer.eos_token_id] if end is None else ids[: end + 1]


_END_OF_PROMPT = re.compile(
    "(?:"
    + "|".join(
        rf"{re.escape(mark.opening)}\s*(?:{re.escape(mark.closing)}\s*)?"
        for mark in THOUGHT_MARKS
        if not mark.paired
    )
    + r")\Z"
)


def _begin(prompt_text: str, text: str) -> str:
    """Return what of a conversation is its prompt.

    Some templates end a prompt with the beginning of thoughts, or with an empty block, and render
    an answer otherwise: then the response begins before that.
    """
    begin = _begin_of(prompt_text, text)
    if begin is None:
        raise _unstable(prompt_text, text)
    return begin


def _begin_of(prompt_text: str, text: str) -> str | None:
    both = (prompt_text, _END_OF_PROMPT.sub("", prompt_text))
    return next((begin for begin in both if text.startswith(begin)), None)


def _unstable(prompt_text: str, text: str) -> DataError:
    shared = common_prefix(prompt_text, text)
    return DataError(
        "the chat template renders the prompt differently once a response follows; "
        f"after {shared} equal characters the prompt goes on with "
        f"{excerpt(prompt_text[shared:], 40)!r} and the conversation with "
        f"{excerpt(text[shared:], 40)!r}",
        remedy="set `chat_template_kwargs` (for instance enable_thinking: false), or "
        "`chat_template_path` to a template whose generation prompt begins the response",
    )
