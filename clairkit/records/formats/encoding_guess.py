"""Guess the encoding of bytes that are not UTF-8: candidates, the likeliest first.

A guess is a score in points a character: what share of the text that an encoding gives consists
of the characters that texts of its language mostly consist of. Bytes alone can't prove it, so
that every candidate is shown with the text that it gives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_SAMPLE = 600  # characters that are judged
_LEAST = 0.0  # points under which a candidate is none
_SURE = 0.75  # points from which the first may be named alone,
_AHEAD = 0.25  # when the second is so far behind,
_ENOUGH = 4  # and so many characters were judged
_LIKE_TEXT = 0.3  # points from which characters read like a language
_SHOWN = 4
_JAPANESE_PRIOR = 0.15  # for a machine whose locale is Japanese
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_CJK_MARKS = re.compile(
    "[\u2014\u2018-\u201d\u2026\u203b\u2192\u2460-\u2473\u3000-\u303f\u30fb-\u30fe"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff5e\uffe5]"
)
_NEC = frozenset("№㏍℡㊤㈱㈲㈹㍾㍽㍼㍻㍉㌔㎡㎏㎝ⅠⅡⅢⅣⅤ髙﨑")
_WESTERN_MARKS = re.compile("[\u00a0\u00a1\u00a7\u00ab\u00b0\u00bb\u00bf\u2013-\u2026\u20ac]")


@dataclass(frozen=True)
class Candidate:
    """One encoding that the bytes may be in.

    Attributes:
        name: in the spelling of iconv.
        text: what the bytes say in it.
        decode: gives what other bytes say in it.
        points: how much the text looks like one, at most about 1.
        judged: the characters that say so.
    """

    name: str
    text: str
    decode: Callable[[bytes], str]
    points: float
    judged: int


def candidates(sample: bytes) -> list[Candidate]:
    """Return the encodings that `sample` may be in, at most four, the likeliest first."""
    found = [made for encoding in _ENCODINGS if (made := _tried(encoding, sample)) is not None]
    found.sort(key=lambda made: -made.points)
    readings = {made.text: made for made in reversed(found) if made.points >= _LEAST}
    return sorted(readings.values(), key=lambda made: -made.points)[:_SHOWN]


def is_sure(found: list[Candidate]) -> bool:
    """Whether the first of the candidates stands out, so that it may be named alone."""
    if not found or found[0].points < _SURE:
        return False
    if len(found) == 1:
        return True
    return found[0].judged >= _ENOUGH and found[0].points - found[1].points >= _AHEAD


def is_text(text: str) -> bool:
    """Whether text reads like one of a known language: what tells UTF-16 from other bytes."""
    if any(character < " " and character not in "\t\r\n" for character in text):
        return False
    foreign = [character for character in text[:_SAMPLE] if not character.isascii()]
    judges = {encoding.points for encoding in _ENCODINGS}
    points = (sum(judge(" ", each, " ") for each in foreign) for judge in judges)
    return not foreign or max(points) >= _LIKE_TEXT * len(foreign)


@dataclass(frozen=True)
class _Encoding:
    name: str
    decode: Callable[[bytes], str]
    points: Callable[[str, str, str], float]
    """Points of a character, between the one before and the one after."""
    japanese: bool = False


def _tried(encoding: _Encoding, sample: bytes) -> Candidate | None:
    try:
        text = encoding.decode(sample)
    except UnicodeDecodeError:
        return None
    padded = f" {text} "
    places = [at for at in range(1, len(padded) - 1) if not padded[at].isascii()][:_SAMPLE]
    if not places:
        return None
    total = sum(encoding.points(*padded[at - 1 : at + 2]) for at in places)
    prior = _JAPANESE_PRIOR if encoding.japanese and _is_japanese_locale() else 0.0
    points = total / len(places) + prior
    return Candidate(encoding.name, text, encoding.decode, points, len(places))


def _is_japanese_locale() -> bool:
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    return next((os.environ[name] for name in names if os.environ.get(name)), "").startswith("ja")


@cache
def _letters(language: str) -> frozenset[str]:
    """Return the characters that texts of a language mostly consist of."""
    from clairkit.records.formats.yaml_file import packaged  # only a file of another encoding

    return frozenset("".join(packaged("records/formats/assets/letters.yaml")[language].split()))


def _japanese(before: str, character: str, after: str) -> float:
    if _KANA.match(character) or character in _letters("ja"):
        return 1.0
    if _CJK_MARKS.match(character) or character in _NEC:
        return 0.9
    if "\uff61" <= character <= "\uff9f":
        return _half_width(before, character, after)
    if "\uff10" <= character <= "\uff5a":
        return 0.8
    return _han(character, "euc_jp", 0xCF)


def _half_width(before: str, character: str, after: str) -> float:
    """Half-width katakana: in words, with voicing marks only where they can stand."""
    if character in "\uff9e\uff9f":
        return 0.9 if "\uff76" <= before <= "\uff8e" or before == "\uff73" else -0.5
    if character in "\uff61\uff62\uff63\uff64\uff65":
        return 0.3
    if "\uff67" <= character <= "\uff70" and not "\uff71" <= before <= "\uff9f":
        return -0.3  # a small kana or a long mark begins no word
    alone = not ("\uff61" <= before <= "\uff9f" or "\uff61" <= after <= "\uff9f")
    return 0.2 if alone else 0.65


def _chinese(letters: str, codec: str, last: int) -> Callable[[str, str, str], float]:
    def points(_before: str, character: str, _after: str) -> float:
        if character in _letters(letters):
            return 1.0
        if _KANA.match(character):
            return -0.5
        if _CJK_MARKS.match(character):
            return 0.8
        return _han(character, codec, last)

    return points


def _korean(_before: str, character: str, _after: str) -> float:
    if character in _letters("ko"):
        return 1.0
    if "\uac00" <= character <= "\ud7a3":
        return 0.3
    return 0.6 if _CJK_MARKS.match(character) else 0.0


def _han(character: str, codec: str, last: int) -> float:
    """A Han character that is not among the most frequent: the standard's first level or not."""
    if not "\u4e00" <= character <= "\u9fff":
        return -0.4
    try:
        lead = character.encode(codec)
    except UnicodeEncodeError:
        return -0.3
    return 0.35 if len(lead) == 2 and lead[0] <= last else 0.0


def _western(before: str, character: str, after: str) -> float:
    """An accented letter in a word of plain ones; bytes of other encodings come in runs."""
    near = [letter for letter in (before, after) if not letter.isascii()]
    if near:
        in_word = len(near) == 1 and character.islower() and near[0].islower()
        return 0.5 if in_word else -0.3
    if character.islower():
        return -0.3 if after.isupper() or before.isdigit() else 1.0
    if character.isalpha():
        return 1.0 if after.islower() else 0.4
    closes_inside = character in "\u201d\u2026" and after.isalnum()
    return 0.5 if _WESTERN_MARKS.match(character) and not closes_inside else -0.1


def _by(codec: str) -> Callable[[bytes], str]:
    return lambda content: content.decode(codec)


def _euc_jp_ms(content: bytes) -> str:
    """EUC-JP with Windows' own characters (①, ㈱, 髙), which Python's codec does not know."""
    made, at = bytearray(), 0
    while at < len(content):
        lead, trail = content[at], content[at + 1 : at + 2]
        if lead < 0x80:
            made.append(lead)
        elif trail and 0xA1 <= trail[0] <= 0xFE and lead != 0x8F:
            made += trail if lead == 0x8E else _shifted(lead - 0x80, trail[0] - 0x80)
            at += 1
        else:
            raise UnicodeDecodeError("euc_jp_ms", content, at, at + 1, "no such character")
        at += 1
    return made.decode("cp932")


def _shifted(row: int, cell: int) -> bytes:
    """Return the place (row, cell) of JIS X 0208 in the bytes of Shift_JIS."""
    lead = (row - 0x21) // 2 + (0x81 if row <= 0x5E else 0xC1)
    if row % 2:
        return bytes((lead, cell + 0x1F + (cell >= 0x60)))
    return bytes((lead, cell + 0x7E))


_ENCODINGS = (
    _Encoding("CP932", _by("cp932"), _japanese, japanese=True),
    _Encoding("EUC-JP", _by("euc_jp"), _japanese, japanese=True),
    _Encoding("EUC-JP-MS", _euc_jp_ms, _japanese, japanese=True),
    _Encoding("GB18030", _by("gb18030"), _chinese("zh-hans", "gb2312", 0xD7)),
    _Encoding("CP950", _by("cp950"), _chinese("zh-hant", "big5", 0xC6)),
    _Encoding("CP949", _by("cp949"), _korean),
    _Encoding("CP1252", _by("cp1252"), _western),
)
