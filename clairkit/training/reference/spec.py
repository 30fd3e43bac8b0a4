"""Parse what `--ref` says."""

from __future__ import annotations

from dataclasses import dataclass

from clairkit.errors import UsageError

_KINDS = ("adapter", "model", "cache")
_FORMS = "start, base, adapter:PATH, model:ID or cache:FILE"


@dataclass(frozen=True)
class Ref:
    """A parsed `--ref`."""

    kind: str
    """start, base, adapter, model or cache."""
    value: str = ""
    """The path or id."""


def parse_ref(text: str) -> Ref:
    """Return what a `--ref` means.

    Raises:
        UsageError: it has none of the accepted forms.
    """
    kind, colon, value = text.partition(":")
    if text in ("start", "base"):
        return Ref(text)
    if colon and value.strip() and kind in _KINDS:
        return Ref(kind, value.strip())
    raise UsageError("ref names no reference", received=text, remedy=f"pass {_FORMS}")
