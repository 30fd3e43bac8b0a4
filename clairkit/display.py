"""Make text safe to show: secrets removed, control characters spelt out, length bounded."""

from __future__ import annotations

import unicodedata

from clairkit.redaction import REDACTED, SHORTEST, known_secrets, redact

__all__ = ["REDACTED", "counted", "excerpt", "printable", "redact"]

_AHEAD = 4096  # characters behind an excerpt in which a secret that begins in it may end


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 pair`, `2,000 pairs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _without_cut_secret(text: str) -> str:
    """Return the beginning of a longer text without a secret that goes on where it was cut."""
    for secret in known_secrets():
        for size in range(min(len(secret), len(text)), SHORTEST - 1, -1):
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
