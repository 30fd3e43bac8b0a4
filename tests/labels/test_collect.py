"""From files to unblinded votes: what is refused, what is folded, what a row says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from label_cases import all_rows, item, made_key, row, toward, votes_of

from clairkit.errors import DataError
from clairkit.labels import Key, LabelPlan, collect, draw, read_key
from clairkit.labels.collect import first_decisions
from clairkit.labels.label_files import read_labels
from clairkit.records import canonical_json, write_rows

KEY = made_key(20, raters=("A", "B"))


def test_votes_are_unblinded(tmp_path: Path) -> None:
    path = tmp_path / "votes.json"
    found = collect(KEY, votes_of(path, KEY, all_rows(KEY, "A")))
    counting = found.counting()
    assert len(counting) == 20
    assert {cast.label for cast in counting} == {"a"}
    assert {cast.vote.vote for cast in counting} == {"left", "right"}
    for made in found.rows({"A": {"rater_flags": ["repeats"]}, "B": {}}):
        assert made["a"].startswith("first")
        assert made["b"].startswith("second")
        assert (made["label"], made["names"]) == ("a", ["new", "old"])
        assert made["rater_flags"] == ["repeats"]
        assert made["sample"]["population"] == 20
        assert made["sample"]["key"] == KEY.digest


def test_a_key_of_a_file_is_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(canonical_json(KEY.to_json()), encoding="utf-8")
    assert read_key(path).digest == KEY.digest
    assert read_key(path) == KEY
    path.write_text(path.read_text().replace('"left":"a"', '"left":"b"', 1))
    assert read_key(path).digest != KEY.digest
    for text in ("", "[]", "{}", '{"kind":"clairkit label key","schema":1}', '{"kind":"x"}'):
        path.write_text(text)
        with pytest.raises(DataError):
            read_key(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_key(tmp_path / "none")


def test_votes_of_other_pages_are_refused(tmp_path: Path) -> None:
    other = made_key(20, raters=("A", "B"), seed=1)
    votes = votes_of(tmp_path / "votes.json", other, all_rows(other, "A"))
    with pytest.raises(DataError, match="another key"):
        collect(KEY, votes)
    turned = replace(
        KEY,
        raters={
            rater: tuple(replace(each, left="b") for each in shown)
            for rater, shown in KEY.raters.items()
        },
    )
    with pytest.raises(DataError, match="another key"):
        collect(turned, votes_of(tmp_path / "votes.json", KEY, all_rows(KEY, "A")))


def test_unknown_items_and_words_are_refused(tmp_path: Path) -> None:
    shown = KEY.raters["A"][0]
    [vote] = votes_of(tmp_path / "votes.json", KEY, [row(KEY, shown, "left")])
    with pytest.raises(DataError, match="no such item"):
        collect(KEY, [replace(vote, item="q000000000000")])
    with pytest.raises(DataError, match="no word of this question"):
        collect(KEY, [replace(vote, vote="accept")])


def test_edits_are_refused_or_taken_and_counted(tmp_path: Path) -> None:
    rows = all_rows(KEY, "A")
    for at in (1, 5):
        rows[at]["vote"] = "tie"
    votes = votes_of(tmp_path / "votes.json", KEY, rows)
    with pytest.raises(DataError, match="2 votes are not as the page wrote them"):
        collect(KEY, votes)
    assert collect(KEY, votes, accept_edits=True).edited == 2


def test_a_file_twice_and_a_later_save(tmp_path: Path) -> None:
    path = tmp_path / "votes.json"
    shown = KEY.raters["A"]
    early = votes_of(
        path, KEY, [row(KEY, each, "left", at="2026-12-01T08:00:00Z") for each in shown]
    )
    late = votes_of(path, KEY, [row(KEY, shown[0], "tie", at="2026-12-01T09:00:00Z")])
    for votes in ([*early, *late], [*late, *early], [*early, *early, *late]):
        found = collect(KEY, votes)
        assert found.replaced == 1
        assert found.casts[0].label == "tie"
        assert len(found.casts) == len(shown)
    assert collect(KEY, [*early, *early]).repeated == len(shown)
    unknown = [replace(vote, at=None) for vote in (early[0], late[0])]
    with pytest.raises(DataError, match="contradict each other"):
        collect(KEY, unknown)


def test_labels_go_into_calibrate(tmp_path: Path) -> None:
    for question in ("better", "accept"):
        key = draw(map(item, range(24)), LabelPlan(question=question), secret="s")  # type: ignore[arg-type]
        yes, no = ("accept", "reject") if question == "accept" else ("left", "right")
        rows = [
            row(key, each, yes if at % 3 else no) for at, each in enumerate(key.raters["rater"])
        ]
        found = collect(key, votes_of(tmp_path / "votes.json", key, rows))
        path = tmp_path / f"{question}.jsonl"
        write_rows(path, found.rows({"rater": {}}))
        labels = list(read_labels(path))
        assert len(labels) == 24
        for label, cast in zip(labels, found.counting(), strict=True):
            assert label.form == ("accepted" if question == "accept" else "compared")
            assert label.first.startswith("first")
            assert label.is_positive == (cast.label in ("a", "accept"))


def decided(key: Key, path: Path, votes: dict[str, dict[int, tuple[str, int]]]) -> list[str]:
    """Give votes by rater and item, at a minute, and return who decided each item."""
    rows = []
    for rater, given in votes.items():
        for shown in key.raters[rater]:
            if shown.kind == "vote" and shown.item in given:
                side, minute = given[shown.item]
                word = side if side in ("tie", "skip") else toward(shown, side)
                rows.append(row(key, shown, word, at=f"2026-12-01T08:{minute:02}:00Z"))
    found = first_decisions(collect(key, votes_of(path, key, rows)))
    return sorted(f"{cast.place}{cast.rater}{cast.label}" for cast in found)


def test_an_item_counts_once_by_the_first_that_decides(tmp_path: Path) -> None:
    votes = {
        "A": {0: ("a", 5), 1: ("tie", 1), 2: ("skip", 1), 3: ("tie", 1)},
        "B": {0: ("b", 4), 1: ("a", 9), 2: ("b", 9), 3: ("tie", 2)},
    }
    assert decided(KEY, tmp_path / "votes.json", votes) == ["0Bb", "1Ba", "2Bb"]
