"""Say how conversations are rendered for one model, and read what a run directory says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from clairkit.choices import SPECIAL_TOKENS, SpecialTokens
from clairkit.records import Message
from clairkit.records.formats.yaml_file import YamlProblem, json_values, read_yaml
from clairkit.records.json_types import JsonMapping, JsonObject

_CONFIG = "config.yaml"
_CHECKPOINT = re.compile(r"checkpoint-[0-9]+")


@dataclass(frozen=True)
class ChatSettings:
    """The keys of a training configuration that decide what a model is shown; None: not given."""

    chat_template_kwargs: JsonMapping | None = None
    """Passed to the chat template, as {"enable_thinking": False}."""
    special_tokens: SpecialTokens | None = None
    """Special tokens spelt in an answer: tokens, or plain text."""
    fold_system: bool | None = None
    """Whether a system turn becomes the beginning of the first user turn."""

    def over(self, other: ChatSettings) -> ChatSettings:
        """Return these settings, with the other ones where none is given."""
        return ChatSettings(**{**other.given(), **self.given()})

    def given(self) -> JsonObject:
        """Return those that are given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def changed(self) -> JsonObject:
        """Return those that change what is shown, for keys and settings of results."""
        usual = {"chat_template_kwargs": {}, "special_tokens": "tokens", "fold_system": False}
        return {name: value for name, value in self.given().items() if value != usual[name]}


def run_chat_settings(source: str) -> ChatSettings:
    """Return the settings that a model was trained with, where it is a run directory of `train`.

    A checkpoint has those of its run. Any other folder, and a Hub id, has none.
    """
    folder = Path(source)
    places = [folder, folder.parent] if _CHECKPOINT.fullmatch(folder.name) else [folder]
    for place in places:
        try:
            found = read_yaml(place / _CONFIG)
        except (OSError, YamlProblem):
            continue
        if isinstance(found, Mapping):
            names = [field.name for field in fields(ChatSettings)]
            return _checked({name: found[name] for name in names if name in found})
    return ChatSettings()


def _checked(found: JsonMapping) -> ChatSettings:
    """Leave out what is no value of its key: the folder may be somebody else's."""
    kwargs = json_values(found.get("chat_template_kwargs"))  # they become a part of keys
    special = found.get("special_tokens")
    fold = found.get("fold_system")
    return ChatSettings(
        kwargs if isinstance(kwargs, Mapping) else None,
        special if special in SPECIAL_TOKENS else None,
        fold if isinstance(fold, bool) else None,
    )


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with a leading system turn put before the first user turn's text."""
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return list(messages)
    system, *rest = messages
    for place, turn in enumerate(rest):
        if turn["role"] == "user":
            text = f"{system['content']}\n\n{turn['content']}"
            rest[place] = {**turn, "content": text}
            return rest
    return [Message(role="user", content=system["content"]), *rest]
