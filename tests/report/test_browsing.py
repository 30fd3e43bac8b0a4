"""What a reader does with the page, in Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser
from pair_rows import row

SLASH, ESCAPE = "/", "\ue00c"

ROWS = [
    row(1, "It costs 14 EUR.", "It costs 14.", source="clair", rationale="The unit was missing."),
    row(
        2,
        "東京タワーです。",
        "京都タワーです。",
        source="clair",
        provenance={"flags": [{"reason": "new_claims"}]},
    ),
    row(3, "completely other words", "nothing in common here", source="judge_on_policy"),
    row(
        4,
        "a\n" * 45 + "H",
        "a\n" * 45 + "h",
        source="judge_on_policy",
        task="tables",
        scores={"chosen_length": 91, "unit": "token"},
    ),
    row(
        5,
        "x" * 2000 + " end",
        "x" * 2000 + " fin",
        source="judge_on_policy",
        task="sums",
        note="for the Kyoto office",
    ),
    row(6, "a\nb\nc\nd\ne\nf\ng\nH", "a\nb\nc\nd\ne\nf\ng\nh", source="clair"),
]


@pytest.fixture
def page(browser: Browser, page_of: Callable[..., Path]) -> Path:
    made = page_of(ROWS)
    browser.resize(1280, 900)
    browser.open(made)
    return made


OPEN = "return document.querySelector('.pair h3')?.textContent"


def open_id(browser: Browser) -> str:
    return browser.run(OPEN)


def eventually(browser: Browser, script: str, expected: object) -> None:
    """Assert what a script returns, once the keys pressed before have arrived."""
    for _ in range(60):
        if browser.run(script) == expected:
            return
        time.sleep(0.05)
    assert browser.run(script) == expected


def count(browser: Browser) -> str:
    return browser.run("return document.querySelector('[role=status]').textContent")


def choose(browser: Browser, label: str, value: str) -> None:
    """Set the control of that label, as a user does."""
    browser.run(
        "const label = [...document.querySelectorAll('.filters label')]"
        "  .find((each) => each.firstChild.textContent === arguments[0]);"
        "const control = label.querySelector('input, select');"
        "const option = [...(control.options ?? [])]"
        "  .find((each) => each.textContent.startsWith(arguments[1]));"
        "control.value = option ? option.value : arguments[1];"
        "control.dispatchEvent(new Event('change', { bubbles: true }));"
        "control.dispatchEvent(new Event('input', { bubbles: true }));",
        label,
        value,
    )
    time.sleep(0.3)  # fields wait for the next key


def test_the_first_pair_is_open_and_nothing_was_loaded(browser: Browser, page: Path) -> None:
    assert open_id(browser) == "row00001"
    assert count(browser) == "6 of 6 pairs"
    assert browser.run("return document.querySelector('ins').textContent") == " EUR"
    more = "return getComputedStyle(document.querySelector('.list > button')).display"
    assert browser.run(more) == "none"  # five are not more than a page
    assert browser.complaints() == []


def test_keys(browser: Browser, page: Path) -> None:
    browser.keys("jjk")
    eventually(browser, OPEN, "row00002")
    eventually(browser, "return location.hash", "#pair=row00002")
    eventually(browser, "return document.activeElement.getAttribute('aria-current')", "true")
    browser.keys("v")
    eventually(browser, "return document.querySelectorAll('.pair .two').length", 0)
    eventually(browser, "return document.querySelector('del').textContent", "京都")
    browser.keys("?")
    eventually(browser, "return document.querySelector('dialog').open", True)
    browser.keys(ESCAPE)
    browser.keys(SLASH + "jk")  # letters in the search field are letters
    eventually(browser, OPEN, "row00002")
    eventually(browser, "return document.activeElement.value", "jk")


def test_search_and_filters(browser: Browser, page: Path) -> None:
    choose(browser, "Search", "ＵＮＩＴ was")  # noqa: RUF001 - full-width letters are meant
    assert count(browser) == "1 of 6 pairs"
    choose(browser, "Search", "costs 14 eur")
    assert open_id(browser) == "row00001"
    choose(browser, "Search", "タワー")
    assert open_id(browser) == "row00002"
    choose(browser, "Search", "no such words")
    assert count(browser) == "0 of 6 pairs"
    assert "No pair fits" in browser.run("return document.querySelector('.pair').textContent")
    choose(browser, "Search", "")
    choose(browser, "source", "judge_on_policy (3)")
    assert count(browser) == "3 of 6 pairs"
    choose(browser, "source", "all")
    choose(browser, "flag", "new_claims (1)")
    assert open_id(browser) == "row00002"
    choose(browser, "flag", "all")
    choose(browser, "figure", "changed share")
    choose(browser, "from", "0.5")
    assert count(browser) == "1 of 6 pairs"
    assert open_id(browser) == "row00003"


def test_sorting(browser: Browser, page: Path) -> None:
    choose(browser, "sort by", "characters, chosen")
    order = "return [...document.querySelectorAll('.list .who')].map((each) => each.textContent)"
    shown = [int(each.split(" chosen ")[1].split(" ")[0]) for each in browser.run(order)]
    assert shown == sorted(len(each["chosen"]) for each in ROWS)


def test_a_permalink_opens_its_pair(browser: Browser, page: Path) -> None:
    browser.open(page, "#pair=row00003")
    browser.run("location.reload()")
    assert open_id(browser) == "row00003"
    browser.open(page, "#pair=gone")
    browser.run("location.reload()")
    assert "no pair gone" in count(browser)


def test_unchanged_text_is_folded(browser: Browser, page: Path) -> None:
    folds = "return [...document.querySelectorAll('.fold')].map((each) => each.textContent)"
    browser.keys("jjj")
    eventually(browser, folds, ["… 42 unchanged lines …"])
    browser.run("document.querySelector('.fold').click()")
    eventually(browser, folds, [])
    eventually(browser, "return document.querySelectorAll('.two').length", 47)  # with the head
    browser.keys("j")
    eventually(browser, folds, ["… 1763 unchanged characters …"] * 2)
    browser.keys("o")
    eventually(browser, folds, [])
    text = browser.run("return document.querySelector('.two:not(.head) .cell').textContent")
    assert text == ROWS[4]["rejected"]
    browser.keys("oj")  # few lines are shown whole: what stayed may be what is wrong
    eventually(browser, OPEN, "row00006")
    assert browser.run(folds) == []
    assert browser.run("return document.querySelectorAll('.two').length") == 9


def test_own_columns_can_be_chosen_and_searched(browser: Browser, page: Path) -> None:
    choose(browser, "column task", "sums")
    eventually(browser, OPEN, "row00005")
    assert count(browser) == "1 of 6 pairs"
    choose(browser, "column task", "")
    browser.keys(SLASH)
    browser.keys("KYOTO off")
    eventually(browser, OPEN, "row00005")
    labels = browser.run(
        "return [...document.querySelectorAll('.filters label')]"
        ".map((each) => each.firstChild.textContent)"
    )
    assert "column note" not in labels  # one value is no choice


def test_what_a_figure_counts_is_said(browser: Browser, page: Path) -> None:
    names = browser.run(
        "return [...document.querySelectorAll('.filters option')].map((each) => each.textContent)"
    )
    assert {"length, chosen (tokens)", "characters, chosen"} <= set(names)


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, False), (1280, True)])
def test_it_fits_and_can_be_read(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.resize(width, 800, dark=dark)
    for _ in ROWS:
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= width
        browser.keys("j")
    eventually(browser, _CONTRAST, [])


# Texts whose contrast with what lies behind them is under 4.5 (WCAG 2.2, 1.4.3).
_CONTRAST = """
    const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
        .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
        .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const node of document.querySelectorAll("main *, header *")) {
        const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
        if (!own || node.closest("svg") || !node.getClientRects().length) continue;
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) bad.push([node.tagName, node.className, contrast]);
    }
    return bad;
"""


def test_every_control_has_a_name(browser: Browser, page: Path) -> None:
    unnamed = browser.run(
        "return [...document.querySelectorAll('input, select, button')].filter((each) =>"
        " !each.textContent.trim() && !each.labels?.length && !each.ariaLabel).length"
    )
    assert unnamed == 0
    doubled = browser.run(
        "const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);"
        "return ids.length - new Set(ids).size"
    )
    assert doubled == 0


def test_printing(browser: Browser, page: Path) -> None:
    found = browser.devtools("Page.printToPDF", {"printBackground": True})
    assert len(found["data"]) > 10_000
    browser.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert browser.run(hidden, ".filters") == "none"
    assert browser.run(hidden, ".pair") != "none"
    browser.devtools("Emulation.setEmulatedMedia", {"media": ""})


def test_japanese(browser: Browser, page_of: Callable[..., Path]) -> None:
    browser.open(page_of(ROWS, "ja", "ja"))
    assert browser.run("return document.documentElement.lang") == "ja"
    assert count(browser) == "6 件中 6 件"
    assert browser.complaints() == []


def test_a_thousand_pairs_are_there_within_a_second(
    browser: Browser, page_of: Callable[..., Path]
) -> None:
    words = [f"word{at % 97}" for at in range(300)]
    rows: list[dict[str, Any]] = []
    for at in range(1000):
        edited = [*words[:50], f"new{at}", *words[51:200], f"more{at}", *words[200:]]
        rows.append(
            row(at, " ".join(edited), " ".join(words), source="clair", rationale="why " * 60)
        )
    made = page_of(rows, name="thousand")
    assert made.stat().st_size < 5_000_000
    browser.open(made)
    paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    for _ in range(50):
        if (found := browser.run(paint)) is not None:
            break
        time.sleep(0.1)
    assert found is not None
    assert found < 1000
    assert count(browser) == "1000 of 1000 pairs"
    browser.keys("j" * 3)
    eventually(browser, OPEN, "row00003")
