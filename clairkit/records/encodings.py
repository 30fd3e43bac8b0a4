"""Encodings other than UTF-8: recognised, named, and refused with the command that converts."""

from __future__ import annotations

import re

from clairkit.errors import DataError
from clairkit.records.faults import RowFault

_WIDE_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32LE"),
    (b"\x00\x00\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16LE"),
    (b"\xfe\xff", "UTF-16BE"),
)
# For each encoding, in iconv's spelling, the characters that its text mostly consists of.
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_HAN = re.compile(r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]")
_LATIN = re.compile(r"[\u00a1-\u00ff\u2010-\u203a\u20ac]")
_NARROW = (
    ("SHIFT_JIS", "cp932", _KANA, 0.3),
    ("EUC-JP", "euc_jp", _KANA, 0.3),
    ("EUC-KR", "euc_kr", _HANGUL, 0.6),
    ("GB18030", "gb18030", _HAN, 0.9),
    ("BIG5", "big5", _HAN, 0.9),
    ("WINDOWS-1252", "cp1252", _LATIN, 0.9),
)


def check_wide(path: str, head: bytes) -> None:
    """Raise a `DataError` when a file that begins with `head` is UTF-16 or UTF-32."""
    name = next((name for mark, name in _WIDE_MARKS if head.startswith(mark)), None)
    name = name or _unmarked(head)
    if name:
        raise DataError(f"is {name}, not UTF-8", path=path, remedy=_iconv(name))


def _unmarked(head: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of JSON or CSV is then NUL."""
    pairs = len(head) // 2
    if pairs < 2:
        return None
    for start, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        ours, theirs = head[start::2].count(0), head[1 - start :: 2].count(0)
        if ours > pairs // 2 and theirs <= pairs // 8:
            return name
    return None


def not_utf8(line: bytes, error: UnicodeDecodeError) -> RowFault:
    """Return the fault of a line that is not UTF-8, with the encoding that it probably is in."""
    name = guess(line)
    problem = f"byte {error.start + 1} of the line is not UTF-8"
    if name is None:
        return RowFault("bad_unicode", problem, received=line.decode("utf-8", "backslashreplace"))
    return RowFault("bad_unicode", f"{problem}; it looks like {name}", remedy=_iconv(name))


def guess(sample: bytes) -> str | None:
    """Return the encoding, in iconv's spelling, that `sample` is probably in."""
    for name, codec, typical, share in _NARROW:
        try:
            text = sample.decode(codec)
        except UnicodeDecodeError:
            continue
        foreign = [character for character in text[:4096] if not character.isascii()]
        if foreign and len(typical.findall("".join(foreign))) >= share * len(foreign):
            return name
    return None


def _iconv(name: str) -> str:
    return f"convert it: iconv -f {name} -t UTF-8 FILE > FILE.utf8"
