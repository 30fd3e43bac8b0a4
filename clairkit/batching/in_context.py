"""Text to ids where some of it must not become special tokens, and none may change its neighbours.

Encoding piece by piece would show at the seams: many tokenizers put a space mark before each piece,
and merge nothing across two. So what lies between two real special tokens is encoded as a whole,
by a copy of the tokenizer that knows none, and behind a token of its own, as if more stood before.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clairkit.records.json_types import JsonObject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


MARK = "\uf8f1"
"""A code point of the private use area; doubled around a number it stands for protected text."""

HIDDEN = re.compile(f"{MARK}([0-9]+){MARK}")
"""Matches such a mark, its number in group 1."""


class ContextEncoder:
    """Encodes rendered text in which marks stand for texts that stay text.

    Args:
        tokenizer: a transformers tokenizer. One without a `tokenizers` backend can't be copied:
            its texts are encoded piece by piece.
        guarded: tokens that no protected text may become.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, guarded: frozenset[str]) -> None:
        self._tokenizer = tokenizer
        self._guarded = frozenset(tokenizer.convert_tokens_to_ids(sorted(guarded)))
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._before = f"{MARK}{secrets.token_hex(8)}{MARK}"  # a token that no text spells

    def encode(
        self, text: str, hidden: Sequence[str] = (), *, continues: bool = False
    ) -> list[int]:
        """Return the ids of a text."""
        if self._backend is None:
            return self._piecewise(text, hidden)
        if not continues and not HIDDEN.search(text):
            return self._plainly(text)
        return [token for piece in self._pieces(text, hidden, continues) for token in piece]

    def _pieces(self, text: str, hidden: Sequence[str], continues: bool) -> Iterator[list[int]]:
        """Yield the ids of each special token, and of each text between two of them."""
        shift = len(self._before)
        found = self._copy.encode(f"{self._before}{text}", add_special_tokens=False)
        chunk: list[int] = []
        start = 0
        follows = continues
        for token, (begin, end) in zip(found.ids[1:], found.offsets[1:], strict=True):
            spelt = self._added.get(token)
            # A token for the unknown, which a mark may be to the vocabulary, is not spelt there.
            if spelt is None or spelt not in text[begin - shift : end - shift]:
                chunk.append(token)
                continue
            yield self._chunk(text[start : begin - shift], chunk, hidden, follows)
            yield [token]
            chunk, start, follows = [], end - shift, True
        yield self._chunk(text[start:], chunk, hidden, follows)

    def _chunk(self, text: str, ids: list[int], hidden: Sequence[str], follows: bool) -> list[int]:
        if HIDDEN.search(text):
            whole = HIDDEN.sub(lambda match: hidden[int(match[1])], text)
            made = self._bare_ids(whole, follows)
            if self._guarded.isdisjoint(made):
                return made
            return self._broken(text, hidden, follows)
        return ids if follows or not text else self._plainly(text)

    def _broken(self, text: str, hidden: Sequence[str], follows: bool) -> list[int]:
        """Encode protected texts letter by letter: the vocabulary holds them even as plain text."""
        ids: list[int] = []
        for index, piece in enumerate(HIDDEN.split(text)):
            for part in hidden[int(piece)] if index % 2 else [piece]:
                ids += self._bare_ids(part, follows or bool(ids))
        return ids

    def _bare_ids(self, text: str, follows: bool) -> list[int]:
        before = self._before if follows else ""
        ids: list[int] = self._bare.encode(before + text, add_special_tokens=False).ids
        return ids[1:] if follows else ids

    def _plainly(self, text: str, **options: Any) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        return ids

    def _piecewise(self, text: str, hidden: Sequence[str]) -> list[int]:
        ids: list[int] = []
        for index, piece in enumerate(HIDDEN.split(text)):
            if index % 2:
                ids += self._plainly(hidden[int(piece)], split_special_tokens=True)
            elif piece:
                ids += self._plainly(piece)
        return ids

    @cached_property
    def _added(self) -> dict[int, str]:
        added = self._tokenizer.added_tokens_decoder.items()
        return {number: token.content for number, token in added}

    @cached_property
    def _copy(self) -> PreTrainedTokenizerBase:
        """The tokenizer with the token that says that text stands before."""
        return self._make(bare=False)

    @cached_property
    def _bare(self) -> PreTrainedTokenizerBase:
        """The same without any other added token."""
        return self._make(bare=True)

    def _make(self, *, bare: bool) -> PreTrainedTokenizerBase:
        from tokenizers import AddedToken, Tokenizer

        assert self._backend is not None
        data = json.loads(self._backend.to_str())
        data |= {"truncation": None, "padding": None}
        if bare:
            data["added_tokens"] = []
            _forget(data["model"], self._guarded)
        made = Tokenizer.from_str(json.dumps(data))
        made.add_special_tokens([AddedToken(self._before, normalized=False, special=True)])
        return made


def _forget(model: JsonObject, guarded: frozenset[int]) -> None:
    """Take pieces out of a unigram vocabulary: it would find them in plain text, too."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):
        unknown = model.get("unk_id")
        for place in guarded - {unknown}:
            if place < len(vocabulary):
                vocabulary[place] = [f"{MARK}{place}{MARK}", vocabulary[place][1]]
