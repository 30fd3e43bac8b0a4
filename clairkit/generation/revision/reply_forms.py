"""Read a reply in its form, `rewrite` (the whole revision) or `edits`, and hold it to limits.

Each form is a function from a reply to a draft or to what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rapidfuzz.distance import Indel

from clairkit.generation.gates import is_refusal
from clairkit.generation.revision.edits import Edit, EditFault, apply_edits, read_edits
from clairkit.generation.revision.parser import Revision, cut, is_cut, parse_reply, split_reply
from clairkit.generation.revision.templates import EDITS, REWRITE, wording
from clairkit.models.markers import ReplyMarks, mark
from clairkit.models.sampling import Failure, Reply
from clairkit.scoring import load_tokenizer, units_of

LENGTH_TOLERANCE = 0.1
"""How far, as a share of its length, a length-neutral revision may be longer or shorter."""
LENGTH_SLACK = 10
"""And how many units, whatever the length."""

_QUOTE_CAP = 300  # characters of a text to find that are shown to the reviser again
_FAULT_CAP = 20
_OUTER_START = re.compile(r"\A(?:[ \t]*\r?\n)*(?: (?! ))?")  # some models begin with one space


def over_limits(
    answer: str,
    revision: str,
    *,
    max_edit_share: float | None,
    length_neutral: bool,
    tokenizer: str | None,
) -> Iterator[tuple[Failure, EditFault]]:
    """Yield each limit that a revision exceeds: the row's failure, and what to tell the reviser.

    Args:
        answer: what was revised.
        revision: what it became.
        max_edit_share: the most of either side that may lie in edit spans; None is no limit.
        length_neutral: whether the length may not change.
        tokenizer: whose tokens are the units; None counts grapheme clusters.
    """
    if max_edit_share is None and not length_neutral:
        return
    counting = None if tokenizer is None else _tokenizer(tokenizer)
    before, after = units_of(answer, counting), units_of(revision, counting)
    if max_edit_share is not None:
        share = edit_share(before, after)
        if share > max_edit_share:
            detail = f"{share:.3f} of a side, and at most {max_edit_share:g} may be"
            fault = EditFault("edit_share", share=share, limit=max_edit_share)
            yield Failure("edit_share", detail, revision), fault
    change = abs(len(after) - len(before))
    if length_neutral and change > max(LENGTH_SLACK, LENGTH_TOLERANCE * len(before)):
        ratio = len(after) / max(len(before), 1)
        failure = Failure("length_changed", f"{ratio:.3f} of the answer's length", revision)
        yield failure, EditFault("length_changed", share=ratio)


def edit_share(before: Sequence[object], after: Sequence[object]) -> float:
    """Return the larger of the shares of two sides that lie in edit spans.

    The same as the scores `edit_share_chosen` and `edit_share_rejected`, without the alignment,
    which takes ten times as long; of very long sides these may be higher.
    """
    edited = Indel.distance(before, after)
    longer = len(after) - len(before)
    deleted, inserted = (edited - longer) // 2, (edited + longer) // 2
    return max(deleted / max(len(before), 1), inserted / max(len(after), 1))


@lru_cache(maxsize=4)
def _tokenizer(name: str) -> Any:
    return load_tokenizer(name)


@dataclass(frozen=True)
class Draft:
    """A revision that can be read out of a reply; `edits` is empty in the form `rewrite`."""

    revision: Revision
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Unusable:
    """Why a reply holds no revision; `faults` is empty where asking again would not help."""

    failure: Failure
    faults: tuple[EditFault, ...] = ()


Read = Callable[[Reply, ReplyMarks, str], Draft | Unusable]


def read_rewrite(reply: Reply, marks: ReplyMarks, answer: str) -> Draft | Unusable:
    """Return the whole revision in a reply to `answer`."""
    found = parse_reply(reply, marks, answer)
    if isinstance(found, Failure):
        return _unreadable(found)
    return Draft(Revision(with_outer_space(found.text, answer), found.rationale))


def read_edited(reply: Reply, marks: ReplyMarks, answer: str) -> Draft | Unusable:
    """Return `answer` with all edits of a reply applied; as it is when there is none."""
    if is_cut(reply):
        return Unusable(cut(reply))
    parts = split_reply(reply.text, marks)
    if isinstance(parts, str):
        return _unreadable(Failure("parse_error", parts, reply.text))
    asked = read_edits(parts.body, marks)
    if isinstance(asked, EditFault):
        return Unusable(Failure("parse_error", asked.code, reply.text), (asked,))
    applied = apply_edits(answer, asked)
    if isinstance(applied, tuple):
        details = [f"{fault.code} in edit {fault.number}" for fault in applied[:_FAULT_CAP]]
        detail = "; ".join(details)
        return Unusable(Failure("edit_failed", detail, reply.text), applied)
    return Draft(Revision(applied.text, parts.rationale), applied.edits)


FORMS: dict[str, Read] = {REWRITE: read_rewrite, EDITS: read_edited}
"""How replies are read, by the form's name."""


def _unreadable(failure: Failure) -> Unusable:
    if failure.reason != "parse_error":
        return Unusable(failure)
    if is_refusal(failure.text):
        return Unusable(Failure("refusal", "the reviser refused", failure.text))
    return Unusable(failure, (EditFault(failure.detail),))


def with_outer_space(text: str, answer: str) -> str:
    """Return a revision, stripped, with the line breaks and outer white space of its answer.

    A reply can't carry these, and a pair must not differ in them.
    """
    wide = answer.count("\r\n")
    if not wide or 2 * wide > answer.count("\n"):
        text = re.sub(r"\r?\n", "\r\n" if wide else "\n", text)
    matched = _OUTER_START.match(answer)
    start = matched[0] if matched else ""
    if start.endswith(" "):
        text = text.removeprefix(" ")
    return start + text + answer[len(answer.rstrip()) :]


def ask_again(faults: Sequence[EditFault], language: str, nonce: str) -> str:
    """Return the message that says what is wrong with a reply and asks for another."""
    words = wording(language)
    lines = [f"- {_say(fault, words['faults'], nonce)}" for fault in faults[:_FAULT_CAP]]
    return "\n".join([words["again"], *lines, words["again_form"]])


def _say(fault: EditFault, words: Mapping[str, str], nonce: str) -> str:
    quote = fault.quote[:_QUOTE_CAP] + ("…" if len(fault.quote) > _QUOTE_CAP else "")
    return words[fault.code].format(
        number=fault.number,
        # It comes from the answer, and is data like it.
        quote=f"{mark('quote', nonce)}\n{quote}\n{mark('quote-end', nonce)}",
        share=f"{100 * fault.share:.3g} %",
        limit=f"{100 * fault.limit:.3g} %",
    )
