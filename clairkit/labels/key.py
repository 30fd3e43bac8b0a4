"""Keep the key: what every page shows and which side is which."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from clairkit.errors import DataError
from clairkit.labels.items import Item, Question
from clairkit.records import digest
from clairkit.records.json_types import JsonMapping, JsonObject

Kind = Literal["vote", "repeat", "identical", "gold"]
_MARK = "clairkit label key"
_SCHEMA = 1


@dataclass(frozen=True)
class Shown:
    """One screen of a rater's page.

    Attributes:
        id: opaque; the page and the votes know the screen by it.
        item: place of the item in `Key.items`.
        kind: a vote that counts, or a check of the rater.
        left: which of A and B stands on the left.
    """

    id: str
    item: int
    kind: Kind
    left: Literal["a", "b"]


@dataclass(frozen=True)
class Key:
    """All that is needed to make the pages and to read the votes.

    Attributes:
        question: which of two is better, or whether a revision is accepted.
        language: of the page.
        ask: the question in the organiser's own words; empty for the page's.
        sample: how the items were drawn: method, population, drawn, seed, what was left out.
        items: the drawn ones, then those of the checks.
        raters: what each rater is shown, in order.
        secret: what order, sides and ids were drawn with.
    """

    question: Question
    language: str
    ask: str
    sample: JsonMapping
    items: tuple[Item, ...]
    raters: Mapping[str, tuple[Shown, ...]]
    secret: str

    def to_json(self) -> JsonObject:
        """Return the key as its file has it."""
        return {"schema": _SCHEMA, "kind": _MARK, **asdict(self)}

    @cached_property
    def digest(self) -> str:
        """The sha256 of the key's canonical JSON; pages and votes carry it."""
        return f"sha256:{digest(self.to_json())}"

    @cached_property
    def screens(self) -> dict[str, tuple[str, Shown]]:
        """The rater and the screen of each opaque id."""
        return {each.id: (rater, each) for rater, shown in self.raters.items() for each in shown}

    @property
    def names(self) -> tuple[str, str]:
        """What A and B are called."""
        return self.items[0].names


def read_key(path: str | os.PathLike[str]) -> Key:
    """Return the key of a file that `label export` wrote.

    Raises:
        DataError: the file is missing or is no such key.
    """
    place = os.fspath(path)
    try:
        value = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
        if value["kind"] != _MARK or value["schema"] != _SCHEMA:
            raise DataError("is no key of this version of `clairkit label`", path=place)
        return _key(value)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=place) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            "is no key that `clairkit label export` wrote, or not the whole of it",
            path=place,
            remedy="give the file of --key as it was written",
        ) from None


def _key(value: JsonObject) -> Key:
    del value["kind"], value["schema"]
    items = tuple(
        Item(**{**row, "prompt": tuple(row["prompt"]), "names": tuple(row["names"])})
        for row in value.pop("items")
    )
    raters = {
        rater: tuple(Shown(**each) for each in shown)
        for rater, shown in value.pop("raters").items()
    }
    return Key(**value, items=items, raters=raters)
