"""Make the page of a rater: one file that opens from disk, loads nothing and knows no side."""

from __future__ import annotations

import re

from clairkit.errors import UsageError
from clairkit.labels.key import Key, Shown
from clairkit.markup import asset, clean, data_json, render_page
from clairkit.records import digest
from clairkit.records.json_types import JsonObject
from clairkit.statistics.e_process import least_share
from clairkit.texts import texts

TEXTS = "labels/texts"


def make_page(key: Key, rater: str) -> str:
    """Return the page of a rater as HTML.

    It holds the texts in the order and on the sides that were drawn, opaque ids, and the key's
    digest; no name, no id of the source, and not which screens are checks.

    Raises:
        UsageError: the key has no such rater.
    """
    if rater not in key.raters:
        raise UsageError("the key has no such rater", received=rater)
    words = texts(TEXTS, key.language)
    title = words["title_accept"] if key.question == "accept" else words["title"]
    return render_page(
        "labels/templates/page.html",
        style=asset("labels/assets/label.css"),
        script=asset("labels/assets/label.js"),
        data=data_json(_data(key, rater)),
        language=key.language,
        title=title,
        no_script=words["no_script"],
    )


def file_part(rater: str) -> str:
    """Return the rater's name as a part of a file's name."""
    return re.sub(r"[^\w-]+", "_", rater)[:40]


def _data(key: Key, rater: str) -> JsonObject:
    shown = key.raters[rater]
    words = texts(TEXTS, key.language)
    return {
        "words": words,
        "language": key.language,
        "question": key.question,
        "ask": clean([key.ask])[0] or words[f"ask_{key.question}"],
        "rater": rater,
        "key": key.digest,
        "page": digest([key.digest, rater])[:16],
        "file": f"votes-{file_part(rater)}",
        "shares": _shares(key, len(shown)),
        "items": [_screen(key, each) for each in shown],
    }


def _screen(key: Key, shown: Shown) -> JsonObject:
    item = key.items[shown.item]
    sides = (item.a, item.b) if shown.left == "a" else (item.b, item.a)
    left, right, *turns = clean([*sides, *(turn["content"] for turn in item.prompt)])
    roles = [turn["role"] for turn in item.prompt]
    return {
        "id": shown.id,
        "left": left,
        "right": right,
        "prompt": [list(turn) for turn in zip(roles, turns, strict=True)],
    }


def _shares(key: Key, screens: int) -> list[int | None]:
    """Return the share (in per cent) that would be evidence, by the number of decisions.

    It depends on counts alone: a figure that depended on the sides would give them away. Some
    screens are checks, and which ones the page does not know, so that counts are scaled.
    """
    if key.question == "accept":
        return []
    counting = key.sample["drawn"] / screens
    found = [least_share(int(decided * counting)) for decided in range(screens + 1)]
    return [None if share is None else round(100 * share) for share in found]
