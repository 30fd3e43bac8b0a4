"""Hold what the gates look at: one revision beside its answer and its prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from clairkit.generation.gates.markdown import without_code
from clairkit.records import Message


@dataclass(frozen=True)
class GateCase:
    """One revision to be judged. `language` is what it must be in; None: that of the answer."""

    prompt: tuple[Message, ...]
    answer: str
    revision: str
    rationale: str | None = None
    language: str | None = None

    @cached_property
    def asked(self) -> str:
        """Return all turns of the prompt, each on lines of its own."""
        return "\n".join(turn["content"] for turn in self.prompt)

    @cached_property
    def known(self) -> str:
        """Return what the revision may draw on: the prompt, the answer, the rationale."""
        return "\n".join((self.asked, self.answer, self.rationale or ""))

    @cached_property
    def prose(self) -> str:
        """Return the revision without its code blocks and code spans."""
        return without_code(self.revision)


Check = Callable[[GateCase], str | None]
"""Returns what is wrong, safe to show, or None."""
