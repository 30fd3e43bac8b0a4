"""Text made safe to show: secrets removed, control characters spelt out, length bounded."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from urllib.parse import quote, unquote

REDACTED = "[redacted]"

# Variables whose values must never be shown, by the words in their names.
_SECRET_NAME = re.compile(
    r"(?:(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?|_(?:PASS|PASSPHRASE|PAT|AUTH))_?\d*$",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")  # as in HTTPS_PROXY or DATABASE_URL
_SECRET_SHAPES = (
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]{6,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    # the first look behind is there for speed: it fails at once nearly everywhere
    re.compile(r"(?i)(?<==)(?:(?<=api_key=)|(?<=api-key=)|(?<=access_token=))[^&\s]+"),
)
_KEY_SHAPE = re.compile(r"\b(?:sk|hf|gsk|xai)[-_][A-Za-z0-9_-]{16,}")
_KEY_MARKS = tuple(name + end for name in ("sk", "hf", "xai") for end in "-_")
_MIN_SECRET = 6  # shorter values would blank ordinary words
_AHEAD = 4096  # characters behind an excerpt in which a secret that begins in it may end


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 pair`, `2,000 pairs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def redact(text: str) -> str:
    """Return `text` without the secrets of the environment and of well-known shapes."""
    for secret in _secrets():
        text = re.sub(re.escape(secret), REDACTED, text, flags=re.IGNORECASE)
    for shape in _SECRET_SHAPES:
        text = shape.sub(REDACTED, text)
    if any(mark in text for mark in _KEY_MARKS):  # far cheaper than the pattern
        text = _KEY_SHAPE.sub(REDACTED, text)
    return text


def _secrets() -> list[str]:
    """The secrets of the environment, as they are and as a URL or JSON spells them."""
    values: set[str] = set()
    for name, value in os.environ.items():
        values.update([value] if _SECRET_NAME.search(name) else _URL_PASSWORD.findall(value))
    spellings = {
        spelling
        for value in values
        for spelling in (value, quote(value, safe=""), unquote(value), json.dumps(value)[1:-1])
        if len(spelling) >= _MIN_SECRET
    }
    return sorted(spellings, key=len, reverse=True)  # one may hold another


def _without_cut_secret(text: str) -> str:
    """Return the beginning of a longer text without a secret that goes on where it was cut."""
    for secret in _secrets():
        for size in range(min(len(secret), len(text)), _MIN_SECRET - 1, -1):
            if text[-size:].lower() == secret[:size].lower():
                return text[:-size] + REDACTED
    return text


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return `text` with control, separator, bidi-override and surrogate characters escaped."""
    return "".join(
        character if character in keep or not _is_hidden(character) else _escape(character)
        for character in text
    )


def excerpt(text: str, limit: int = 80) -> str:
    """Return at most `limit` safe characters of `text` on one line."""
    head = text[: limit + _AHEAD]
    safe = redact(head)
    line = printable(safe if head == text else _without_cut_secret(safe), keep="")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cc", "Cs", "Zl", "Zp"):  # controls, surrogates, separators of lines
        return True
    # Bidirectional overrides and isolates can make a line read as another one.
    return category == "Cf" and unicodedata.bidirectional(character) in _BIDI_CONTROLS


_BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
