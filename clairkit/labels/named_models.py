"""Find answers that say which model wrote them: whoever reads one is no longer blind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from clairkit.labels.items import Item

_ALWAYS = (
    r"chat-?gpt|gpt-?[1-9][\w.-]*|openai|anthropic|deepseek|qwen|mixtral|gemma|smollm|command[- ]r"
    r"|llama[- ]?\d|claude[- ]?(?:\d|opus|sonnet|haiku|instant)|gemini[- ]?(?:\d|pro|flash|ultra)"
    r"|mistral[- ]?(?:\d|ai|large|small|nemo)|phi-\d|grok[- ]?\d|通义千问|文心一言"
)
# These are also people, animals, letters and winds: they count where one speaks of itself.
_ITSELF = r"claude|gemini|llama|mistral|phi|grok|bard|copilot"
_KNOWN = re.compile(
    rf"(?<![\w.-])(?:{_ALWAYS})|\b(?:i am|i['\u2019]m|my name is|as) (?:{_ITSELF})\b"
    rf"|(?:私|わたし|僕)(?:の名前)?は、?(?:{_ITSELF})",
    re.IGNORECASE,
)
_SHORTEST = 4
"""Shorter parts of a spec (`hf:run`) are ordinary words."""


class NamedModels:
    """Finds the names of models: well-known ones, and those of the specs that are compared."""

    def __init__(self, specs: Iterable[str]) -> None:
        names = {PurePath(spec.rpartition(":")[2]).name for spec in specs}
        # A name of letters alone (`model`, `baseline`, `base`) may be any word.
        marked = sorted(name for name in names if len(name) >= _SHORTEST and not name.isalpha())
        self._own = [
            re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in marked
        ]

    def reveals(self, item: Item) -> bool:
        """Say whether an answer names a model that the prompt does not speak of."""
        asked = self._names("\n".join(turn["content"] for turn in item.prompt))
        return any(self._names(text) - asked for text in (item.a, item.b))

    def _names(self, text: str) -> set[str]:
        found = (match[0].lower() for each in (_KNOWN, *self._own) for match in each.finditer(text))
        return set(found)
