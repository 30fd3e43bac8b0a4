"""Model specs: `hf:ID_OR_PATH`, `openai:MODEL`, `python:PACKAGE:FUNCTION`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from clairkit.errors import UsageError
from clairkit.generation.hf_model import HfModel
from clairkit.generation.openai_model import OpenAIModel
from clairkit.generation.python_model import PythonModel
from clairkit.generation.requests import Model


@dataclass(frozen=True)
class ModelOptions:
    """How models are run; nothing here changes what they say."""

    concurrency: int = 8
    """Requests at once to a server, or calls at once of an `async def` function."""
    batch_size: int = 16
    """Rows at once in a local model."""
    base_url: str | None = None
    """The server of `openai:`; else `OPENAI_BASE_URL`, else OpenAI's own."""
    timeout: float = 600.0
    """Seconds that one request may take."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1", received=getattr(self, name))
        if not self.timeout > 0:
            raise UsageError("timeout must be above 0", received=self.timeout)


def make_model(spec: str, options: ModelOptions | None = None) -> Model:
    """Return the model that a spec names; nothing is loaded or asked yet.

    Raises:
        UsageError: the spec is none, or names a function that is not there.
        RemoteError: OpenAI's own server is meant and there is no key.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in _KINDS:
        close = get_close_matches(kind, _KINDS, n=1)
        hint = f"did you mean {close[0]}:{rest}? " if close and colon else ""
        remedy = f"{hint}Write hf:ID_OR_PATH, openai:MODEL or python:PACKAGE:FUNCTION"
        raise UsageError("not a model spec", received=spec, remedy=remedy)
    return _KINDS[kind](rest, options or ModelOptions())


_KINDS: dict[str, Callable[[str, ModelOptions], Model]] = {
    "hf": lambda rest, options: HfModel(rest, batch_size=options.batch_size),
    "openai": lambda rest, options: OpenAIModel(
        rest, base_url=options.base_url, concurrency=options.concurrency, timeout=options.timeout
    ),
    "python": lambda rest, options: PythonModel(rest, concurrency=options.concurrency),
}
