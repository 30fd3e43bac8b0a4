"""What `--ref` may say, and whether it can be had, before any weight is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


def check_ref(ref: Ref, *, trust_remote_code: bool = False) -> None:
    """Refuse a reference that is not there; no weight is read.

    Args:
        ref: the reference.
        trust_remote_code: of the configuration.

    Raises:
        UsageError: there is no such model, adapter or file, or the model is an adapter.
    """
    from clairkit.training.adapters import load_adapter_settings
    from clairkit.training.models import load_settings

    if ref.kind == "model":
        load_settings(ref.value, trust_remote_code=trust_remote_code)
    elif ref.kind == "adapter":
        load_adapter_settings(ref.value)
    elif ref.kind == "cache" and not Path(ref.value).is_file():
        raise UsageError(
            "there is no such reference cache",
            received=ref.value,
            remedy="leave --ref out to compute the reference anew",
        )
