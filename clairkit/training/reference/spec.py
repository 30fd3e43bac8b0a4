"""Parse what `--ref` says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clairkit.errors import UsageError
from clairkit.training.run_directory.portable import portable

_KINDS = ("adapter", "model", "cache")
_FORMS = "start, base, adapter:PATH, model:ID or cache:FILE"


@dataclass(frozen=True)
class Ref:
    """A parsed `--ref`."""

    kind: str  # start, base, adapter, model or cache
    value: str = ""  # the path or id

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind

    @property
    def portable(self) -> str:
        """The text of a reference, without the folders of this machine."""
        return str(replace(self, value=portable(self.value)))


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
