"""Find where the prompt ends when it has no column of its own: what both sides share.

TRL's rule is the longest common prefix. Between messages that is exact. Between texts it also
swallows words with which both answers happen to begin; here the cut goes back to a place where
a text can end, and a row that has no such place is refused.
"""

from __future__ import annotations

import re

from clairkit.records.faults import RowFault
from clairkit.records.messages import Messages
from clairkit.records.schema import Message

# The transcript form of Anthropic's hh-rlhf.
_SPEAKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_ENDINGS = frozenset(".:?!>。」』\uff0e\uff1a\uff1f\uff01")  # the last four are full-width .:?!
_GIVE_PROMPT = "give the prompt a column of its own, named `prompt`"


def split_messages(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """Return prompt, chosen and rejected: the messages shared at the start are the prompt.

    Raises:
        RowFault: they share no message.
    """
    size = 0
    for ours, theirs in zip(chosen[:-1], rejected[:-1], strict=False):
        if ours != theirs:
            break
        size += 1
    while size and chosen[size - 1]["role"] == "assistant":
        size -= 1  # both answers begin with the same turn
    if not size:
        problem = "`chosen` and `rejected` do not begin with the same prompt messages"
        raise RowFault("no_prompt", problem, remedy=_GIVE_PROMPT)
    return chosen[:size], chosen[size:], rejected[size:]


def split_texts(chosen: str, rejected: str) -> tuple[Messages, Messages, Messages]:
    """Return prompt, chosen and rejected of two texts that begin with the same prompt.

    Transcripts with `Human:` and `Assistant:` become messages. Other texts are cut where their
    common beginning last ends a word, a line or a sentence.

    Raises:
        RowFault: they share no beginning that ends where a text can end.
    """
    turns, others = _transcript(chosen), _transcript(rejected)
    if turns and others:
        return split_messages(turns, others)
    size = _shared(chosen, rejected)
    while size and not (chosen[size - 1] in _ENDINGS or chosen[size - 1].isspace()):
        size -= 1
    prompt = chosen[:size].rstrip(" ")
    if not prompt.strip():
        problem = "`chosen` and `rejected` do not begin with the same text"
        raise RowFault("no_prompt", problem, remedy=_GIVE_PROMPT)
    sides = (chosen[len(prompt) :], rejected[len(prompt) :])
    return (
        (Message(role="user", content=prompt),),
        (Message(role="assistant", content=sides[0]),),
        (Message(role="assistant", content=sides[1]),),
    )


def is_transcript(text: str) -> bool:
    """Whether a text is a transcript with `Human:` and `Assistant:`, which holds its prompt."""
    return bool(_transcript(text))


def _shared(chosen: str, rejected: str) -> int:
    """Return how many characters both texts begin with, the last one of a text left out."""
    most = max(min(len(chosen), len(rejected)) - 1, 0)
    pairs = zip(range(most), chosen, rejected, strict=False)
    return next((index for index, ours, theirs in pairs if ours != theirs), most)


def _transcript(text: str) -> Messages:
    marks = list(_SPEAKER.finditer(text))
    if len(marks) < 2 or marks[0].start() or marks[0][1] != "Human" or marks[-1][1] == "Human":
        return ()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    roles = {"Human": "user", "Assistant": "assistant"}
    return tuple(
        Message(role=roles[mark[1]], content=text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    )
