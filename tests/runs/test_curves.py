"""The page of a run: well-formed, complete, and text stays text."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import pytest

from clairkit.runs.curves import training_page
from clairkit.runs.diagnosis import Diagnosis, Finding, RunFacts, diagnose

SVG = "{http://www.w3.org/2000/svg}"
FACTS = RunFacts("apo_zero", beta=0.1, learning_rate=1e-6, sources={"clair": 8})


def run(count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for step in range(1, count + 1):
        chosen, rejected = math.log(step), -math.sqrt(step)
        found.append(
            {
                "step": step,
                "loss": 1 / step,
                "rewards/chosen": chosen,
                "rewards/rejected": rejected,
                "rewards/margins": chosen - rejected,
                "rewards/accuracies": 0.9,
                "logps/chosen": -50.0 + chosen,
                "logps/rejected": -50.0 + rejected,
                "quadrants/chosen_up_rejected_down": 0.7,
                "quadrants/chosen_up_rejected_up": 0.1,
                "quadrants/chosen_down_rejected_down": 0.1,
                "quadrants/chosen_down_rejected_up": 0.1,
            }
        )
        if step % 10 == 0:
            found.append({"step": step, "eval_loss": 2 / step, "eval_rewards/chosen": chosen / 2})
    return [*found, {"step": count, "train_loss": 0.1, "train_runtime": 3.0}]


def page(rows: list[dict[str, Any]], title: str = "run", facts: RunFacts = FACTS) -> str:
    return training_page(rows, diagnose(rows, facts), title, facts)


def parse(html: str) -> ET.Element:
    return ET.fromstring(html.removeprefix("<!DOCTYPE html>"))


def test_it_holds_diagnosis_curves_and_values() -> None:
    root = parse(page(run(40)))
    heads = [item.text for item in root.iter("h3")]
    assert heads == [
        "Loss",
        "Rewards",
        "Log-likelihood",
        "Where pairs went",
        "Accuracy and saturation",
    ]
    assert len(list(root.iter(f"{SVG}svg"))) == len(heads)
    ids = [item.attrib["id"] for item in root.iter() if "id" in item.attrib]
    assert len(set(ids)) == len(ids)
    text = "".join(root.itertext())
    assert "Chosen up, rejected down, as wanted" in text
    assert "loss apo_zero" in text
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in root.iter("tr")}
    assert cells["loss"] == ["1", "0.025", "0.05"]
    assert cells["rewards/rejected"] == ["\N{MINUS SIGN}1", "\N{MINUS SIGN}6.32", None]


def test_held_out_values_are_circles() -> None:
    root = parse(page(run(40)))
    loss, rewards = [
        [mark for mark in svg.iter(f"{SVG}circle") if mark.attrib["class"].startswith("mark")]
        for svg in list(root.iter(f"{SVG}svg"))[:2]
    ]
    assert (len(loss), len(rewards)) == (4, 4)
    heights = [float(mark.attrib["cy"]) for mark in loss]
    assert heights == sorted(heights)  # falls, and y grows downwards


def test_without_rows_it_says_so() -> None:
    html = page([])
    root = parse(html)
    assert "nothing to draw" in "".join(root.itertext())
    assert not list(root.iter(f"{SVG}svg"))
    assert not list(root.iter("table"))


def test_long_logs_stay_small() -> None:
    assert len(page(run(20_000))) < 300_000


def test_missing_and_unfinite_values_are_no_coordinates() -> None:
    rows = run(30)
    rows[3]["rewards/chosen"] = None
    rows[5]["loss"] = math.inf
    rows[7]["quadrants/chosen_up_rejected_up"] = math.nan
    del rows[9]["logps/chosen"]
    html = page(rows)
    parse(html)
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', html)


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.policy = self.style = ""
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data


HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</title></style><b>",
    "&lt;&#60;",
    "a\x00\x1b[31m\u202e\ud800\uffff",
    "]]><!--",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_as_text(hostile: str) -> None:
    rows = run(20)
    facts = RunFacts("apo_zero", 0.1, 1e-6, {hostile: 8}, reference=hostile)
    finding = Finding("kind", hostile, hostile, {}, "note")
    html = training_page(rows, Diagnosis([finding], hostile), hostile, facts)
    seen, plain = _Seen(), _Seen()
    seen.feed(html)
    plain.feed(page(rows))
    assert seen.tags == plain.tags
    assert seen.attributes == plain.attributes
    parse(html)
    html.encode("utf-8")


def test_nothing_is_loaded_and_only_its_own_style_counts() -> None:
    seen = _Seen()
    seen.feed(page(run(20)))
    assert not seen.tags & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not seen.attributes & {"src", "href", "style", "onload"}
    digest = base64.b64encode(hashlib.sha256(seen.style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in seen.policy
    assert seen.policy.startswith("default-src 'none';")


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    assert "very-secret-value" not in page(run(9), "https://host/very-secret-value")
