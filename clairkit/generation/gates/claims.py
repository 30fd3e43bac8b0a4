"""Find facts that a revision changed or added: numbers, links, citations."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from decimal import Decimal, InvalidOperation
from functools import cache

from clairkit.display import excerpt
from clairkit.generation.gates.case import GateCase
from clairkit.generation.gates.phrases import first_match, phrases
from clairkit.scoring.spans import align

_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'`\u3000-\u30ff\u4e00-\u9fff\uff08\uff09]+", re.IGNORECASE
)
# Not within a name, as in `sqrt5` or `K8s`; a unit may follow, as may any letter of a script that
# has no spaces.
_NO_NAME = r"(?<![A-Za-z\u00c0-\u04ff_\d.,])"
_NUMBER = re.compile(rf"{_NO_NAME}\d+(?:[.,]\d+)*")
_ITEM = re.compile(r"(?m)^[ \t>]*(?:#+[ \t]*)?(?:\*\*)?\(?\d+[.):](?=[ \t]|\*)")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]")
_CITATION = re.compile(
    r"\b[A-Z][\w'\u2019-]+ et al\.|\b10\.\d{4,9}/[^\s\"<>,;)]+|\barXiv:\s?\d{4}\.\d{4,5}"
)
_DIGITS = re.compile(r"\d+")
_NAMED = re.compile(r"://|www\.|et al\.|arxiv:", re.IGNORECASE)  # claims that need no new number
_SHOWN = 3
_LONGEST = 28  # digits that Decimal keeps


def numbers_changed(case: GateCase) -> str | None:
    """Find numbers of the answer that have another value, and no word on it in the rationale."""
    if _DIGITS.findall(case.answer) == _DIGITS.findall(case.revision):
        return None  # as in most minimal revisions
    old, new = _plain(case.answer), _plain(case.revision)
    removed, added = _numbers(old), _numbers(new)
    removed, added = removed - added, added - removed
    if not removed or not added:
        return None
    said = set(_numbers(_plain(case.rationale or "")))
    changed = [
        f"{one} became {other}"
        for one, other in _replaced(old, new)
        if one in removed and other in added and not {one, other} & said
    ]
    return _shown(changed)


def urls_changed(case: GateCase) -> str | None:
    """Find links of the answer that are gone while others came, and no word on it."""
    old, new = _urls(case.answer), _urls(case.revision)
    removed = [url for url in old if url not in new]
    added = [url for url in new if url not in old and url not in _urls(case.asked)]
    said = case.rationale or ""
    if not removed or not added or first_match("link_words", said):
        return None
    if any(url in said for url in (*removed, *added)):
        return None
    return f"{excerpt(removed[0])} became {excerpt(added[0])}"


def new_claims(case: GateCase) -> str | None:
    """Find links, citations, years and amounts that no text before the revision has."""
    old = set(_DIGITS.findall(case.answer))
    if old.issuperset(_DIGITS.findall(case.revision)) and not _NAMED.search(case.revision):
        return None
    known, found = _plain(case.known), _plain(case.revision)
    claims = [*_urls(found), *(match[0] for match in _CITATION.finditer(found))]
    numbers = set(_numbers(known))
    for match in _specific().finditer(found):
        if not numbers.issuperset(_numbers(match[0])):
            claims.append(match[0].strip())
    return _shown([claim for claim in claims if claim not in known])


@cache
def _specific() -> re.Pattern[str]:
    """Return the pattern of amounts, shares, years and long numbers, which look like facts."""
    units = "|".join(phrase.pattern.pattern for phrase in phrases("amount_units"))
    return re.compile(
        rf"{_NO_NAME}(?:[$\u20ac\u00a3\u00a5]\s?\d[\d.,]*\d"
        rf"|\d+(?:[.,]\d+)*\s?(?:%|{units})|\d{{4,}}(?:\.\d+)?|\d{{1,3}}(?:,\d{{3}})+)"
    )


def _shown(found: list[str]) -> str | None:
    found = list(dict.fromkeys(found))
    if not found:
        return None
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(excerpt(text, 60) for text in found[:_SHOWN]) + more


def _plain(text: str) -> str:
    """Return full-width digits as plain ones, and list items without their numbers."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _ITEM.sub("", plain)


def _numbers(text: str) -> Counter[str]:
    """Return the numbers in a text that `_plain` made, each in one spelling."""
    return Counter(_spelling(match[0]) for match in _NUMBER.finditer(text))


def _spelling(number: str) -> str:
    """Return `1000.5` for `1,000.50`, too; `1.2.3` is no number and stays as it is."""
    if len(number) > _LONGEST:
        return number
    try:
        value = Decimal(re.sub(r",(?=\d{3}(?:\D|$))", "", number))
    except InvalidOperation:
        return number
    return f"{value.normalize():f}"


def _replaced(old: str, new: str) -> list[tuple[str, str]]:
    """Return numbers that stand for one another: as many on both sides of one edit span."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    pairs: list[tuple[str, str]] = []
    for span in align(before, after).spans:
        one, other = (
            [_spelling(word) for word in side if word[0].isdigit()]
            for side in span.cut(before, after)
        )
        if len(one) == len(other):
            pairs += zip(one, other, strict=True)
    return pairs


def _urls(text: str) -> list[str]:
    found = []
    for match in _URL.finditer(text):
        url = match[0].rstrip(".,;:!?*_")
        # What a Markdown link or a sentence put behind the link is none of it.
        while url and url[-1] in ")]}" and url.count(url[-1]) > url.count(_OPENING[url[-1]]):
            url = url[:-1].rstrip(".,;:!?*_")
        found.append(url)
    return list(dict.fromkeys(found))


_OPENING = {")": "(", "]": "[", "}": "{"}
