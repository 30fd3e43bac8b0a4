"""The memo: what it recommends and claims, that its figures are whole, and that it is one page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, DRIVER, Browser, browsing
from hostile_texts import HOSTILE
from pilot_folders import ask_for, calibrated, change, judged, look, pays, probed

from clairkit.pilot.memo import Memo, is_memo, make_memo
from clairkit.pilot.overrides import add_override
from clairkit.pilot.survey import words
from clairkit.texts import texts

LANGUAGES = ("en", "ja")

# What nobody may say whose data allow a change in either direction.
CLAIMS = {
    "en": r"improv|better|worse|benefit|\bgain|outperform|success|effective|works"
    r"|proven|proved|proof|significant|superior|enhanc|higher quality|clearly|demonstrat|go ahead",
    "ja": "改善|向上|効果があ|効果が見|良くな|優れ|優位|成功|証明|有効|有意|上回|実現でき|確認でき"
    "|高まっ|実施を提案",
}


class _Text(HTMLParser):
    """The text of a page without its style, blocks apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")
        named = dict(attrs)
        self.links += [named["href"] or ""] if "href" in named else []
        self.ids |= {named["id"] or ""} if "id" in named else set()

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.parts += [] if self._hidden else [data]

    @property
    def text(self) -> str:
        return "\n".join(part.strip() for part in self.parts if part.strip())


def memo(folder: Path, code: str = "en") -> Memo:
    return make_memo(look(folder), code)


def text_of(folder: Path, code: str = "en") -> str:
    return _Text(memo(folder, code).html).text


def pass_all(folder: Path, verdict: str = "SHIP", **more: Any) -> Path:
    """Let a pilot pass all gates but the last two."""
    calibrated(folder, "rubric general")
    judged(folder, verdict, **more)
    return folder


# What it recommends


@pytest.mark.parametrize(
    ("verdict", "key"), [("SHIP", "go"), ("NEED MORE", "not_yet"), ("HOLD", "no")]
)
def test_it_recommends_what_the_evaluation_says(folder: Path, verdict: str, key: str) -> None:
    assert memo(pass_all(folder, verdict)).key == key


def test_an_open_gate_allows_no_recommendation(folder: Path) -> None:
    (folder / "overrides.jsonl").unlink()
    judged(folder, "SHIP")
    assert memo(folder).key == "none"
    assert "Rubric agrees with field labels" in text_of(folder)


def test_an_override_makes_it_conditional_and_is_shown_with_name_and_reason(folder: Path) -> None:
    judged(folder, "SHIP")
    add_override(folder, look(folder).gates[2], "Sato", "labels come in May")
    for code in LANGUAGES:
        assert memo(folder, code).key == "go_conditions"
        shown = text_of(folder, code)
        assert "Sato" in shown
        assert "labels come in May" in shown
        assert words(code)["states"]["overridden"] in shown


def test_an_override_of_the_evaluation_turns_no_need_more_into_a_go(folder: Path) -> None:
    pass_all(folder, "NEED MORE", more=240)
    add_override(folder, look(folder).gates[5], "Sato", "we have no time")
    assert memo(folder).key == "not_yet"


def test_a_decision_stands_in_it(folder: Path) -> None:
    assert "☐ go" in text_of(folder)
    (folder / "decision.yaml").write_text("decision: go\nby: Sato\ndate: 1 May\nwhy: it pays\n")
    assert "go, decided by Sato on 1 May: it pays" in text_of(folder)
    assert "☐" not in text_of(folder)


# What it claims


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("more", [240, None])
def test_it_claims_nothing_that_a_need_more_does_not_allow(
    folder: Path, code: str, more: int | None
) -> None:
    pass_all(folder, "NEED MORE", more=more)
    found = re.findall(CLAIMS[code], text_of(folder, code), re.IGNORECASE)
    assert not found


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_memo_of_a_hold_or_an_open_road_claims_it_either(folder: Path, code: str) -> None:
    for verdict in ("HOLD", "NEED MORE"):
        judged(folder, verdict)
        found = re.findall(CLAIMS[code], text_of(folder, code), re.IGNORECASE)
        assert not [each for each in found if each.lower() != "go ahead"]  # "Do not go ahead"


def test_a_claim_is_found() -> None:
    assert re.findall(CLAIMS["en"], "The model got better, and success is proven", re.IGNORECASE)
    assert re.findall(CLAIMS["ja"], "回答は改善した。効果があった。")


@pytest.mark.parametrize("code", LANGUAGES)
def test_each_estimate_has_its_interval_and_n_and_each_figure_its_file(
    folder: Path, code: str
) -> None:
    page = _Text(memo(pass_all(folder), code).html)
    numbers = re.findall(r"[-+]?\d+\.\d+ (?:%|points|ポイント)[^\n]*", page.text)
    assert len(numbers) > 8
    bare = [each for each in numbers if "[" not in each and "95 %" not in each]
    assert not bare
    targets = [link for link in page.links if link.startswith("#")]
    assert len(targets) > 10
    assert {link[1:] for link in targets} <= page.ids
    assert page.links == targets
    hashes = look(folder).files.hashes
    assert hashes["eval/eval.json"][:16] in page.text


def test_break_even_with_its_interval(folder: Path) -> None:
    pass_all(folder)
    assert "after 4.2 months (interval 2.8 to 9.7), n = 300" in text_of(folder)
    assert "12,400 EUR once, 150 EUR a month" in text_of(folder)
    change(folder, "eval/eval.json", signals=[{**pays(None, None), "model": "tuned"}])
    assert "never [2.8, never], n = 300" in text_of(folder)
    change(folder, "eval/eval.json", signals=[])
    assert "not computed" in text_of(folder)


def test_what_could_go_wrong(folder: Path) -> None:
    judged(folder, "SHIP", guards=[], signals=[])
    shown = text_of(folder)
    for key in ("risk_no_guard", "risk_no_people", "risk_one_seed", "risk_narrow"):
        assert words("en")["memo"][key] in shown
    assert "5 of 300 answers were cut" in shown


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_same_files_give_the_same_bytes(folder: Path, code: str) -> None:
    assert memo(folder, code).html == memo(folder, code).html


def test_languages_have_the_same_texts() -> None:
    for code in LANGUAGES:
        assert len(texts("pilot/texts", code)["gates"]) == 7


def test_a_memo_is_known_again(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "memo.html"
    path.write_text(memo(folder).html, encoding="utf-8")
    assert is_memo(path)
    path.write_text("<html>mine</html>", encoding="utf-8")
    assert not is_memo(path)


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with chromedriver on this machine")
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def filled(folder: Path, text: str) -> Path:
    """Fill a pilot with all that a memo shows, its texts as long as given."""
    ask_for(
        folder, title=text, decision=text, reviser="openai:" + text[:200], model=text, seeds=[0]
    )
    probed(folder, "unhealthy")
    calibrated(folder, None)
    judged(folder, "NEED MORE", more=240)
    facts = json.loads((folder / "eval/eval.json").read_text(encoding="utf-8"))
    kpis = [{**each, "name": text} for each in facts["signals"] if each["signal"] == "kpi"]
    guards = [
        {**facts["guards"][0], "name": f"{at} {text}", "status": "undecided"} for at in (1, 2)
    ]
    judges = [{"name": text, "warnings": [text]}]
    change(
        folder,
        "eval/eval.json",
        signals=[*facts["signals"], *kpis],
        guards=[*facts["guards"], *guards],
        judges=judges,
    )
    for at in (1, 2):
        add_override(folder, look(folder).gates[at], text[:200], text)
    notes = [{"kind": "x", "level": "note", "title": text, "text": text}] * 3
    change(folder, "trained/run.json", diagnosis={"headline": text, "findings": notes})
    return folder


LONG = {
    "en": "A rather long name of something that a team wants to try out in its own product " * 4,
    "ja": "お客さまからのお問い合わせに対する回答を自社の規則どおりに書けるようにするための長い名前"
    * 7,
}


def pages_of(browser: Browser, page: Path) -> int:
    """Return how many pages the browser prints."""
    import base64

    browser.open(page)
    made = browser.devtools("Page.printToPDF", {"preferCSSPageSize": True})
    found = re.search(rb"/Type /Pages\b.*?/Count (\d+)", base64.b64decode(made["data"]), re.DOTALL)
    assert found is not None
    return int(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("code", LANGUAGES)
def test_it_prints_on_one_page_with_long_texts_of_every_kind(
    folder: Path, tmp_path: Path, browser: Browser, code: str
) -> None:
    page = tmp_path / "memo.html"
    page.write_text(memo(filled(folder, LONG[code]), code).html, encoding="utf-8")
    assert pages_of(browser, page) == 1
    page.write_text(page.read_text().replace("</main>", "<p>more</p>" * 90 + "</main>"))
    assert pages_of(browser, page) > 1


@pytest.mark.slow
def test_hostile_texts_are_shown_and_never_act(
    folder: Path, tmp_path: Path, browser: Browser
) -> None:
    page = tmp_path / "memo.html"
    for text in [each for each in HOSTILE if each.strip()][::8]:
        page.write_text(memo(filled(folder, f"a{text}b"), "en").html, encoding="utf-8")
        browser.open(page)
        assert browser.run("return [window.canary, document.scripts.length]") == [None, 0]
        (folder / "overrides.jsonl").unlink()
    assert not browser.complaints()
    assert [each for each in browser.requests() if not each.startswith("file:")] == []
