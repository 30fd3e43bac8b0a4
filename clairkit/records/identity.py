"""Identify records by canonical JSON and digests made of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)


def _canonical_bytes(value: object) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8 characters as they are.

    Lone surrogates are kept as escapes, so that every text has a digest.

    Raises:
        ValueError: `value` holds NaN or an infinity.
    """
    return _canonical_bytes(value).decode("utf-8")


def digest(value: object) -> str:
    """Return the sha256 of `value`'s canonical JSON, 64 hex digits."""
    return hashlib.sha256(_canonical_bytes(value)).hexdigest()


def pair_id(prompt: Any, chosen: Any, rejected: Any, source: str) -> str:
    """Return the id of a pair: the first 16 hex digits over all that determines it.

    Args:
        prompt: messages or text; all four are JSON values.
        chosen: the better side.
        rejected: the worse side.
        source: what made the pair.
    """
    return digest({"prompt": prompt, "chosen": chosen, "rejected": rejected, "source": source})[:16]
