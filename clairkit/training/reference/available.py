"""Check that a reference is there before any weight is loaded."""

from __future__ import annotations

from pathlib import Path

from clairkit.errors import UsageError
from clairkit.training.adapters import load_adapter_settings
from clairkit.training.models import load_settings
from clairkit.training.reference.spec import Ref


def check_ref(ref: Ref, *, trust_remote_code: bool = False) -> None:
    """Refuse a reference that is not there; no weight is read.

    Args:
        ref: the reference.
        trust_remote_code: of the configuration.

    Raises:
        UsageError: there is no such model, adapter or file, or the model is an adapter.
    """
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
