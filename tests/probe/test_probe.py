"""A whole probe: scripted revisers and judges, files, resuming, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest
from fake_server import Request, Response, answer_in, error, revise, serving

from clairkit.errors import DataError, RemoteError, UsageError
from clairkit.generation import BuildSettings, Sampling
from clairkit.generation.methods.clair import make_clair
from clairkit.generation.revision.settings import ReviseSettings
from clairkit.journal.results import Recorded
from clairkit.judging.judge import Judge
from clairkit.models.budget import Budget
from clairkit.models.requests import JudgeRequest, Model, ReviseRequest, Task
from clairkit.models.sampling import Failure, Outcome, Reply
from clairkit.models.server.model import OpenAIModel
from clairkit.models.server.retry import RetryPolicy
from clairkit.probe import (
    ProbeResult,
    ProbeSettings,
    make_cases,
    observe,
    run_probe,
)
from clairkit.probe.cases import built_in
from clairkit.records import Message, PromptRow

ORIGINALS = [row.answer or "" for row in built_in("en")]
BY_PROMPT = {row.prompt[0]["content"]: row.answer or "" for row in built_in("en")}


class Scripted:
    """A model that is a function of its request, and counts its calls."""

    is_function, batch_size, concurrency = True, 1, 4

    def __init__(self, name: str, say: Callable[[Any, int], str | None]) -> None:
        self.name = f"python:{name}"
        self.identity: Mapping[str, Any] = {"kind": "test", "name": name}
        self.calls = 0
        self._say = say

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        (task,) = tasks
        if not budget.take():
            return [Failure("halted")]
        self.calls += 1
        said = self._say(task.request, self.calls)
        return [Failure("no_op", "nothing") if said is None else Reply(said)]

    async def close(self) -> None: ...


def perfect(request: ReviseRequest, call: int) -> str | None:
    """Knows the built-in answers, and finds one thing to better in each other answer."""
    del call
    good = BY_PROMPT.get(request.prompt[0]["content"])
    return None if request.answer == good else good or request.answer + " Really."


def eager(request: ReviseRequest, call: int) -> str:
    """Changes whatever it sees, another way each time."""
    return f"Let me be clear{'!' * call} {request.answer}"


def right(request: JudgeRequest, call: int) -> str:
    """Prefers built-in answers, then what is longer."""
    del call
    if (request.first in ORIGINALS) != (request.second in ORIGINALS):
        return "first" if request.first in ORIGINALS else "second"
    return "first" if len(request.first) > len(request.second) else "second"


def rows(count: int = 30) -> list[PromptRow]:
    return [
        PromptRow((Message(role="user", content=f"q{n}"),), f"Answer {n} it is.", id=f"r{n}")
        for n in range(count)
    ]


@pytest.fixture
def probe(tmp_path: Path) -> Callable[..., ProbeResult]:
    def run(
        revise: Callable[[Any, int], str | None] | Model = perfect,
        given: Any = None,
        judge: Callable[[Any, int], str | None] | None = None,
        **options: Any,
    ) -> ProbeResult:
        models: dict[str, Model] = {
            "reviser": Scripted("reviser", revise) if callable(revise) else revise
        }
        if judge is not None:
            models["judge"] = Scripted("judge", judge)
        settings = BuildSettings(**options.pop("settings", {}))
        options.setdefault("probe", ProbeSettings(rows=6, repeats=2, faults=4))
        return run_probe(
            rows() if given is None else given,
            models,
            tmp_path / "pairs.jsonl",
            settings=settings,
            **options,
        )

    return run


Probing = Callable[..., ProbeResult]


def test_a_perfect_reviser_is_healthy(probe: Probing, tmp_path: Path) -> None:
    result = probe(judge=right, probe=ProbeSettings())
    card = result.card
    assert card.state == "healthy"
    shares = {each.name: (each.rate.share, each.verdict) for each in card.findings}
    assert set(shares.values()) == {(1.0, "pass")}
    assert card.finding("untouched").rate.n == 24
    assert card.finding("fixed").rate.n == sum(kind.fixed.n for kind in card.kinds.values()) > 40
    assert all(kind.collateral.mean == 0 for kind in card.kinds.values())
    assert card.rows == {"pair": 20}
    names = {path.name for path in tmp_path.iterdir()} - {"pairs.jsonl.health.journal.lock"}
    assert names == {
        f"pairs.jsonl.health{end}" for end in (".json", ".md", ".cases.jsonl", ".journal.sqlite")
    }
    assert json.loads(result.path.read_text()) == json.loads(json.dumps(card.to_json()))
    assert result.markdown.read_text().startswith("# Reviser health: healthy")
    cases = [json.loads(line) for line in result.cases.read_text().splitlines()]
    assert len(cases) == 24 + card.finding("fixed").rate.n + 60
    assert all(case["mending"] == "fixed" for case in cases if case["probe"] == "fault")


def test_a_reviser_that_changes_everything_is_not(probe: Probing) -> None:
    reviser = Scripted("reviser", eager)
    card = probe(reviser, probe=ProbeSettings(rows=6, repeats=3, faults=4)).card
    assert reviser.calls == 24 + 20 + 18  # a function is asked for each repeat
    assert card.state == "unhealthy"
    verdicts = {each.name: each.verdict for each in card.findings}
    assert verdicts["untouched"] == verdicts["fixed"] == verdicts["careful"] == "fail"
    assert verdicts["preferred"] == verdicts["judge_right"] == "not probed"
    assert all(kind.missed == kind.fixed.n for kind in card.kinds.values())


def test_one_that_does_nothing_misses_all_faults(probe: Probing) -> None:
    card = probe(lambda request, call: None).card
    assert card.finding("untouched").verdict == card.finding("steady").verdict == "pass"
    assert card.finding("careful").verdict == "not probed"
    assert card.finding("fixed").rate.hits == 0
    assert card.state == "unhealthy"
    assert card.rows == {"no_op": 6}


def test_a_gate_s_verdict_counts_as_the_run_s(probe: Probing) -> None:
    card = probe(lambda request, call: "I'm sorry, but I can't help with that.").card
    assert card.finding("usable").rate.hits == 0
    assert card.finding("untouched").rate.n == 0
    assert card.rows == {"refusal": 6}


def test_the_judge_is_asked_once_a_row_and_once_a_fault(tmp_path: Path) -> None:
    judge = Scripted("judge", right)
    models: dict[str, Model] = {"reviser": Scripted("reviser", perfect), "judge": judge}
    settings = ProbeSettings(rows=6, repeats=3, faults=4)
    run_probe(rows(), models, tmp_path / "a", settings=BuildSettings(), probe=settings)
    assert judge.calls == 2 * (6 + 20)


def test_a_model_in_this_process_judges_after_all_revisions() -> None:
    """Its calls are of a higher stage than any round of a revision."""
    method = make_clair(BuildSettings(), {"reviser": Scripted("reviser", perfect)})
    judge = Judge(Scripted("judge", right))
    case = make_cases(rows(1), ProbeSettings())[-3]
    program = observe(case, method, judge)
    (revision,) = next(program)
    calls = program.send([Recorded(1, Reply("Answer 0 it is, by all means."))])
    assert [call.step for call in calls] == ["judge", "judge"]
    assert all(call.stage > revision.stage + method.revise.asks - 1 for call in calls)


def test_what_is_done_is_not_asked_again(probe: Probing) -> None:
    reviser = Scripted("reviser", perfect)
    first = probe(reviser)
    calls, content = reviser.calls, first.path.read_bytes()
    assert first.card.spent["calls"] == calls == len(first.cases.read_text().splitlines())
    second = probe(reviser)
    assert reviser.calls == calls
    assert (second.path.read_bytes(), second.card) == (content, first.card)


def test_a_cap_on_calls_leaves_cases_open(probe: Probing) -> None:
    result = probe(settings={"max_calls": 30})
    assert (result.over_budget, result.card.state) == (True, "undecided")
    assert result.unfinished + len(result.cases.read_text().splitlines()) == len(
        probe().cases.read_text().splitlines()
    )


def test_an_error_of_the_server_is_handed_back(probe: Probing) -> None:
    def refuse(request: ReviseRequest, call: int) -> str | None:
        raise RemoteError("no key")

    result = probe(refuse)
    assert isinstance(result.stop, RemoteError)
    assert not result.is_written
    assert not result.path.exists()


def test_rows_without_answer_are_answered_by_the_target_or_left_out(
    probe: Probing, tmp_path: Path
) -> None:
    bare = [PromptRow((Message(role="user", content=f"q{n}"),), id=f"r{n}") for n in range(5)]
    assert probe(given=bare).card.rows == {}
    target = Scripted("target", lambda request, call: "My answer.")
    models: dict[str, Model] = {"reviser": Scripted("reviser", perfect), "target": target}
    result = run_probe(bare, models, tmp_path / "other.jsonl", settings=BuildSettings())
    # Each row is answered once, whatever the number of its revisions.
    assert (result.card.rows, target.calls) == ({"pair": 5}, 5)
    assert result.card.agreement.n == 5


def test_good_rows_of_the_user_are_probed_in_place_of_the_built_in_ones(probe: Probing) -> None:
    mark = {"good": True, "slice": "returns"}
    good = [
        PromptRow(
            (Message(role="user", content=f"q{n}"),),
            f"We take it back for {n}0 days.",
            f"g{n}",
            mark,
        )
        for n in range(1, 9)
    ]
    card = probe(lambda request, call: None, given=[*rows(), *good]).card
    assert list(card.slices) == ["returns"]
    assert card.slices["returns"].untouched.n == 8
    assert card.about["good answers"] == "8 of the prompt file"


def test_japanese(probe: Probing) -> None:
    japanese = [
        PromptRow(
            (Message(role="user", content="返品できますか。"),), f"{n}日以内なら返品できます。"
        )
        for n in range(3)
    ]
    card = probe(lambda request, call: None, japanese).card
    assert card.about["good answers"] == "12 built-in"
    assert card.finding("untouched").verdict == "pass"


def test_over_http_with_the_template_and_a_server_that_fails_at_first(probe: Probing) -> None:
    def script(request: Request) -> Response:
        if broken:
            return error(500)
        _, answer = answer_in(request)
        original = get_close_matches(answer, ORIGINALS, 1, 0.6)
        return revise(request, lambda text: original[0] if original else text + " Really.")

    with serving(script) as server:
        reviser = OpenAIModel(
            "gpt", base_url=server.url, policy=RetryPolicy(tries=1, consecutive=999)
        )
        broken = True
        result = probe(reviser)
        assert (result.card.lost, result.card.state) == (
            {"request_failed": len(server.requests)},
            "undecided",
        )
        broken = False
        result = probe(reviser)
    assert (result.card.lost, result.card.state) == ({}, "healthy")
    assert result.card.about["template"].startswith("clair (")
    assert result.card.spent["tokens"]["prompt"] == 7 * (24 + 20 + 12)


class Chat:
    """A chat model that always refuses, and remembers the seeds it was asked with."""

    name, identity = "openai:chat", {"kind": "openai", "model": "chat"}
    is_function, batch_size, concurrency = False, 1, 4

    def __init__(self) -> None:
        self.seeds: list[int] = []

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        assert budget.take(len(tasks))
        self.seeds += [task.sampling.seed for task in tasks]
        return [Reply("I can't help with that.", prompt_tokens=10, completion_tokens=2)] * len(
            tasks
        )

    async def close(self) -> None: ...


def test_repeats_of_a_chat_model_have_seeds_of_their_own(probe: Probing) -> None:
    chat = Chat()
    sampling = Sampling(seed=7)
    result = probe(
        chat,
        rows(2),
        probe=ProbeSettings(repeats=3, faults=0, good=1),
        settings={"revise_sampling": sampling, "revise": ReviseSettings(asks=1)},
    )
    assert sorted(chat.seeds) == [7, 7, 7, 8, 8, 9, 9]
    assert result.card.spent == {
        "calls": 7,
        "tokens": {"prompt": 70, "completion": 14},
        "cost": None,
    }
    assert result.card.about["sampling"]["seed"] == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "judge-on-policy"}, "probe is of a reviser"),
        ({"revise": ReviseSettings(worsen=True)}, "Leave --worsen out"),
    ],
)
def test_what_can_t_be_probed(probe: Probing, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        probe(settings=settings, judge=right)


def test_no_rows(probe: Probing) -> None:
    with pytest.raises(DataError, match="0 prompt rows"):
        probe(given=[])


def test_a_file_of_the_user_is_not_written_over(probe: Probing, tmp_path: Path) -> None:
    mine = tmp_path / "pairs.jsonl.health.md"
    mine.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        probe()
    assert mine.read_text() == "mine"
    probe(force=True)
    assert mine.read_text() != "mine"
