"""List what a row would still ask, by running its program on stand-ins for the replies."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clairkit.engine.program import Call
from clairkit.engine.replay import Find, Work, rounds
from clairkit.journal.results import Recorded
from clairkit.models.requests import AnswerRequest, JudgeRequest, ReviseRequest
from clairkit.models.sampling import Reply

# With OpenAI's tokenizers cl100k and o200k: English 4.8 to 5.3 bytes a token, Python 4.1, Japanese
# 2.7 and 4.0.
BYTES_PER_TOKEN = 4.5
_FRAME = 4  # tokens around each message
# On twelve published revisions by GPT-4: the mean answer, and what a reply has beyond its answer.
_ANSWER = 480
_REASONING = 250
_VERDICT = 150  # a few sentences
_TIE = re.compile(r"\[\[tie:[0-9a-f]+\]\]")


@dataclass(frozen=True)
class ExpectedCall:
    """A call that would be made, and the tokens that it is expected to take.

    `longest` is twice the expected reply, or its limit where that is less.
    """

    call: Call
    prompt_tokens: float
    completion_tokens: float
    longest: float


def expected_calls(work: Work[object], find: Find) -> list[ExpectedCall]:
    """Return the calls that a program would make, as far as that can be told.

    Answers and verdicts that are not there yet are stood in for, the verdicts by ties, so that
    what is asked next is seen. Nothing stands in for a revision: no call after one is expected.
    """
    calls: list[ExpectedCall] = []

    def find_or_stand_in(call: Call) -> Recorded | None:
        found = find(call)
        if found is not None:
            return found
        calls.append(_expect(call))
        is_revision = isinstance(call.task.request, ReviseRequest)
        return None if is_revision else _stand_in(call)

    for _ in rounds(work, find_or_stand_in):
        pass
    return calls


def count_tokens(text: str) -> float:
    """Return roughly how many tokens a text has."""
    return len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN


def _expect(call: Call) -> ExpectedCall:
    if call.model.is_function:
        return ExpectedCall(call, 0, 0, 0)
    asked = sum(count_tokens(turn["content"]) + _FRAME for turn in call.task.messages)
    limit, usual = call.task.sampling.max_new_tokens, _usual_reply(call)
    return ExpectedCall(call, asked, min(usual, limit), min(2 * usual, limit))


def _usual_reply(call: Call) -> float:
    request = call.task.request
    if isinstance(request, AnswerRequest):
        return _ANSWER
    if isinstance(request, ReviseRequest):
        return count_tokens(request.answer) + _REASONING
    return _VERDICT


def _stand_in(call: Call) -> Recorded:
    if isinstance(call.task.request, JudgeRequest):
        marks = [mark for turn in call.task.messages for mark in _TIE.findall(turn["content"])]
        return Recorded(1, Reply(marks[-1] if marks else "tie"))
    size = round(min(_ANSWER, call.task.sampling.max_new_tokens) * BYTES_PER_TOKEN)
    # The key makes each answer differ from the others.
    return Recorded(1, Reply(f"{call.task.key[:16]} ".ljust(size, "x")))
