"""Batch files: what is written, how replies come back, and the rounds of a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from batch_replies import answered, failed, read, said, write
from driving import Named

from clairkit.engine.program import Method, Quarantined
from clairkit.engine.replay import Open, Work, replay
from clairkit.errors import DataError, UsageError
from clairkit.generation.batch import file as batch_file
from clairkit.generation.batch.file import read_results, write_batches
from clairkit.generation.batch.rounds import import_batches, open_calls
from clairkit.generation.methods import make_method
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Prices
from clairkit.journal.results import Journal, JournalEntry
from clairkit.models.requests import Model
from clairkit.models.sampling import Failure, Reply
from clairkit.models.server.model import OpenAIModel
from clairkit.records import Pair, PromptRow

MakeRows = Callable[..., list[PromptRow]]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "pairs.jsonl")
    yield made
    made.close()


def clair(target: Model | None = None) -> Method:
    models: dict[str, Model] = {"reviser": OpenAIModel("gpt-4o-mini")}
    models |= {} if target is None else {"target": target}
    return make_method("clair", BuildSettings(), models)


def works(method: Method, rows: Sequence[PromptRow]) -> list[Work[Any]]:
    return [partial(method.program, row) for row in rows]


def test_a_request_is_that_of_the_server_with_its_key(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    method, rows = clair(), make_rows(2)
    calls = list(open_calls(works(method, rows), journal))
    (made,) = write_batches(tmp_path / "batch.jsonl", calls)
    lines = read(made.path)
    assert (made.model, made.requests, made.size) == (
        "openai:gpt-4o-mini",
        2,
        made.path.stat().st_size,
    )
    assert [line["custom_id"] for line in lines] == [call.task.key for call in calls]
    assert {line["method"] for line in lines} == {"POST"}
    assert {line["url"] for line in lines} == {"/v1/chat/completions"}
    model = OpenAIModel("gpt-4o-mini")
    assert [line["body"] for line in lines] == [model.body(call.task) for call in calls]
    assert "planted-secret" not in made.path.read_text()


def test_a_run_by_batches_gives_the_pairs(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    """Two rounds: answers, then revisions; the third has nothing to ask."""
    rows = make_rows(3, answers=False)
    method = clair(target=OpenAIModel("gpt-4o"))
    all_works = partial(works, method, rows)
    for number in (1, 2):
        (made,) = write_batches(tmp_path / f"{number}.jsonl", open_calls(all_works(), journal))
        assert made.requests == 3
        output = write(tmp_path / f"{number}-output.jsonl", [*map(answered, read(made.path))])
        imported = import_batches([output], all_works, journal)
        assert (imported.recorded, imported.earlier, imported.foreign) == (3, 0, 0)
    assert write_batches(tmp_path / "3.jsonl", open_calls(all_works(), journal)) == ()
    assert not (tmp_path / "3.jsonl").exists()
    results = [replay(work, journal) for work in all_works()]
    pairs = [pair for pair in results if isinstance(pair, Pair)]
    assert [pair.rejected[-1]["content"] for pair in pairs] == [
        f"an answer to question {n}" for n in range(3)
    ]
    assert [pair.chosen[-1]["content"] for pair in pairs] == [
        f"AN ANSWER TO QUESTION {n}" for n in range(3)
    ]


def test_files_of_several_rounds_may_be_imported_at_once(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    rows, other = make_rows(2, answers=False), Journal(tmp_path / "other.jsonl")
    method = clair(target=OpenAIModel("gpt-4o"))
    all_works = partial(works, method, rows)
    outputs = []
    for number in (1, 2):
        (made,) = write_batches(tmp_path / f"{number}.jsonl", open_calls(all_works(), other))
        outputs.append(write(tmp_path / f"{number}-out.jsonl", [*map(answered, read(made.path))]))
        import_batches(outputs[-1:], all_works, other)
    other.close()
    assert import_batches(outputs[::-1], all_works, journal).recorded == 4
    assert all(isinstance(replay(work, journal), Pair) for work in all_works())


def test_replies_out_of_a_batch_are_accounted_at_half_the_price(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(4))
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    import_batches(
        [write(tmp_path / "o.jsonl", [*map(answered, read(made.path))])], all_works, journal
    )
    usage = journal.usage_by_model()
    assert list(usage) == ["openai-batch:gpt-4o-mini"]
    full = 4 * (1000 * 0.15 + 100 * 0.60) / 1e6
    assert Prices.load().cost_of(usage) == pytest.approx(full / 2)


def test_importing_again_changes_nothing(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(3))
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    lines = [*map(answered, read(made.path))]
    output = write(tmp_path / "o.jsonl", lines + lines[:1])
    assert import_batches([output], all_works, journal).recorded == 3
    before = journal.usage()
    again = import_batches([output], all_works, journal)
    assert (again.recorded, again.earlier, again.foreign) == (0, 3, 0)
    assert journal.usage() == before


def test_what_failed_for_now_is_in_the_next_batch_and_what_failed_for_good_is_not(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(5))
    keys = [call.task.key for call in open_calls(all_works(), journal)]
    errors = [
        failed(keys[0], None, "the window closed"),
        failed(keys[1], 429, "slow down"),
        failed(keys[2], 400, "context too long"),
        failed(keys[3], 401, "no such key"),
    ]
    imported = import_batches([write(tmp_path / "e.jsonl", errors)], all_works, journal)
    assert imported.failures == {"request_failed": 3, "bad_request": 1}
    (made,) = write_batches(tmp_path / "next.jsonl", open_calls(all_works(), journal))
    assert [line["custom_id"] for line in read(made.path)] == [keys[0], keys[1], keys[3], keys[4]]
    found = replay(all_works()[2], journal)
    assert isinstance(found, Quarantined)
    assert found.failure.reason == "bad_request"
    assert "context too long" in found.failure.detail


def test_a_reply_wins_over_an_earlier_failure_of_the_same_request(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(1))
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    (reply,) = map(answered, read(made.path))
    errors = write(tmp_path / "e.jsonl", [failed(reply["custom_id"], None, "expired")])
    output = write(tmp_path / "o.jsonl", [reply])
    imported = import_batches([errors, output], all_works, journal)
    assert (imported.recorded, imported.failures) == (1, {})
    assert isinstance(replay(all_works()[0], journal), Pair)


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (said("k", "hello"), Reply("hello", "stop", 1000, 100)),
        (failed("k", None, "late"), Failure("request_failed", "late")),
        (failed("k", 500, "oops"), Failure("request_failed", "HTTP 500: oops")),
        (failed("k", 413, "big"), Failure("bad_request", "HTTP 413: big")),
        # vLLM's form of an error
        (
            {
                "custom_id": "k",
                "response": {"status_code": 400, "request_id": "r", "body": None},
                "error": {"message": "too long"},
            },
            Failure("bad_request", "HTTP 400: too long"),
        ),
        ({"custom_id": "k", "response": None, "error": None}, Failure("request_failed", "None")),
        (
            {"custom_id": "k", "response": {"status_code": 200, "body": "x"}, "error": None},
            Failure("bad_response", "the body is not a JSON object"),
        ),
    ],
)
def test_each_line_says_what_came_of_a_request(
    tmp_path: Path, line: Mapping[str, Any], outcome: Reply | Failure
) -> None:
    assert list(read_results(write(tmp_path / "o.jsonl", [line]))) == [("k", outcome)]


def test_a_lone_surrogate_is_a_failure_that_can_be_stored(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(1))
    (key,) = [call.task.key for call in open_calls(all_works(), journal)]
    imported = import_batches(
        [write(tmp_path / "o.jsonl", [said(key, "a\udcff")])], all_works, journal
    )
    assert imported.failures == {"bad_unicode": 1}


def test_files_of_another_run_are_refused_and_nothing_is_recorded(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    output = write(tmp_path / "o.jsonl", [said("f" * 64, "x")])
    with pytest.raises(DataError, match="no result belongs to this run") as raised:
        import_batches([output], partial(works, clair(), make_rows(1)), journal)
    assert "f" * 64 in str(raised.value)
    assert journal.usage().calls == 0


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_files_without_a_result_are_refused(
    make_rows: MakeRows, journal: Journal, tmp_path: Path, text: str
) -> None:
    (tmp_path / "o.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"o\.jsonl: 0 results"):
        import_batches([tmp_path / "o.jsonl"], partial(works, clair(), make_rows(1)), journal)


def test_results_of_other_requests_are_counted(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(1))
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    lines = [*map(answered, read(made.path)), said("0" * 64, "x")]
    imported = import_batches([write(tmp_path / "o.jsonl", lines)], all_works, journal)
    assert (imported.recorded, imported.foreign) == (1, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"custom_id": "a", "method": "POST", "url": "/", "body": {}}\n', "no result of a batch"),
        ('{"id": "b", "response": {}}\n', "no result of a batch"),
        ('{"custom_id": 7, "response": {}}\n', "no result of a batch"),
        ('{"custom_id": "a", "resp', "torn_line"),
        ("[1]\n", "bad_json"),
    ],
)
def test_a_line_that_is_no_result_is_named_before_anything_is_recorded(
    make_rows: MakeRows, journal: Journal, tmp_path: Path, text: str, problem: str
) -> None:
    all_works = partial(works, clair(), make_rows(1))
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    output = write(tmp_path / "o.jsonl", [*map(answered, read(made.path))])
    output.write_text(output.read_text() + text)
    with pytest.raises(DataError, match=rf"o\.jsonl:2: {problem}"):
        import_batches([output], all_works, journal)
    assert journal.usage().calls == 0


@pytest.mark.parametrize("name", ["none.jsonl", "o.csv", "folder"])
def test_what_is_no_output_of_a_batch_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "o.csv").write_text("custom_id,response\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError):
        list(read_results(tmp_path / name))


def test_an_output_may_be_gzipped(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "o.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(said("k", "hello")).encode() + b"\n"))
    assert [key for key, _ in read_results(path)] == ["k"]


def test_each_model_and_each_limit_begins_a_file(
    make_rows: MakeRows, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_file, "MAX_REQUESTS", 2)
    target = OpenAIModel("gpt-4o")
    rows = [*make_rows(3), *make_rows(2, answers=False)]
    calls = list(open_calls(works(clair(target), rows), journal))
    made = write_batches(tmp_path / "b.jsonl", calls)
    assert [(each.path.name, each.model, each.requests) for each in made] == [
        ("b.jsonl", "openai:gpt-4o-mini", 2),
        ("b-2.jsonl", "openai:gpt-4o-mini", 1),
        ("b-3.jsonl", "openai:gpt-4o", 2),
    ]
    ids = [line["custom_id"] for each in made for line in read(each.path)]
    assert ids == [call.task.key for call in calls]


def test_no_file_is_larger_than_allowed(
    make_rows: MakeRows, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list(open_calls(works(clair(), make_rows(4)), journal))
    (whole,) = write_batches(tmp_path / "whole.jsonl", calls)
    monkeypatch.setattr(batch_file, "MAX_BYTES", whole.size // 2 + 10)
    made = write_batches(tmp_path / "b.jsonl", calls)
    assert [each.requests for each in made] == [2, 2]


def test_an_existing_file_is_kept_unless_forced(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text("precious")
    calls = list(open_calls(works(clair(), make_rows(1)), journal))
    with pytest.raises(UsageError, match="exists"):
        write_batches(path, calls)
    assert path.read_text() == "precious"
    assert write_batches(path, calls, force=True)[0].requests == 1


def test_rows_with_the_same_request_share_it(
    make_rows: MakeRows, journal: Journal, tmp_path: Path
) -> None:
    all_works = partial(works, clair(), make_rows(1) * 3)
    (made,) = write_batches(tmp_path / "b.jsonl", open_calls(all_works(), journal))
    assert made.requests == 1
    output = write(tmp_path / "o.jsonl", [*map(answered, read(made.path))])
    assert import_batches([output], all_works, journal).recorded == 1
    assert not any(isinstance(replay(work, journal), Open) for work in all_works())


def test_a_stub_has_no_batch_file(make_rows: MakeRows, journal: Journal, tmp_path: Path) -> None:
    method = make_method("clair", BuildSettings(), {"reviser": Named("hf:a")})
    calls = list(open_calls(works(method, make_rows(1)), journal))
    with pytest.raises(TypeError, match="hf:a"):
        write_batches(tmp_path / "b.jsonl", calls)


def test_a_result_in_the_journal_is_not_asked_for(make_rows: MakeRows, journal: Journal) -> None:
    method, rows = clair(), make_rows(2)
    first, second = open_calls(works(method, rows), journal)
    journal.write([JournalEntry(first.task.key, first.step, "m", Reply("said"))])
    open_keys = [call.task.key for call in open_calls(works(method, rows), journal)]
    assert first.task.key not in open_keys
    assert second.task.key in open_keys
