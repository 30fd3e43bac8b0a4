"""Plant faults: make one thing in an answer wrong, so that a reviser has that to find.

A fault is put where it can be told afterwards, from the text alone, whether it was mended: what is
right stood in the answer once, and what is wrong now never stood there.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import regex

from clairkit.records import digest
from clairkit.texts import languages, texts

TEXTS = "probe/texts"
"""Where good answers, negations and contractions stand, a file a language."""

_WIDE = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc"
_WORD = regex.compile(rf"\d+(?:[.,]\d+)*|[{_WIDE}]|[^\W_{_WIDE}]+|[^\s]")
_TWO_WIDE = regex.compile(rf"[{_WIDE}]{{2}}")
_ANY_NUMBER = re.compile(r"\d+(?:[.,]\d+)*", re.ASCII)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WORDS_BESIDE = 1  # words on each side that a window has
_BESIDE_WIDE = 3  # characters
_SHORT = 4  # shorter words stand in every text

NUMBER, NEGATION, STEP, CODE, URL = "number", "negation", "step", "code", "url"
_FENCED = re.compile(r"(?ms)^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[ \t]*$|\Z)")
_URL = re.compile(r"https?://(?:(?![<>()\[\]{}\"'`])[!-~])+")
_NUMBER = re.compile(r"(?<![\w.,/:#-])\d+(?:[.,]\d+)*(?![A-Za-z0-9_/:-])(?![.,]\d)", re.ASCII)
_ITEM = re.compile(r"(?m)^[ \t]*(?P<number>\d{1,2})(?:[.)][ \t]+|[\uff0e\u3001][ \t]*)(?=\S)")
_CODE_BREAKS = (
    (re.compile(r"<="), "<"),
    (re.compile(r">="), ">"),
    (re.compile(r"(?<![=!<>+\-*/])==(?!=)"), "!="),
    (re.compile(r"(?<=\w) \+ (?=\w)"), " - "),
    (re.compile(r"\bTrue\b"), "False"),
    (re.compile(r"\btrue\b"), "false"),
    (re.compile(r"\bDESC\b"), "ASC"),
    (re.compile(r"\)(?=:?;?$)", re.MULTILINE), ""),
    (re.compile(r"\](?=:?;?$)", re.MULTILINE), ""),
)
_TRIES = 20  # places, each of which takes a look at the whole text
_FAR = 3  # a digit nearer to the right one could pass for rounding


@cache
def replacements(section: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns of `negations` or `contractions`, each with what a match becomes.

    Those of all languages, in the order of their files, English first.
    """
    return tuple(
        (re.compile(pattern), becomes)
        for code in languages(TEXTS)
        for pattern, becomes in texts(TEXTS, code)[section]
    )


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; `isn't` is `is not`, `cannot` is `can not`."""
    for pattern, becomes in replacements("contractions"):
        text = pattern.sub(becomes, text)
    return [word.lower() for word in _WORD.findall(text)]


def numbers_in(text: str) -> Counter[str]:
    """Return the numbers of a text, thousands without commas, and how often each stands there."""
    return Counter(
        found.replace(",", "") if _THOUSANDS.fullmatch(found) else found
        for found in _ANY_NUMBER.findall(text)
    )


def contains(text: str, part: str) -> int:
    """Return how often the words of `part` stand in a text one after the other."""
    return _count(words(text), words(part))


def window(text: str, start: int, end: int) -> str:
    """Return `text[start:end]`, made longer by what stands beside it: a word, or characters."""
    is_wide = regex.search(rf"[{_WIDE}]", text[start:end]) is not None
    spans = [match.span() for match in _WORD.finditer(text)]
    before = [span for span in spans if span[1] <= start]
    after = [span for span in spans if span[0] >= end]
    beside = _BESIDE_WIDE if is_wide else _WORDS_BESIDE
    first = before[-beside:][0][0] if before else start
    last = after[:beside][-1][1] if after else end
    return text[min(first, start) : max(last, end)]


def content_words(text: str) -> set[str]:
    """Return what a text is about: its longer words, and its Japanese characters two by two."""
    found = words(text)
    long = {word for word in found if len(word) >= _SHORT}
    wide = {
        one + other
        for one, other in pairwise(found)
        if not one.isascii() and _TWO_WIDE.fullmatch(one + other)
    }
    return long | wide


def _count(held: Sequence[str], part: Sequence[str]) -> int:
    size = len(part)
    if not size:
        return 0
    return sum(list(held[at : at + size]) == list(part) for at in range(len(held) - size + 1))


@dataclass(frozen=True)
class PlantedFault:
    """One planted fault.

    Attributes:
        kind: a key of `PLANTERS`.
        original: the answer as it was.
        text: the answer with the fault.
        right: what stood there; for `negation` with the words beside it.
        wrong: what stands there now; "" for a dropped step.
    """

    kind: str
    original: str
    text: str
    right: str
    wrong: str


@dataclass(frozen=True)
class _Change:
    """`answer[start:end]` may become `wrong`."""

    start: int
    end: int
    wrong: str


def plant(kind: str, answer: str, *, prompt: str = "", seed: int = 0) -> PlantedFault | None:
    """Return the answer with one fault of that kind; None when it has no place for one.

    Args:
        kind: a key of `PLANTERS`.
        answer: a good answer, or one that is taken as it is.
        prompt: what was asked; nothing that stands in it is used as the wrong thing.
        seed: another one chooses another place. The same arguments give the same fault.
    """
    choice = random.Random(digest([kind, answer, seed]))
    return PLANTERS[kind](answer, prompt, choice)


def is_code(text: str) -> bool:
    """Return whether a text has a code fence."""
    return _FENCED.search(text) is not None


def items_in(text: str) -> int:
    """Return how many numbered items a text has."""
    return len(_ITEM.findall(text))


def _number(answer: str, prompt: str, choice: random.Random) -> PlantedFault | None:
    """Change a digit: the first one, or the third of what may be a year."""
    held, asked = numbers_in(answer), numbers_in(prompt)
    places = [
        match
        for match in _NUMBER.finditer(_blanked(answer, _FENCED, _URL, _ITEM))
        if held[numbers_in(match[0]).most_common(1)[0][0]] == 1
    ]
    choice.shuffle(places)
    for match in places:
        for wrong in _near_numbers(match[0], choice):
            value = next(iter(numbers_in(wrong)))
            if not held[value] and not asked[value]:
                return _made(NUMBER, answer, _Change(*match.span(), wrong))
    return None


def _near_numbers(number: str, choice: random.Random) -> Iterator[str]:
    at = 2 if re.fullmatch(r"1[5-9]\d\d|20\d\d", number) else 0
    far = [digit for digit in "123456789" if abs(int(digit) - int(number[at])) >= _FAR]
    choice.shuffle(far)
    return (number[:at] + digit + number[at + 1 :] for digit in far)


def _negation(answer: str, prompt: str, choice: random.Random) -> PlantedFault | None:
    """Make a statement say the contrary."""
    del prompt
    plain = _blanked(answer, _FENCED, _URL)
    changes = [
        _Change(*match.span(), match.expand(wrong))
        for pattern, wrong in replacements("negations")
        for match in pattern.finditer(plain)
    ]
    choice.shuffle(changes)
    for change in changes[:_TRIES]:
        text = _changed(answer, change)
        right = window(answer, change.start, change.end)
        wrong = window(text, change.start, change.start + len(change.wrong))
        is_told = contains(answer, right) == 1 and not contains(answer, wrong)
        if is_told and contains(text, wrong) == 1 and not contains(text, right):
            return PlantedFault(NEGATION, answer, text, right, wrong)
    return None


def _step(answer: str, prompt: str, choice: random.Random) -> PlantedFault | None:
    """Drop a numbered step, neither the first nor the last, and number the others anew."""
    del prompt
    items = list(_ITEM.finditer(_blanked(answer, _FENCED)))
    numbers = [int(item["number"]) for item in items]
    if len(items) < 4 or numbers != list(range(1, len(items) + 1)):
        return None
    places = list(range(1, len(items) - 1))
    choice.shuffle(places)
    for place in places[:_TRIES]:
        text = _without(answer, items, place)
        step = answer[items[place].end() : items[place + 1].start()].strip()
        if content_words(step) - content_words(text):
            return PlantedFault(STEP, answer, text, step, "")
    return None


def _without(answer: str, items: Sequence[re.Match[str]], place: int) -> str:
    """Return the answer without one item, those after it with the next lower number."""
    pieces, at = [answer[: items[place].start()]], items[place + 1].start()
    for item in items[place + 1 :]:
        pieces += [answer[at : item.start("number")], str(int(item["number"]) - 1)]
        at = item.end("number")
    return "".join([*pieces, answer[at:]])


def _code(answer: str, prompt: str, choice: random.Random) -> PlantedFault | None:
    """Make a line of code do another thing, or be no code any more."""
    del prompt
    changes = [
        _Change(*match.span(), wrong)
        for fence in _FENCED.finditer(answer)
        for pattern, wrong in _CODE_BREAKS
        for match in pattern.finditer(answer, fence.start(), fence.end())
    ]
    choice.shuffle(changes)
    lines = [line.strip() for line in answer.splitlines()]
    for change in changes:
        text = _changed(answer, change)
        right = _line_at(answer, change.start)
        wrong = _line_at(text, change.start)
        if lines.count(right) == 1 and wrong not in lines:
            return PlantedFault(CODE, answer, text, right, wrong)
    return None


def _url(answer: str, prompt: str, choice: random.Random) -> PlantedFault | None:
    """Mistype the scheme of a link, or its host."""
    found = [match for match in _URL.finditer(answer) if answer.count(_trimmed(match[0])) == 1]
    choice.shuffle(found)
    for match in found:
        right = _trimmed(match[0])
        scheme, _, rest = right.partition("://")
        host, slash, path = rest.partition("/")
        label = max(host.split("."), key=len)
        wrongs = [f"{scheme.replace('tt', 't')}://{rest}"]
        for at in range(len(label) // 2, len(label) - 1):  # two neighbours, near the middle
            if label[at] != label[at + 1]:
                twisted = label[:at] + label[at + 1] + label[at] + label[at + 2 :]
                wrongs.append(f"{scheme}://{host.replace(label, twisted, 1)}{slash}{path}")
                break
        choice.shuffle(wrongs)
        for wrong in wrongs:
            if wrong not in answer and wrong not in prompt:
                return _made(URL, answer, _Change(match.start(), match.start() + len(right), wrong))
    return None


def _trimmed(url: str) -> str:
    return url.rstrip(".,;:!?*_")


def _made(kind: str, answer: str, change: _Change) -> PlantedFault:
    right = answer[change.start : change.end]
    return PlantedFault(kind, answer, _changed(answer, change), right, change.wrong)


def _changed(answer: str, change: _Change) -> str:
    return answer[: change.start] + change.wrong + answer[change.end :]


def _line_at(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    return text[start:].partition("\n")[0].strip()


def _blanked(text: str, *patterns: re.Pattern[str]) -> str:
    """Return the text, as long as before, with `#`s for what the patterns match."""
    for pattern in patterns:
        text = pattern.sub(lambda match: "#" * len(match[0]), text)
    return text


PLANTERS: dict[str, Callable[[str, str, random.Random], PlantedFault | None]] = {
    NUMBER: _number,
    NEGATION: _negation,
    STEP: _step,
    CODE: _code,
    URL: _url,
}
"""By kind: (answer, prompt, where to choose from) -> the fault, or None."""
