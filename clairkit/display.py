"""Text made safe to show: secrets removed, control characters spelt out, length bounded."""

from __future__ import annotations

import os
import re
import unicodedata

REDACTED = "[redacted]"

# Variables whose values must never be shown, by the words in their names.
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?$", re.IGNORECASE)
_SECRET_SHAPES = (
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]{6,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    re.compile(r"(?i)(?<=api_key=)[^&\s]+|(?<=api-key=)[^&\s]+|(?<=access_token=)[^&\s]+"),
    re.compile(r"\b(?:sk|hf|gsk|xai)[-_][A-Za-z0-9_-]{16,}"),
)
_MIN_SECRET = 6  # shorter values would blank ordinary words


def redact(text: str) -> str:
    """Return `text` without the secrets of the environment and of well-known shapes."""
    values = {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _MIN_SECRET
    }
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    for shape in _SECRET_SHAPES:
        text = shape.sub(REDACTED, text)
    return text


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return `text` with control, separator, bidi-override and surrogate characters escaped."""
    return "".join(
        character if character in keep or not _is_hidden(character) else _escape(character)
        for character in text
    )


def excerpt(text: str, limit: int = 80) -> str:
    """Return at most `limit` safe characters of `text` on one line."""
    line = printable(redact(text[: limit + 4096]), keep="")
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
