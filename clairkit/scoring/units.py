"""Split texts into units: a model's tokens, or grapheme clusters where no tokenizer is given.

Words are never used: Japanese and Thai have no spaces between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from unicodedata import normalize

import regex

from clairkit.display import excerpt
from clairkit.errors import UsageError
from clairkit.hub_access import check_model_there
from clairkit.records.json_types import JsonMapping
from clairkit.records.thoughts import split_thoughts

Text = str | Sequence[JsonMapping]
"""A text, or messages (objects with a `content`)."""

Units = list[int] | list[str]
"""The units of a text: token ids, or grapheme clusters."""

Tokenizer = Callable[..., Mapping[str, Iterable[Iterable[int]]]]
"""A transformers tokenizer: called with texts, it returns their `input_ids`."""

FLAG = r"[\U0001F1E6-\U0001F1FF]{1,2}+(?![\p{GCB=Extend}\p{GCB=SpacingMark}\u200D])"
"""Two regional indicators, or one that is left over, to which no mark belongs."""

GRAPHEME = rf"(?:{FLAG}|\X)"
"""A pattern of `regex` for one grapheme cluster, found one after the other.

The same as `\\X`, which counts all regional indicators before one to tell which two are a flag: in
a long row of them that is quadratic.
"""

_GRAPHEME = regex.compile(GRAPHEME)


def text_of(side: Text) -> str:
    """Return the text of `side`; the contents of several messages, each on lines of its own."""
    if isinstance(side, str):
        return side
    return "\n".join(message["content"] for message in side)


def answers_of(side: Text) -> Text:
    """Return `side` without the thoughts before its answers; itself where there are none."""
    if isinstance(side, str):
        return split_thoughts(side).answer
    texts = [
        split_thoughts(turn["content"]).answer if turn["role"] == "assistant" else turn["content"]
        for turn in side
    ]
    if all(turn["content"] == text for turn, text in zip(side, texts, strict=True)):
        return side
    return [{**turn, "content": text} for turn, text in zip(side, texts, strict=True)]


def same_text(one: str, other: str) -> bool:
    """Return whether two texts differ in nothing but white space and Unicode composition."""
    bare, others = ("".join(normalize("NFC", text).split()) for text in (one, other))
    return bare == others


def roles_of(side: Text) -> tuple[str, ...]:
    """Return the roles of the messages of `side`, none for a plain text."""
    return () if isinstance(side, str) else tuple(message["role"] for message in side)


def unit_name(tokenizer: Tokenizer | None) -> tuple[str, str | None]:
    """Return the unit ("token" or "grapheme") and the tokenizer's name, if there is one."""
    if tokenizer is None:
        return "grapheme", None
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    return "token", str(name)


def units_of(text: str, tokenizer: Tokenizer | None) -> Units:
    """Return the units of `text`: token ids, or grapheme clusters for `tokenizer=None`.

    The text is encoded on its own, without special tokens; a special token that is spelt out in
    it counts as the plain text it is, as it does in training.
    """
    (units,) = all_units([text], tokenizer)
    return units


def all_units(texts: Sequence[str], tokenizer: Tokenizer | None) -> list[Units]:
    """Return the units of each of `texts`, as `units_of` does: tokenizers are faster on many."""
    if tokenizer is None or not texts:
        return [_graphemes(text) for text in texts]
    encoded = tokenizer(
        list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    return [list(ids) for ids in encoded["input_ids"]]


def _graphemes(text: str) -> list[str]:
    if text.isascii() and "\r" not in text:
        return list(text)  # each is a cluster of its own
    clusters: list[str] = _GRAPHEME.findall(text)
    return clusters


def load_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a folder or Hub id (`hf:` before it is accepted); runs no code of it.

    Raises:
        UsageError: there is none, or transformers cannot load it.
    """
    check_model_there(name.removeprefix("hf:"))
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(name.removeprefix("hf:"))
        return tokenizer
    except Exception as error:  # many kinds, by file format and version
        raise UsageError(
            f"the tokenizer cannot be loaded ({excerpt(str(error), 160)})",
            received=name,
            remedy="give a folder with tokenizer.json, or the Hub id of a model",
        ) from None
