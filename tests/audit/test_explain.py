"""From a pair back to prompt, replies and edits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outputs import build, prompt, renamed

from clairkit.audit.explain import explain
from clairkit.audit.remove import remove
from clairkit.errors import DataError
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.files import answer_of, rows_of
from clairkit.journal.manifest import quarantine_path


def better(answer: str) -> str:
    if "question 1" in answer:
        raise ValueError("the context is too long")
    if "question 10" in answer:
        return answer
    return answer.replace("say", "think")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    rows = [prompt(0), prompt(1), prompt(2, answer="They say no"), prompt(3), prompt(23)]
    rows.append(prompt(24, answer="They say so"))
    return build(tmp_path / "pairs.jsonl", rows, revise=better, stop_after=2)


def test_a_pair_is_led_back_to_its_replies(output: Path) -> None:
    pair = next(rows_of(output))
    found = explain(output, pair["id"])
    assert (found.row, found.outcome, found.record) == ("row-0", "pair", pair)
    assert found.columns == {"user": "person-0"}
    answer, revision = found.attempts
    assert (answer.step, answer.text, answer.model) == (
        "answer",
        "I say secret question 0",
        "test:target",
    )
    assert (revision.step, revision.model) == ("revise", "test:reviser")
    assert "]]\nI think secret question 0\n[[end:" in revision.text  # the reply as it came
    assert (found.attempts[0].prompt_tokens, found.attempts[0].completion_tokens) == (10, 5)
    assert found.attempts[0].key.startswith(pair["provenance"]["steps"][0]["key"])
    json.dumps(found.to_json())


def test_the_edits_turn_one_side_into_the_other(output: Path) -> None:
    for pair in rows_of(output):
        old, new = (pair[side][-1]["content"] for side in ("rejected", "chosen"))
        made, end = "", 0
        for edit in explain(output, pair["id"]).edits:
            assert old[edit.at : edit.at + len(edit.old)] == edit.old
            made += old[end : edit.at] + edit.new
            end = edit.at + len(edit.old)
        assert made + old[end:] == new


def test_a_row_that_became_no_pair(output: Path) -> None:
    found = explain(output, "row-1")
    assert (found.outcome, found.edits) == ("quarantined", ())
    assert found.record is not None
    assert found.record["reason"] == "bad_request"
    assert [(each.step, each.reason, each.detail) for each in found.attempts] == [
        ("answer", None, None),
        ("revise", "bad_request", "the context is too long"),
    ]


def test_an_answer_of_the_prompt_file_was_not_asked_for(output: Path) -> None:
    assert [each.step for each in explain(output, "row-2").attempts] == ["revise"]


def test_a_row_that_is_not_done(output: Path) -> None:
    found = explain(output, "row-3")
    assert (found.outcome, found.record, found.attempts) == ("open", None, ())
    assert found.columns == {"user": "person-3"}


def test_the_beginning_of_an_id_is_enough(output: Path) -> None:
    pair = next(rows_of(output))
    assert explain(output, pair["id"][:6]).row == "row-0"
    assert explain(output, "row-2").row == "row-2"  # also where row-24 begins so
    assert explain(output, "row-23").outcome == "open"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("row-", "several rows begin so"),
        ("zzz", "no pair and no row"),
        ("row_", "no pair and"),
        ("%", "no pair and no row"),
        ("\x1b[31m", r"\\x1b\[31m"),
    ],
)
def test_an_id_that_names_no_row(output: Path, given: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        explain(output, given)


def test_a_removed_row_is_said_to_be_removed(output: Path) -> None:
    remove(output, ["row-0"])
    with pytest.raises(DataError, match="removed for good"):
        explain(output, "row-0")


def test_without_a_journal_there_is_nothing_to_explain(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(DataError, match="there is no journal"):
        explain(tmp_path / "x.jsonl", "row-1")
    (tmp_path / "x.jsonl.journal.sqlite").write_text("no database, but long enough to be one")
    with pytest.raises(DataError, match="not a journal of clairkit"):
        explain(tmp_path / "x.jsonl", "row-1")


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs"])
def test_other_forms(tmp_path: Path, name: str) -> None:
    output = build(tmp_path / name, [prompt(0)], revise=better)
    assert explain(output, "row-0").edits[0].new == "think"


@pytest.mark.parametrize(("worsen", "side"), [(True, "chosen"), (False, "rejected")])
def test_a_worsened_answer_is_the_chosen_side(tmp_path: Path, worsen: bool, side: str) -> None:
    rows = [prompt(0, answer="They say so"), prompt(0, answer="They say so")]
    rows[1] = renamed(rows[0], "twin")
    settings = ReviseSettings(worsen=worsen)
    output = build(tmp_path / "pairs.jsonl", rows, asked=settings)
    (pair,), (twin,) = rows_of(output), rows_of(quarantine_path(output))
    assert pair[side][0]["content"] == answer_of(pair) == "They say so"
    assert (twin["reason"], twin["answer"]) == ("duplicate", "They say so")
    assert [edit.old for edit in explain(output, "row-0").edits] == ["hey", "say", "so"]
