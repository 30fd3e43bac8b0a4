"""`--dry-run` as a whole: no file and no network without probes; probes are part of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import Named
from fake_server import Request, Response, answer_in, revise, serving

from clairkit.engine.program import Method
from clairkit.errors import UsageError
from clairkit.generation.cost.dry_run import dry_run
from clairkit.generation.engine import make_build, run_build
from clairkit.generation.settings import BuildSettings
from clairkit.journal.prices import Prices
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import RowIndex
from clairkit.models.server.model import OpenAIModel
from clairkit.records import PromptRow

MakeRows = Callable[..., list[PromptRow]]
SETTINGS = BuildSettings(prices=Prices.load(None, ["gpt=1000,10000"]))


def with_tokens(request: Request) -> Response:
    """A good revision that took ten tokens more for each further row."""
    _, answer = answer_in(request)
    body = json.loads(revise(request).body)
    number = int(answer.removeprefix("answer ").removesuffix("."))
    body["usage"] = {"prompt_tokens": 50, "completion_tokens": 100 + 10 * number}
    return Response(200, json.dumps(body).encode())


def test_without_probes_nothing_is_asked_and_no_file_is_made(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    method = make_build(SETTINGS, reviser=Named("openai:gpt"))
    made = dry_run(make_rows(5), method, tmp_path / "pairs.jsonl", settings=SETTINGS)
    assert (made.estimate.rows, made.estimate.done, made.spent) == (5, 0, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_probes_measure_are_paid_once_and_belong_to_the_run(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(40), tmp_path / "pairs.jsonl"
    with serving(with_tokens) as server:
        method = make_build(SETTINGS, reviser=OpenAIModel("gpt", base_url=server.url))
        made = dry_run(rows, method, output, settings=SETTINGS, probes=10)
        assert len(server.requests) == 10
        assert (made.estimate.done, made.estimate.measured) == (10, 10)
        assert made.spent is not None
        assert made.estimate.cost is not None
        again = dry_run(rows, method, output, settings=SETTINGS, probes=10)
        assert len(server.requests) == 10
        assert again.estimate == made.estimate
        assert not output.exists()
        result = run_build(rows, method, output, settings=SETTINGS)
        assert len(server.requests) == 40
    assert result.pairs == 40
    assert result.cost is not None
    rest = result.cost - made.spent
    assert made.estimate.cost.low <= rest <= made.estimate.cost.high
    assert made.estimate.roles[0].calls.estimate == 30


def test_a_run_that_stopped_is_estimated_to_its_end_without_a_call(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(12), tmp_path / "pairs.jsonl"
    with serving(with_tokens) as server:
        method = make_build(SETTINGS, reviser=OpenAIModel("gpt", base_url=server.url))
        run_build(rows[:8], method, output, settings=SETTINGS)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        made = dry_run(rows, method, output, settings=SETTINGS)
        assert len(server.requests) == 8
    assert (made.estimate.rows, made.estimate.done) == (12, 8)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_rows_that_were_removed_for_good_are_neither_asked_nor_counted(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(4), tmp_path / "pairs.jsonl"
    with serving(with_tokens) as server:
        method = make_build(SETTINGS, reviser=OpenAIModel("gpt", base_url=server.url))
        dry_run(rows, method, output, settings=SETTINGS, probes=1)
        with RowIndex(journal_path(output)) as index:
            index.mark_removed([row.id for row in rows[1:3]])
        made = dry_run(rows, method, output, settings=SETTINGS, probes=4)
        asked = [answer_in(request)[1] for request in server.requests[1:]]
    assert made.estimate.rows == 2
    assert set(asked) <= {"answer 0.", "answer 3."}


def test_probes_keep_the_caps_of_the_run(tmp_path: Path, make_rows: MakeRows) -> None:
    settings = BuildSettings(max_calls=3)
    with serving(with_tokens) as server:
        reviser = OpenAIModel("gpt", base_url=server.url, concurrency=1)
        method = make_build(settings, reviser=reviser)
        made = dry_run(make_rows(20), method, tmp_path / "p.jsonl", settings=settings, probes=9)
        assert len(server.requests) == 3
    assert made.budget is not None
    assert made.budget.over_budget
    assert made.estimate.done == 3
    assert made.estimate.cost is None  # the model has no price


def test_probes_under_a_cost_cap_need_a_price(tmp_path: Path, make_rows: MakeRows) -> None:
    settings = BuildSettings(max_cost=1.0)
    method = make_build(settings, reviser=Named("openai:unheard-of"))
    with pytest.raises(UsageError, match="price"):
        dry_run(make_rows(2), method, tmp_path / "p.jsonl", settings=settings, probes=2)


def test_probes_do_not_go_with_an_output_that_was_begun_otherwise(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    output = tmp_path / "pairs.jsonl"
    with serving(with_tokens) as server:

        def method(name: str) -> Method:
            return make_build(SETTINGS, reviser=OpenAIModel(name, base_url=server.url))

        dry_run(make_rows(4), method("gpt"), output, settings=SETTINGS, probes=2)
        with pytest.raises(UsageError, match="other settings"):
            dry_run(make_rows(4), method("other"), output, settings=SETTINGS, probes=2)
        # Without probes nothing is asked, and nothing that is known counts for other settings.
        made = dry_run(make_rows(4), method("other"), output, settings=SETTINGS)
        assert made.estimate.done == 0
