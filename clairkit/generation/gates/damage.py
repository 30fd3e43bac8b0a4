"""Find damage to the whole: nothing changed, another language, broken code, cut or long text."""

from __future__ import annotations

import re

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase, read_fences, without_code
from clairkit.generation.gates.language import (
    LATIN,
    find_language,
    latin_languages,
    named_languages,
)
from clairkit.generation.gates.phrases import first_match
from clairkit.scoring.units import same_text

_MOST_RATIO = 1.5
_LEAST_ADDED = 200  # characters; a short answer may well double
_END = 40  # characters that show how a text ends
_SENTENCE_END = re.compile(
    r"[.!?\u3002\uff01\uff1f\u2026][\"'\u201d\u2019)\]\u300d\u300f\uff09*_`]*\s*\Z"
)
_NO_SENTENCE = re.compile(r"^\s*(?:[-*+|>#]|\d+[.)]|\u30fb|\u2022)")


def no_op(case: GateCase) -> str | None:
    """Find equal texts, white space and Unicode composition aside."""
    if case.answer == case.revision:
        return "equal"
    if same_text(case.answer, case.revision):
        return "only white space or composition differs"
    return None


def language_change(case: GateCase) -> str | None:
    """Find another language than the answer's, which the prompt neither is in nor names."""
    new = find_language(case.prose)
    if new in (None, LATIN):  # code that stands without a fence, names, formulas
        return None
    old = case.language or find_language(without_code(case.answer))
    if old in (None, new) or (old == LATIN and new in latin_languages()):
        return None
    turn = case.prompt[-1]["content"] if case.prompt else ""
    wanted = {find_language(without_code(turn)), *named_languages(case.asked)}
    return None if case.language is None and new in wanted else f"{new} instead of {old}"


def fence_broken(case: GateCase) -> str | None:
    """Find a fence that no longer closes, or code that lost its fence."""
    old, new = read_fences(case.answer), read_fences(case.revision)
    if new.is_open and not old.is_open:
        return "a code fence is opened and not closed"
    bare = {line.strip() for line in new.prose.split("\n")}
    for block in old.blocks if len(new.blocks) < len(old.blocks) else ():
        lines = [line.strip() for line in block.split("\n") if len(line.strip()) > 3]
        if lines and sum(line in bare for line in lines) > len(lines) / 2:
            return f"a code block lost its fence: {excerpt(lines[0], 60)}"
    return None


def truncated(case: GateCase) -> str | None:
    """Find a revision that stops within a sentence where the answer did not."""
    last = case.revision.rstrip().rpartition("\n")[2]
    end = last[-_END:]
    if first_match("unfinished", end) is None or _NO_SENTENCE.match(last):
        return None
    is_whole = _SENTENCE_END.search(case.answer.rstrip()[-_END:])
    return f"it ends with: {excerpt(end, 60)}" if is_whole else None


def length_inflation(case: GateCase) -> str | None:
    """Find a revision that is half as long again as the answer, or more."""
    old, new = len(case.answer), len(case.revision)
    if new - old < _LEAST_ADDED or new < _MOST_RATIO * old:
        return None
    return f"{old} characters became {new}"
