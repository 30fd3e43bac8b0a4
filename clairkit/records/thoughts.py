"""Tell what a reasoning model writes before its answer apart from the answer.

A reply has thoughts only at its beginning. It has them in one of three forms:

1. It begins (white space aside) with an opening mark. The thoughts end at the first closing mark
   that is not quoted; where all are quoted, at the last one; where there is none, all is thoughts.
   Further blocks that follow at once are thoughts, too.
2. The prompt has opened the block, which the caller knows (`opened`): as in 1, without the mark.
3. A closing mark stands alone, since a prompt that nobody knows of has opened the block. It counts
   only where a mark would stand and prose would not: no opening mark before it, not quoted, and
   on a line of its own; or glued to the text before it, or behind the end of a sentence, where its
   line ends with it; or glued to the end of a sentence, wherever that is.

Quoted means: in a code fence, in a code span, or in quotation marks. So an answer that talks about
the marks loses nothing, and the white space of an answer without thoughts stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from clairkit.errors import UsageError
from clairkit.records.fences import read_lines
from clairkit.records.schema import Message, Pair


@dataclass(frozen=True)
class ThoughtMark:
    """What opens and closes thoughts; an empty `opening` says that the prompt opens them.

    `paired`: neither counts without the other, as words that an answer may begin with.
    `unmistakable`: no prose holds it, so that a closing mark counts wherever it stands.
    """

    opening: str
    closing: str
    paired: bool = False
    unmistakable: bool = False


Marks = tuple[ThoughtMark, ...]

THOUGHT_MARKS: Marks = (
    ThoughtMark("<think>", "</think>"),  # Qwen3, DeepSeek, GLM, Nemotron, MiniMax and most others
    ThoughtMark("<thinking>", "</thinking>"),
    ThoughtMark("<thought>", "</thought>"),  # EXAONE
    ThoughtMark("<reasoning>", "</reasoning>"),
    ThoughtMark("<seed:think>", "</seed:think>"),  # Seed-OSS
    ThoughtMark("<longcat_think>", "</longcat_think>"),
    ThoughtMark("[THINK]", "[/THINK]"),  # Magistral
    ThoughtMark("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
    ThoughtMark("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ThoughtMark("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ThoughtMark("<|channel>thought", "<channel|>"),  # Gemma 4
    ThoughtMark("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", unmistakable=True),
    ThoughtMark("analysis", "assistantfinal", paired=True),  # gpt-oss, its special tokens dropped
)
"""Of the model families. Longer openings are looked for first."""

THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message that hold its thoughts."""


@dataclass(frozen=True)
class Said:
    """A reply, taken apart.

    Attributes:
        answer: what follows the thoughts; the whole text where there are none.
        thoughts: None where there are none; "" for an empty block.
    """

    answer: str
    thoughts: str | None = None


_BLANK = " \t\r\n\ufeff"
_TRIED = 64  # blocks, and closing marks, that are looked at: more are no reply's structure
_LEADING = re.compile(r"\A(?:[ \t]*\r?\n)+|\A[ \t]+")
_QUOTES = (("`", "`"), ('"', '"'), ("\u201c", "\u201d"), ("\u300c", "\u300d"), ("\u300e", "\u300f"))
_TIGHT_QUOTES = ("''", "\u2018\u2019", "()")  # only with nothing else between them
_SENTENCE_ENDS = ".!?\u2026\u3002\uff01\uff1f*)\u300d"
# Turns that a model with channels or responses wraps its parts in.
_TAIL_OF_THOUGHTS = re.compile(r"(?:<\|end\|>)?\s*(?:<\|start\|>assistant)?\s*\Z")
_HEAD_OF_ANSWER = re.compile(r"\A\s*<\|START_RESPONSE\|>")
_TAIL_OF_ANSWER = re.compile(r"(?:<\|END_RESPONSE\|>|<\|return\|>|<\|end\|>)\s*\Z")


def split_thoughts(
    text: str,
    marks: Marks = THOUGHT_MARKS,
    *,
    opened: str | None = None,
    follows: Callable[[str], bool] | None = None,
) -> Said:
    """Take a reply apart by the rule at the top of this module.

    Args:
        text: the reply.
        marks: that count; none leaves every text as it is.
        opened: the opening mark that the prompt is known to end with, see `opening_mark`.
        follows: says of the text behind a lone closing mark whether it is the answer; where it
            does, the mark counts whatever stands around it.
    """
    thoughts, rest = _blocks(text, marks, opened)
    if not thoughts:
        found = _lone_closing(text, marks, follows)
        if found is None:
            return Said(text)
        further, rest = _blocks(text[found[1] :], marks, None)
        thoughts = [text[: found[0]], *further]
    cleaned = [_TAIL_OF_THOUGHTS.sub("", thought).strip(_BLANK) for thought in thoughts]
    answer = _TAIL_OF_ANSWER.sub("", _HEAD_OF_ANSWER.sub("", rest))
    return Said(_LEADING.sub("", answer), "\n\n".join(filter(None, cleaned)))


def join_thoughts(*parts: str | None) -> str | None:
    """Return the thoughts of several places as one text; None where there are none."""
    given = [part for part in parts if part is not None]
    return "\n\n".join(filter(None, given)) if given else None


def opening_mark(text: str, marks: Marks = THOUGHT_MARKS) -> str | None:
    """Return the opening mark that a rendered prompt ends with, white space aside, if any."""
    bare = text.rstrip(_BLANK)
    openings = (mark.opening for mark in marks if mark.opening and not mark.paired)
    return next((opening for opening in openings if bare.endswith(opening)), None)


def parse_marks(given: Sequence[str]) -> Marks:
    """Return the marks that a user gave, each as "OPEN CLOSE"; the default for none given.

    "none" turns all off; a closing mark alone says that the prompt opens the thoughts.

    Raises:
        UsageError: a value is neither.
    """
    if not given:
        return THOUGHT_MARKS
    if list(given) == ["none"]:
        return ()
    marks: list[ThoughtMark] = []
    for value in given:
        parts = value.split()
        if len(parts) not in (1, 2) or value == "none":
            remedy = 'write "<think> </think>", "</think>" where the prompt opens them, or none'
            raise UsageError("not a pair of thought marks", received=value, remedy=remedy)
        opening, closing = ("", *parts)[-2:]
        marks.append(ThoughtMark(opening, closing))
    return tuple(marks)


def marks_as_json(marks: Marks) -> list[list[str]]:
    """Return marks as JSON has them, for keys and settings."""
    return [[mark.opening, mark.closing] for mark in marks]


def pair_without_thoughts(pair: Pair, marks: Marks = THOUGHT_MARKS) -> tuple[Pair, bool]:
    """Return the pair with the answers of both sides alone, and whether either had thoughts.

    An answer may be empty afterwards: the side was nothing but thoughts.
    """
    chosen, rejected = tuple(_turns(pair.chosen, marks)), tuple(_turns(pair.rejected, marks))
    if (chosen, rejected) == (tuple(pair.chosen), tuple(pair.rejected)):
        return pair, False
    return replace(pair, chosen=chosen, rejected=rejected), True


def _turns(turns: Iterable[Message], marks: Marks) -> Iterator[Message]:
    for turn in turns:
        content = turn["content"]
        if turn["role"] != "assistant" or not isinstance(content, str):
            yield turn
            continue
        kept = {name: value for name, value in turn.items() if name not in THOUGHT_FIELDS}
        yield cast("Message", {**kept, "content": split_thoughts(content, marks).answer})


def _blocks(text: str, marks: Marks, opened: str | None) -> tuple[list[str], str]:
    """Return the blocks of thoughts that a text begins with, and what follows them."""
    thoughts: list[str] = []
    for _ in range(_TRIED):
        begun = _begun(text, marks, opened=opened)
        if begun is None:
            break
        body, candidates = begun
        found = _closing(body, candidates)
        if found is None:
            return [*thoughts, body], ""
        thoughts.append(body[: found[0]])
        text = body[found[1] :]
        marks, opened = tuple(mark for mark in marks if mark.opening), None
    return thoughts, text


def _begun(text: str, marks: Marks, *, opened: str | None) -> tuple[str, Marks] | None:
    """Return what follows an opening mark, and the marks that may close it."""
    bare = text.lstrip(_BLANK)
    for mark in sorted(marks, key=lambda mark: -len(mark.opening)):
        if not bare.startswith(mark.opening):
            continue
        body = bare[len(mark.opening) :] if mark.opening else text
        if not mark.paired or mark.closing in body:
            return body, (mark,)
    closing = tuple(mark for mark in marks if opened and mark.opening == opened)
    return (text, closing) if closing else None


def _closing(text: str, marks: Marks) -> tuple[int, int] | None:
    """Return the place of the mark that closes thoughts which have begun."""
    places = sorted(place for mark in marks for place in _places(text, mark.closing))
    fences = _fences(text) if places else []
    plain = (place for place in places if not _is_quoted(text, place, fences))
    return next(plain, places[-1] if places else None)


def _lone_closing(
    text: str, marks: Marks, follows: Callable[[str], bool] | None
) -> tuple[int, int] | None:
    """Return the place of a closing mark whose opening mark the prompt held."""
    for mark in marks:
        first = text.find(mark.closing)
        if mark.paired or first < 0 or mark.opening in text[:first]:
            continue
        place = first, first + len(mark.closing)
        if follows is not None and follows(text[place[1] :]):
            return place
        fences = _fences(text)
        for place in _places(text, mark.closing):
            if not _is_quoted(text, place, fences) and _is_placed(text, place, mark):
                return place
    return None


def _is_placed(text: str, place: tuple[int, int], mark: ThoughtMark) -> bool:
    """Whether a lone closing mark stands where a model would write one, and prose would not."""
    if mark.unmistakable:
        return True
    before, after = text[: place[0]], text[place[1] :]
    line = before.rpartition("\n")[2]
    glued = bool(before) and not before[-1].isspace()
    ends_line = not after.partition("\n")[0].strip()
    if not line.strip(_BLANK):
        return ends_line or not (before.strip(_BLANK) or after[0].isspace())
    ends_sentence = line.rstrip()[-1] in _SENTENCE_ENDS
    if not after.strip(_BLANK):
        return False  # a block that the answer follows, or else prose that ends with the mark
    return (glued or ends_sentence) if ends_line else (glued and ends_sentence)


def _places(text: str, closing: str) -> Iterator[tuple[int, int]]:
    """The first places of a closing mark, and the last one."""
    start = text.find(closing)
    for _ in range(_TRIED):
        if start < 0:
            return
        yield start, start + len(closing)
        start = text.find(closing, start + len(closing))
    if start >= 0:
        last = text.rfind(closing)
        yield last, last + len(closing)


def _is_quoted(text: str, place: tuple[int, int], fences: Sequence[tuple[int, int]]) -> bool:
    start, end = place
    if any(first <= start < last for first, last in fences):
        return True
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after = text[end:].partition("\n")[0]
    for left, right in _QUOTES:
        count = before.count(left)
        is_open = count % 2 if left == right else count > before.count(right)
        if is_open and right in after:
            return True
    return before[-1:] + after[:1] in _TIGHT_QUOTES


def _fences(text: str) -> list[tuple[int, int]]:
    """Return where the code fences that are closed begin and end."""
    found, start = [], 0
    for line in read_lines(text):
        if line.kind == "open":
            start = line.start
        elif line.kind == "close":
            found.append((start, line.end))
    return found
