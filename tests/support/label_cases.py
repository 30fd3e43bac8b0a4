"""Items, keys, pages and votes as raters send them, for tests of labels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chromium import Browser

from clairkit.labels import Item, Key, LabelPlan, Vote, draw, make_page
from clairkit.labels.key import Shown
from clairkit.labels.vote_files import checksum, read_votes
from clairkit.records import Message

ENTER = "\ue007"
SECRET = "0123456789abcdef0123456789abcdef"


def item(at: int, a: str | None = None, b: str | None = None, **more: Any) -> Item:
    """Return an item whose texts say their side, for tests that look where they stand."""
    prompt = (Message(role="user", content=more.pop("prompt", f"Question {at}?")),)
    return Item(
        f"row{at:04}", prompt, a or f"first {at}", b or f"second {at}", ("new", "old"), **more
    )


def made_key(count: int = 20, **plan: Any) -> Key:
    """Return the key of so many items."""
    return draw(map(item, range(count)), LabelPlan(**plan), secret=SECRET)


def write_page(path: Path, key: Key, rater: str = "rater") -> Path:
    """Write the page of a rater and return where."""
    path.write_text(make_page(key, rater), encoding="utf-8")
    return path


def row(key: Key, shown: Shown, vote: str, **more: Any) -> dict[str, Any]:
    """Return a vote as the page writes it."""
    found = {
        "item": shown.id,
        "vote": vote,
        "ms": 9000,
        "at": "2026-12-01T08:00:00.000Z",
        "changes": 0,
        "note": "",
        **more,
    }
    return {**found, "check": checksum(key.digest, shown.id, vote, found["ms"])}


def toward(shown: Shown, side: str) -> str:
    """Return the blind word for A or B."""
    return "left" if shown.left == side else "right"


def all_rows(
    key: Key,
    rater: str = "rater",
    choose: Callable[[Shown], str] = lambda shown: toward(shown, "a"),
) -> list[dict[str, Any]]:
    """Return a vote on each screen."""
    return [row(key, shown, choose(shown)) for shown in key.raters[rater]]


def saved(key: Key, rows: Iterable[dict[str, Any]], rater: str = "rater") -> dict[str, Any]:
    """Return a file's value as the page saves it."""
    return {
        "schema": 1,
        "kind": "clairkit votes",
        "key": key.digest,
        "rater": rater,
        "saved": "2026-12-01T09:00:00.000Z",
        "votes": list(rows),
    }


def write_votes(path: Path, key: Key, rows: Iterable[dict[str, Any]], rater: str = "rater") -> Path:
    """Write the file that the page saves, and return where."""
    path.write_text(json.dumps(saved(key, rows, rater), ensure_ascii=False), encoding="utf-8")
    return path


def votes_of(path: Path, key: Key, rows: Iterable[dict[str, Any]]) -> list[Vote]:
    """Return votes, read from a file."""
    return read_votes(write_votes(path, key, rows))


def click(browser: Browser, label: str) -> None:
    """Press a button as a person does: browsers ask before a page saves without that."""
    browser.run(
        "[...document.querySelectorAll('button')]"
        ".find((each) => each.textContent.endsWith(arguments[0])).focus()",
        label,
    )
    browser.keys(ENTER)


def save(browser: Browser, label: str, path: Path) -> Path:
    """Save, and return the file when it is there."""
    path.unlink(missing_ok=True)
    click(browser, label)
    for _ in range(100):
        if path.exists():
            break
        time.sleep(0.05)
    return path
