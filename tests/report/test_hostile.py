"""The page in Chromium with texts that would act, in every field that a page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from hostile_texts import HOSTILE
from pair_rows import write

from clairkit.display import redact
from clairkit.markup import shown
from clairkit.records import digest
from clairkit.report import gather, language, make_page

# Whatever acted would have set one of these; `alert` would also block the next command.
_CANARY = "return [window.canary, window.x, document.title, document.baseURI]"


# Each pair is drawn side by side and in one text, with everything unfolded.
_SEE_ALL = """
    const press = (key) =>
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const seen = new Set();
    for (let view = 0; view < 2; view += 1) {
        for (let at = 0; at < arguments[0]; at += 1) {
            press("o");
            document.querySelectorAll("details").forEach((each) => { each.open = true; });
            seen.add(view + document.querySelector(".pair h3").textContent);
            press(view ? "k" : "j");
        }
        press("v");
    }
    return seen.size;
"""

_READ_ALL = """
    const press = (key) =>
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const found = {};
    for (let at = 0; at < arguments[0]; at += 1) {
        press("o");
        const pair = document.querySelector(".pair");
        const text = (selector) => pair.querySelector(selector).textContent;
        const cells = [...pair.querySelectorAll(".diff .two:not(.head) > .cell:last-child")];
        found[text("h3")] = [text(".turn .text"), text("h4 + .text"), text("table"),
            cells.map((each) => each.textContent).join("\\n")];
        press("j");
    }
    return found;
"""


def hostile_row(at: int, text: str) -> dict[str, Any]:
    """A row with the text in every field that takes one."""
    return {
        "id": f"{at}{text}",
        "prompt": [{"role": "system", "content": text}, {"role": "user", "content": text + "?"}],
        "chosen": f"{text}\n\nsame {text} end",
        "rejected": f"same {text} start",
        "rationale": text,
        "source": "clair",
        "scores": {"flags": [text], "unit": text, text: 0.5, "edit_share_chosen": 0.1},
        "provenance": {
            text: text,
            "flags": [{"reason": text}],
            "target": {text: [text]},
            "steps": text,
        },
        f"column {text}": text,
    }


def write_all(folder: Path) -> list[str]:
    """Pairs, and all that build-pairs and train leave, with the texts wherever texts stand."""
    pairs = folder / "pairs.jsonl"
    write(pairs, [hostile_row(at, text) for at, text in enumerate(HOSTILE)])
    bad = [
        {
            "id": text,
            "reason": text,
            "detail": text,
            "step": text,
            "answer": text,
            "prompt": [{"role": "user", "content": text}],
        }
        for text in HOSTILE
    ]
    write(folder / "pairs.jsonl.quarantine.jsonl", bad)
    entry = {
        "settings": {text: text for text in HOSTILE},
        "rows": 400,
        "pairs": 100,
        "calls": 9,
        "counts": dict.fromkeys(HOSTILE, 3),
        "flags": dict.fromkeys(HOSTILE, 1),
        "tokens": {"prompt": 1},
        "cost": 1.5,
        "unfinished": 2,
        "clairkit": "0.1.0",
        "previous": "0" * 64,
        "files": {},
    }
    write(folder / "pairs.jsonl.manifest.jsonl", [{**entry, "hash": digest(entry)}])
    finding = {"hits": 1, "n": 2, "share": 0.5, "interval": [0.1, 0.9], "threshold": 0.9}
    findings = {text: {"label": text, "verdict": text, **finding} for text in HOSTILE}
    card = json.dumps({"state": HOSTILE[0], "findings": findings})
    (folder / "pairs.jsonl.health.json").write_text(card)
    run = folder / "run <script>window.canary=1<"
    run.mkdir()
    write(run / "metrics.jsonl", [{"step": at, "loss": 1 / at} for at in range(1, 9)])
    told = [{"kind": t, "title": t, "text": t, "evidence": {}, "level": t} for t in HOSTILE]
    facts = {"diagnosis": {"headline": HOSTILE[1], "findings": told}}
    (run / "run.json").write_text(json.dumps(facts))
    return [str(pairs), str(run)]


@pytest.fixture
def hostile_page(tmp_path: Path) -> Path:
    gathered = gather(write_all(tmp_path))
    path = tmp_path / "hostile.html"
    page = make_page(gathered, language("en"), max_pairs=10_000)
    path.write_text(page.html, encoding="utf-8")
    return path


def test_there_are_enough() -> None:
    assert len(set(HOSTILE)) >= 100


def test_the_check_can_fail(browser: Browser, tmp_path: Path) -> None:
    """The canary sings where such a text does become markup."""
    browser.requests()
    page = tmp_path / "open.html"
    page.write_text(f"<!DOCTYPE html><title>x</title>{HOSTILE[0]}")
    browser.open(page)
    assert browser.run("return window.canary") == 1
    assert browser.requests() == [page.as_uri()]
    page.write_text("<!DOCTYPE html><title>x</title><img src=http://127.0.0.1:9/a.png>")
    browser.open(page)
    assert "http://127.0.0.1:9/a.png" in browser.requests()
    browser.complaints()


def test_nothing_acts(browser: Browser, hostile_page: Path) -> None:
    browser.complaints()
    browser.requests()
    browser.open(hostile_page)
    before = browser.run(_CANARY)
    assert before[:2] == [None, None]
    assert before[2] == "Preference pairs"
    assert before[3] == hostile_page.as_uri()
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.run(_SEE_ALL, len(HOSTILE)) == 2 * len(HOSTILE)
    assert browser.run(_CANARY)[:2] == [None, None]
    assert browser.complaints() == []
    assert browser.requests() == [hostile_page.as_uri()]
    assert browser.run("return document.querySelectorAll('img,iframe,object,base').length") == 0
    assert browser.run("return document.scripts.length") == 2


def test_texts_are_shown_as_they_are(browser: Browser, hostile_page: Path) -> None:
    browser.open(hostile_page)
    data = json.loads(browser.run("return document.getElementById('data').textContent"))
    by_prompt = {pair["prompt"][0][1]: pair for pair in data["pairs"]}
    safe = [redact(shown(text)) for text in HOSTILE]
    ids = [by_prompt[text]["id"] for text in safe]
    read = browser.run(_READ_ALL, len(HOSTILE))
    assert sorted(read) == sorted(ids)
    found = [read[each] for each in ids]
    assert [each[0] for each in found] == safe  # the prompt
    assert [each[1] for each in found] == safe  # the rationale
    assert all(text in each[2] for text, each in zip(safe, found, strict=True))  # the rest
    chosen = [f"{text}\n\nsame {text} end" for text in safe]
    assert [each[3].replace("\n", "") for each in found] == [
        text.replace("\n", "") for text in chosen
    ]
    browser.complaints()


def test_the_markup_holds_no_text_as_markup(hostile_page: Path) -> None:
    """Without a browser, too: what could open a tag in the data is escaped."""
    page = hostile_page.read_text(encoding="utf-8")
    start = page.index('<script type="application/json" id="data">')
    data = page[start + 42 : page.index("</script>", start)]
    assert json.loads(data)["pairs"]
    assert not set("<>&") & set(data)
    for text in HOSTILE:
        if "<script>" in text:
            assert text not in page


def test_a_secret_is_in_no_page(
    page_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_API_KEY", "hunter2-and-more")
    page = page_of([hostile_row(1, "my key is hunter2-and-more")]).read_text(encoding="utf-8")
    assert "hunter2" not in page
    assert "[redacted]" in page
