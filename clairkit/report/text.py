"""Texts of others as a page may show them: secrets removed, hidden characters spelt out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clairkit.display import printable, redact

# What `printable` spells out, found by a pattern: most texts have none, and pages have many.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BETWEEN = "\x1e"  # no shown text holds it, and it is white space, where every secret ends


def shown(text: str) -> str:
    """Return `text` with controls, bidi overrides and surrogates spelt out, as `printable` does."""
    return _HIDDEN.sub(lambda match: printable(match[0], keep=""), text)


def clean(texts: Sequence[str]) -> list[str]:
    """Return the texts as they may be shown. Many at once are cheaper than one by one."""
    if not texts:
        return []
    joined = redact(_BETWEEN.join(map(shown, texts)))
    parts = joined.split(_BETWEEN)
    return parts if len(parts) == len(texts) else [redact(shown(text)) for text in texts]
