"""What a rater does with the page, in Chromium."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, DRIVER, Browser, browsing
from hostile_texts import HOSTILE
from label_cases import ENTER, SECRET, click, item, made_key, save, toward, write_page

from clairkit.labels import Key, LabelPlan, collect, draw, read_votes
from clairkit.markup import clean

ESCAPE, LEFT, RIGHT = "\ue00c", "\ue012", "\ue014"
STATUS = "return document.querySelector('[role=status]').textContent"
FACTS = "return document.querySelector('.progress .facts').textContent"
WARNED = "return !document.querySelector('.warning').hidden"
SIDES = "return [...document.querySelectorAll('.side .text')].map((each) => each.textContent)"
VOTES = """
    const data = JSON.parse(document.getElementById("data").textContent);
    return data.items.map(({ id }) =>
        JSON.parse(localStorage.getItem(`clairkit-label:${data.page}:${id}`))?.vote ?? null);
"""
PRESS = """
    const [key, more] = arguments;
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
"""


def press(browser: Browser, keys: str) -> None:
    """Press keys as a person does, not at once after each other."""
    for key in keys:
        time.sleep(0.27)
        browser.keys(key)
    time.sleep(0.05)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Key:
    """A key of its own for each test: answers of pages from disk lie in one storage."""
    return made_key(18, seed=len(request.node.name), ask=request.node.name)


@pytest.fixture
def page(browser: Browser, key: Key, tmp_path: Path) -> Path:
    made = write_page(tmp_path / "label.html", key)
    browser.resize(1280, 900)
    browser.open(made)
    return made


def test_twenty_items_by_keyboard_alone(
    browser: Browser, page: Path, key: Key, downloads: Path
) -> None:
    shown = key.raters["rater"]
    assert len(shown) == 20
    wanted = ["left", "right", "tie", "bad", "skip", "left", "right", "tie", "bad", "left"] * 2
    words = {"left": "1", "right": "2", "tie": "3", "bad": "4", "skip": "s"}
    other = {"left": LEFT, "right": RIGHT, "tie": "T", "bad": "b", "skip": "S"}
    for at, vote in enumerate(wanted):
        press(browser, (words if at % 2 else other)[vote])
    assert browser.run(VOTES) == wanted
    assert browser.run(STATUS) == "All 20 are answered"
    press(browser, "12")
    assert browser.run(VOTES) == wanted
    path = save(browser, "Save answers", downloads / "votes-rater.json")
    votes = read_votes(path)
    assert [vote.vote for vote in votes] == wanted
    assert not any(vote.is_edited for vote in votes)
    assert all(vote.ms is not None and 200 < vote.ms < 60_000 for vote in votes)
    found = collect(key, votes)
    for cast, each, vote in zip(found.casts, shown, wanted, strict=True):
        if vote in ("left", "right"):
            assert toward(each, cast.label) == vote
    table = read_votes(save(browser, "Save as CSV", downloads / "votes-rater.csv"))
    fields = ("item", "vote", "ms", "at", "note", "key", "is_edited")
    assert [[getattr(vote, name) for name in fields] for vote in table] == [
        [getattr(vote, name) for name in fields] for vote in votes
    ]


def test_saving_by_keyboard(browser: Browser, page: Path, downloads: Path) -> None:
    press(browser, "1")
    path = downloads / "votes-rater.json"
    path.unlink(missing_ok=True)
    for _ in range(12):
        browser.keys("\ue004")
        if browser.run("return document.activeElement.textContent") == "Save answers":
            break
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.keys(ENTER)
    for _ in range(100):
        if path.exists():
            break
        time.sleep(0.05)
    assert len(json.loads(path.read_bytes())["votes"]) == 1


def test_the_texts_are_those_of_the_key(browser: Browser, page: Path, key: Key) -> None:
    for shown in key.raters["rater"][:5]:
        made = key.items[shown.item]
        assert browser.run(SIDES) == ([made.a, made.b] if shown.left == "a" else [made.b, made.a])
        press(browser, "1")
    assert "5 of 20" in browser.run(FACTS)
    assert "min left" in browser.run(FACTS)


def test_a_reload_loses_nothing_and_undo_takes_back(browser: Browser, page: Path) -> None:
    press(browser, "123")
    browser.open(page)
    assert browser.run(VOTES)[:4] == ["left", "right", "tie", None]
    press(browser, "u")
    assert browser.run(VOTES)[:4] == ["left", "right", None, None]
    assert browser.run(STATUS) == "Undone. Now 3 of 20."
    press(browser, "uu")
    assert browser.run(VOTES)[:3] == [None] * 3
    press(browser, "u")
    assert browser.run(STATUS) == "There is nothing to undo."
    press(browser, "2")
    assert browser.run(VOTES)[:2] == ["right", None]


def test_a_double_press_is_one_vote(browser: Browser, page: Path) -> None:
    time.sleep(0.3)
    browser.run(
        PRESS + "document.body.dispatchEvent(new KeyboardEvent('keydown',"
        "{ key: '1', bubbles: true }));",
        "1",
        {},
    )
    assert browser.run(VOTES)[:2] == ["left", None]
    time.sleep(0.3)
    browser.run(PRESS, "2", {"repeat": True})  # held down
    for modifier in ("ctrlKey", "metaKey", "altKey"):
        browser.run(PRESS, "2", {modifier: True})
    assert browser.run(VOTES)[:2] == ["left", None]


def test_keys_are_dead_while_typing_and_composing(
    browser: Browser, page: Path, key: Key, downloads: Path
) -> None:
    for more in ({"isComposing": True}, {"keyCode": 229}):
        for name in ("1", "Enter", "Process"):
            time.sleep(0.26)
            browser.run(PRESS, name, more)
    assert browser.run(VOTES)[0] is None
    press(browser, "n")
    browser.keys("1 better? 2, 3 s u ")
    browser.devtools(
        "Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
    )
    browser.run(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
        "{ key: 'Enter', keyCode: 229, isComposing: true, bubbles: true }))"
    )
    browser.devtools("Input.insertText", {"text": "日本"})
    browser.keys(ENTER + "=1+1")
    assert browser.run("return document.activeElement.value") == "1 better? 2, 3 s u 日本\n=1+1"
    assert browser.run(VOTES)[0] is None
    browser.open(page)  # notes are kept as they are typed
    assert "with note" in browser.run(FACTS)
    press(browser, "n")
    browser.keys(ESCAPE)
    press(browser, "?")
    browser.keys("12")
    assert browser.run(VOTES)[0] is None
    browser.keys(ESCAPE)
    press(browser, "2")
    [vote] = read_votes(save(browser, "Save as CSV", downloads / "votes-rater.csv"))
    assert (vote.vote, vote.note) == ("right", "1 better? 2, 3 s u 日本\n=1+1")


def test_a_note_that_is_a_formula_is_none_in_the_table(
    browser: Browser, page: Path, downloads: Path
) -> None:
    press(browser, "n")
    browser.keys("=HYPERLINK(1)")
    browser.keys(ESCAPE)
    press(browser, "1")
    path = save(browser, "Save as CSV", downloads / "votes-rater.csv")
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfitem,")
    assert b",'=HYPERLINK(1)," in content
    assert read_votes(path)[0].note == "=HYPERLINK(1)"


def test_two_tabs_do_not_overwrite_each_other(browser: Browser, page: Path) -> None:
    first = browser.tab()
    press(browser, "1")
    second = browser.new_tab()
    try:
        browser.open(page)
        press(browser, "2")
        browser.switch(first)
        press(browser, "3")
        assert browser.run(VOTES)[:4] == ["left", "right", "tie", None]
        browser.switch(second)
        press(browser, "u4")
        browser.switch(first)
        press(browser, "s")
        assert browser.run(VOTES)[:5] == ["left", "right", "bad", "skip", None]
        assert "4 of 20" in browser.run(FACTS)
        browser.switch(second)
        assert "4 of 20" in browser.run(FACTS)
        browser.run("localStorage.clear()")  # by hand, or by another page from disk
        time.sleep(0.2)
        browser.open(page)
        assert browser.run(VOTES)[:4] == ["left", "right", "bad", "skip"]
    finally:
        browser.close_tab()
        browser.switch(first)


def test_a_note_in_one_tab_does_not_undo_a_vote_in_another(browser: Browser, page: Path) -> None:
    """At the moment when the one has not yet heard of the other: a page hears not of itself."""
    write = """
        const data = JSON.parse(document.getElementById("data").textContent);
        const name = `clairkit-label:${data.page}:${data.items[0].id}`;
        const found = JSON.parse(localStorage.getItem(name));
        localStorage.setItem(name, JSON.stringify({ ...found, vote: "right", at: Date.now() }));
    """
    press(browser, "n")
    browser.keys("half")
    browser.run(write)
    browser.keys("way")
    assert browser.run(VOTES)[:2] == ["right", None]
    browser.open(page)
    press(browser, "u")
    assert "with note" in browser.run(FACTS)


def test_fingers_vote_too(browser: Browser, page: Path) -> None:
    browser.resize(360, 740)
    browser.devtools("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for at in (1, 0):
            place = browser.run(
                "const box = document.querySelectorAll('.vote')[arguments[0]]"
                "  .getBoundingClientRect();"
                "return { x: box.x + box.width / 2, y: box.y + box.height / 2 }",
                at,
            )
            time.sleep(0.3)
            for kind, points in (("touchStart", [place]), ("touchEnd", [])):
                browser.devtools("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        time.sleep(0.2)
        assert browser.run(VOTES)[:3] == ["right", "left", None]
    finally:
        browser.devtools("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_storage_that_is_full_is_said_and_saving_works(
    browser: Browser, page: Path, downloads: Path
) -> None:
    assert browser.run(WARNED) is False
    press(browser, "1")
    fill = """
        let size = 4194304;
        for (let at = 0; size >= 1; at += 1) {
            try { localStorage.setItem(`filler${at}`, "x".repeat(size)); } catch { size >>= 1; }
        }
    """
    try:
        browser.run(fill)
        press(browser, "234")
        assert browser.run(WARNED) is True
        assert "4 of 20" in browser.run(FACTS)
        votes = read_votes(save(browser, "Save answers", downloads / "votes-rater.json"))
        assert [vote.vote for vote in votes] == ["left", "right", "tie", "bad"]
        browser.run(
            "Object.keys(localStorage).filter((name) => name.startsWith('filler'))"
            ".forEach((name) => localStorage.removeItem(name))"
        )
        press(browser, "1")  # there is room again: all that was not kept is kept now
        assert browser.run(WARNED) is False
        assert browser.run(VOTES)[:6] == ["left", "right", "tie", "bad", "left", None]
    finally:
        browser.run("localStorage.clear()")


@pytest.fixture
def without_storage(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with chromedriver on this machine")
    preferences = {
        "profile.default_content_setting_values.cookies": 2,
        "download.default_directory": str(tmp_path),
    }
    with browsing(tmp_path, preferences) as found:
        yield found


def test_storage_that_is_off_is_said_and_saving_works(
    without_storage: Browser, key: Key, tmp_path: Path
) -> None:
    browser = without_storage
    browser.open(write_page(tmp_path / "label.html", key))
    off = "try { localStorage.length; return false; } catch { return true; }"
    assert browser.run(off) is True
    assert browser.run(WARNED) is True
    press(browser, "12u3")
    votes = read_votes(save(browser, "Save answers", tmp_path / "votes-rater.json"))
    assert [vote.vote for vote in votes] == ["left", "tie"]


def test_nothing_is_asked_for_and_hostile_texts_are_text(browser: Browser, tmp_path: Path) -> None:
    items = [item(at, f"{text} a", f"{text} b", prompt=text) for at, text in enumerate(HOSTILE)]
    plan = LabelPlan(repeats=0, identical=0, ask=HOSTILE[0], raters=(HOSTILE[20],))
    key = draw(items, plan, secret=SECRET)
    page = write_page(tmp_path / "hostile.html", key, HOSTILE[20])
    browser.complaints()
    browser.requests()
    browser.open(page)
    read_all = """
        const found = [], press = (key) => document.body.dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true }));
        let now = 0;
        performance.now = () => now += 1000;
        while (document.querySelector(".side")) {
            found.push([...document.querySelectorAll(".text")].map((each) => each.textContent));
            press("1");
        }
        return [found, window.canary ?? null, document.baseURI,
            document.querySelectorAll("img,iframe,object,base,link[rel=stylesheet]").length];
    """
    found, canary, base, elements = browser.run(read_all)
    assert len(found) == len(key.items) >= 100
    safe = set(clean([text for made in key.items for text in (made.a, made.b)]))
    assert {text for _, *sides in found for text in sides} == safe
    assert [prompt for prompt, *_ in found] == clean(
        [key.items[shown.item].prompt[0]["content"] for shown in key.raters[HOSTILE[20]]]
    )
    assert (canary, base, elements) == (None, page.as_uri(), 0)
    click(browser, "Save answers")
    time.sleep(0.3)
    assert browser.complaints() == []
    asked = [each for each in browser.requests() if not each.startswith("blob:")]
    assert asked == [page.as_uri()]


LAYOUTS = [(360, 740, False), (1280, 900, False), (1280, 900, True), (640, 450, False)]


@pytest.mark.parametrize("question", ["better", "accept"])
@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(("width", "height", "dark"), LAYOUTS)
def test_it_fits_and_can_be_read(
    browser: Browser,
    tmp_path: Path,
    language: str,
    question: Any,
    width: int,
    height: int,
    dark: bool,
) -> None:
    """640 by 450 is 1280 by 900 at a zoom of 200 %."""
    texts = "長い回答です。" * 60, "word " * 150 + "x" * 300
    key = draw(
        [item(at, *texts) for at in range(12)],
        LabelPlan(language=language, question=question),
        secret=SECRET,
    )
    browser.resize(width, height, dark=dark)
    browser.open(write_page(tmp_path / "label.html", key))
    press(browser, "12")
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    assert browser.run(wide) <= 0
    small = (
        "return [...document.querySelectorAll('button')].filter((each) => each.offsetWidth)"
        ".every((each) => each.offsetHeight >= 44 && each.scrollWidth <= each.clientWidth)"
    )
    assert browser.run(small) is True
    columns = "return getComputedStyle(document.querySelector('.sides')).gridTemplateColumns"
    assert len(browser.run(columns).split()) == (2 if width > 760 else 1)
    assert browser.run("return document.documentElement.lang") == language
    colours = (
        "const style = getComputedStyle(document.body);"
        "return [style.color, style.backgroundColor].map((each) => each.match(/\\d+/g).map(Number))"
    )
    ink, paper = browser.run(colours)
    assert (sum(ink) > sum(paper)) == dark
    assert browser.complaints() == []
