"""Plant faults: make one thing in an answer wrong, so that a reviser has that to find.

A fault is put where it can be told afterwards, from the text alone, whether it was mended: what is
right stood in the answer once, and what is wrong now never stood there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from clairkit.probe.words import contains, content_words, numbers_in, replacements, window
from clairkit.records import digest

NUMBER, NEGATION, STEP, CODE, URL = "number", "negation", "step", "code", "url"


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
        twisted = _twisted(label)
        wrongs = [f"{scheme.replace('tt', 't')}://{rest}"]
        if twisted:
            wrongs.append(f"{scheme}://{host.replace(label, twisted, 1)}{slash}{path}")
        choice.shuffle(wrongs)
        for wrong in wrongs:
            if wrong not in answer and wrong not in prompt:
                return _made(URL, answer, _Change(match.start(), match.start() + len(right), wrong))
    return None


def _twisted(label: str) -> str | None:
    """Return the label with two neighbours exchanged, near its middle."""
    for at in range(len(label) // 2, len(label) - 1):
        if label[at] != label[at + 1]:
            return label[:at] + label[at + 1] + label[at] + label[at + 2 :]
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
