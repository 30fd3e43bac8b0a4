"""The page as text: the same for the same input, whole in both languages, one file."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pair_rows import row, write

from clairkit.charts.model import Histogram
from clairkit.errors import UsageError
from clairkit.models.reasons import REASONS
from clairkit.report import gather, language, make_page
from clairkit.report.entries import make_entries
from clairkit.report.histogram import histogram
from clairkit.scoring import METRICS
from clairkit.texts import languages, texts

PARTIAL = ("metrics", "phrases", "reasons")

ROWS = [
    row(
        at,
        f"The answer is {at} EUR.",
        f"The answer is {at}.",
        source="clair",
        scores={"edit_share_chosen": at / 40, "unit": "token", "flags": ["one_unit"] * (at % 2)},
        provenance={"method": "clair", "row": str(at)},
        note=at,
    )
    for at in range(40)
]


def html(folder: Path, rows: list[dict[str, Any]], code: str = "en", most: int = 10_000) -> str:
    return make_page(
        gather([write(folder / "pairs.jsonl", rows)]), language(code), max_pairs=most
    ).html


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_any_order_and_any_number_of_workers_give_the_same_bytes(tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert html(tmp_path, ROWS) == html(tmp_path, shuffled)
    found = gather([str(tmp_path / "pairs.jsonl")])
    one, two = (make_entries(found.pairs, found.files, workers=count) for count in (1, 2))
    assert one == two


def test_the_browser_has_every_pair_whole(tmp_path: Path) -> None:
    data = data_of(html(tmp_path, ROWS))
    assert [pair["id"] for pair in data["pairs"]] == [each["id"] for each in ROWS]
    pair = data["pairs"][3]
    assert pair["prompt"] == [["user", "Why?"]]
    assert pair["diff"] == ["The answer is 3", "", " EUR", ".", "", ""]
    assert pair["flags"] == ["one_unit"]
    names = [name for name, _ in data["metrics"]]
    assert pair["scores"][names.index("edit_share_chosen")] == 0.075
    details = {data["shared"][name]: data["shared"][text] for name, text in pair["details"]}
    assert details == {"scores.unit": "token", "method": "clair", "row": "3", "column note": "3"}
    assert data["flags"] == {"one_unit": 20}


def test_a_sample_does_not_depend_on_the_order_and_is_owned_up_to(tmp_path: Path) -> None:
    page = html(tmp_path, ROWS, most=7)
    assert page == html(tmp_path, ROWS[::-1], most=7)
    assert len(data_of(page)["pairs"]) == 7
    assert "Here are 7 of 40 pairs" in page
    assert "40 pairs, median" in page  # figures are of all


def test_messages_keep_their_roles(tmp_path: Path) -> None:
    turns = [
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]
    data = data_of(html(tmp_path, [{**row(1, "x", "y"), "chosen": turns}]))
    assert data["pairs"][0]["diff"][2] == "assistant:\na\n\nuser:\nb\n\nassistant:\nc"


def test_the_page_names_no_other_place(tmp_path: Path) -> None:
    page = html(tmp_path, ROWS)
    addresses = set(re.findall(r"""(?:src|href|action)=["']?([^"' >]+)""", page))
    assert addresses == {"data:,", "#overview", "#browser"}
    assert set(re.findall(r"https?://[^\"' )]+", page)) == {"http://www.w3.org/2000/svg"}
    policy = page[page.index("default-src") :].split('"')[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("folder", ["report/texts", "labels/texts", "runs/texts"])
def test_every_language_says_the_same(folder: str) -> None:
    for code in languages(folder):
        assert texts(folder, code, PARTIAL)


def test_what_other_modules_say_has_japanese_words() -> None:
    japanese = language("ja")
    assert japanese.reasons.keys() == REASONS.keys()
    assert METRICS.keys() <= texts("report/texts", "ja", PARTIAL)["metrics"].keys()


def test_japanese(tmp_path: Path) -> None:
    page = html(tmp_path, ROWS, "ja")
    assert '<html lang="ja">' in page
    assert "ペア 40 件" in page
    with pytest.raises(UsageError, match="no such language"):
        language("xx")


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([0, 0, 0], [3]),
        ([1, 2, 2, 3], [1, 2, 1]),
        ([0.0, 1.0], [1, 1]),
        ([0.5], [1]),
        ([-1e300, 1e300], [1, 1]),
        ([float(at) for at in range(24)], [1] * 22 + [2]),  # the last ends where 23 is
    ],
)
def test_a_histogram_has_a_bar_for_each_value(values: list[float], bars: list[int]) -> None:
    drawn = histogram(Histogram("n", "title", "text", values, values[0]))
    heights = [float(each) for each in re.findall(r'<rect[^>]* height="([\d.]+)"', drawn)]
    assert [round(height / max(heights) * max(bars)) for height in heights] == bars


def test_a_far_value_does_not_flatten_the_others() -> None:
    values = [at / 100 for at in range(100)] * 10 + [1000.0]
    drawn = histogram(Histogram("n", "title", "text", values, 0.5))
    assert len(re.findall("<rect", drawn)) > 10
    assert "≥" in drawn


def test_nothing_to_draw() -> None:
    assert histogram(Histogram("n", "title", "text", [], 0.0)) == ""


def test_tags_are_escaped_in_the_page_of_one_pair(tmp_path: Path) -> None:
    page = html(tmp_path, [row(1, "</script><b>", "&amp;", source="clair")])
    assert "</script><b>" not in page
    assert data_of(page)["pairs"][0]["diff"][2] == "</script><b>"
