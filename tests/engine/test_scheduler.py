"""The order of calls: as they come elsewhere, in groups here; each once, few rows in memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clairkit.engine import scheduler
from clairkit.engine.driver import run_works
from clairkit.engine.program import NO_MORE, Call
from clairkit.engine.progress import Progress
from clairkit.engine.replay import Open, Work, replay, trace
from clairkit.errors import DataError
from clairkit.journal.results import Journal, Recorded
from clairkit.models.budget import Budget
from clairkit.models.requests import AnswerRequest, Task
from clairkit.models.sampling import Failure, Outcome, Reply, Sampling

Rounds = Generator[Sequence[Call], Sequence[Recorded], str]


class Fake:
    """A model that says its name and the key, and remembers what it was asked when."""

    is_function = True

    def __init__(self, name: str, log: list[str], *, batch: int = 1, concurrency: int = 4) -> None:
        self.name, self.batch_size, self.concurrency = name, batch, concurrency
        self.identity = {"kind": name}
        self.log = log
        self.batches: list[list[str]] = []
        self.running = self.peak = 0
        self.is_local = False
        self.pause = 0.0
        self.fails: set[str] = set()

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        if not budget.take(len(tasks)):
            return [Failure("halted")] * len(tasks)
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(self.pause)
        self.running -= 1
        keys = [task.key for task in tasks]
        self.batches.append(keys)
        self.log.append(f"{self.name} {len(keys)}")
        return [
            Failure("request_failed") if key in self.fails else Reply(f"{self.name}({key})")
            for key in keys
        ]

    async def close(self) -> None:
        self.log.append(f"{self.name} closed")


def call(model: Fake, key: str, *, stage: int = 0, step: str = "answer", seed: int = 0) -> Call:
    task = Task(key, (), AnswerRequest(()), Sampling(seed=seed))
    return Call(step, stage, model, task)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "pairs.jsonl")
    yield opened
    opened.close()


def two_steps(first: Fake, second: Fake, row: int) -> Work[str]:
    """Answer, then revise the answer."""

    def program() -> Rounds:
        (answer,) = yield [call(first, f"a{row}")]
        (revision,) = yield [call(second, f"r{row}", stage=1, step="revise")]
        return f"{answer.outcome.text} {revision.outcome.text}"

    return program


def finished(works: Sequence[Work[str]], journal: Journal) -> list[str | Open]:
    return [replay(work, journal) for work in works]


def test_models_elsewhere_work_side_by_side(journal: Journal) -> None:
    log: list[str] = []
    first, second = Fake("first", log, concurrency=1), Fake("second", log, concurrency=1)
    first.pause = second.pause = 0.01
    works = [two_steps(first, second, row) for row in range(20)]
    run_works(works, journal, Budget())
    assert finished(works, journal) == [f"first(a{row}) second(r{row})" for row in range(20)]
    assert log.index("second 1") < 4  # long before all are answered
    assert log[-2:] == ["first closed", "second closed"]


def test_local_models_take_turns(journal: Journal) -> None:
    log: list[str] = []
    first, second = Fake("first", log, batch=4), Fake("second", log, batch=4)
    works = [two_steps(first, second, row) for row in range(10)]
    run_works(works, journal, Budget())
    assert log == [
        *["first 4", "first 4", "first 2"],
        "first closed",
        *["second 4", "second 4", "second 2"],
        "second closed",
    ]
    assert not any(isinstance(each, Open) for each in finished(works, journal))


def test_local_models_take_turns_without_batches_too(journal: Journal) -> None:
    log: list[str] = []
    first, second = Fake("first", log, concurrency=1), Fake("second", log, concurrency=1)
    first.is_local = second.is_local = True
    run_works([two_steps(first, second, row) for row in range(3)], journal, Budget())
    assert log == [*["first 1"] * 3, "first closed", *["second 1"] * 3, "second closed"]


def test_a_server_revises_while_a_local_model_answers(journal: Journal) -> None:
    log: list[str] = []
    local, server = Fake("local", log, batch=4, concurrency=1), Fake("server", log)
    local.pause = 0.02
    works = [two_steps(local, server, row) for row in range(12)]
    run_works(works, journal, Budget())
    assert log.index("server 1") < log.index("local 4", 2)
    assert log[:2] == ["local 4", "server 1"]


def test_a_local_model_waits_for_all_answers_of_a_server(journal: Journal) -> None:
    log: list[str] = []
    server, local = Fake("server", log), Fake("local", log, batch=4)
    server.pause = 0.002
    works = [two_steps(server, local, row) for row in range(100)]
    run_works(works, journal, Budget())
    assert log[:100] == ["server 1"] * 100
    assert [len(batch) for batch in local.batches] == [4] * 25


@pytest.mark.parametrize("calls", [3, 7, 10, 14])
def test_a_resumed_run_has_the_same_batches(journal: Journal, calls: int, tmp_path: Path) -> None:
    log: list[str] = []

    def models() -> tuple[Fake, Fake]:
        return Fake("first", log, batch=3, concurrency=1), Fake(
            "second", log, batch=4, concurrency=1
        )

    def works(pair: tuple[Fake, Fake]) -> list[Work[str]]:
        return [two_steps(*pair, row) for row in range(10)]

    whole = Journal(tmp_path / "whole.jsonl")
    undisturbed = models()
    run_works(works(undisturbed), whole, Budget())
    stopped, resumed = models(), models()
    budget = Budget(max_calls=calls)
    run_works(works(stopped), journal, budget)
    assert budget.over_budget
    assert any(isinstance(each, Open) for each in finished(works(stopped), journal))
    run_works(works(resumed), journal, Budget())
    for place in range(2):
        seen = [*stopped[place].batches, *resumed[place].batches]
        assert seen == undisturbed[place].batches
    assert finished(works(resumed), journal) == finished(works(undisturbed), whole)
    whole.close()


def test_a_second_round_of_a_local_model_is_a_wave_of_its_own(journal: Journal) -> None:
    log: list[str] = []
    local = Fake("local", log, batch=4, concurrency=1)

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            yield [call(local, f"a{row}", step="revise", stage=1)]
            if row % 2:
                yield [call(local, f"b{row}", step="revise.2", stage=1)]
            return ""

        return program

    run_works([work(row) for row in range(10)], journal, Budget())
    assert [len(batch) for batch in local.batches] == [4, 4, 2, 4, 1]
    assert log.count("local closed") == 1


def test_rows_of_one_sampling_share_batches(journal: Journal) -> None:
    local = Fake("local", [], batch=4)

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            yield [call(local, f"{row}.{seed}", seed=seed) for seed in range(2)]
            return ""

        return program

    run_works([work(row) for row in range(4)], journal, Budget())
    assert [{key[-1] for key in batch} for batch in local.batches] == [{"0"}, {"1"}]


def test_a_call_of_several_rows_is_made_once(journal: Journal) -> None:
    server = Fake("server", [])

    def program() -> Rounds:
        results = yield [call(server, "same"), call(server, "same"), call(server, "other")]
        return " ".join(result.outcome.text for result in results)

    run_works([program] * 5, journal, Budget())
    assert Counter(key for batch in server.batches for key in batch) == {"same": 1, "other": 1}
    assert replay(program, journal) == "server(same) server(same) server(other)"


def test_what_failed_is_asked_again_by_the_next_run_only(journal: Journal) -> None:
    server = Fake("server", [], concurrency=1)
    server.fails = {"a0"}

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            for number in range(10 * row):  # so that the rows come one after the other
                yield [call(server, f"own {row} {number}")]
            (result,) = yield [call(server, "a0")]
            return result.outcome.text

        return program

    def asked() -> int:
        return server.batches.count(["a0"])

    works = [work(row) for row in range(3)]
    run_works(works, journal, Budget())
    assert asked() == 1
    assert replay(works[0], journal) == ""
    left = replay(works[0], journal, ask_again=True)
    assert isinstance(left, Open)
    assert [each.task.key for each in left.calls] == ["a0"]
    server.fails = set()
    run_works(works, journal, Budget())
    assert asked() == 2
    ((_, recorded),) = trace(works[0], journal).steps
    assert recorded == Recorded(2, Reply("server(a0)"))


def test_no_further_call_before_a_result_is_on_its_way_to_the_disk(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Fake("server", [], concurrency=2)
    commit, calls = journal._commit, []

    def slow() -> None:
        time.sleep(0.1)  # in its thread: the loop goes on
        calls.append(len(server.batches))
        commit()

    monkeypatch.setattr(journal, "_commit", slow)

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            yield [call(server, str(row))]
            return ""

        return program

    run_works([work(row) for row in range(8)], journal, Budget())
    # One commit of two is under way, two more results wait for the next; nobody asks a fifth.
    assert all(made <= 4 + 2 * commit for commit, made in enumerate(calls))


def test_few_rows_are_in_memory_at_once(journal: Journal) -> None:
    server = Fake("server", [], concurrency=8)
    started = done = most = 0

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            nonlocal done
            yield [call(server, str(row))]
            done += 1
            return ""

        return program

    def works() -> Iterator[Work[str]]:
        nonlocal started, most
        for row in range(2000):
            started += 1
            most = max(most, started - done)
            yield work(row)

    run_works(works(), journal, Budget())
    assert done == 2000
    assert most <= 65
    assert server.peak == 8


def test_local_rows_are_taken_in_blocks(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "BLOCK", 6)
    log: list[str] = []
    local, server = Fake("local", log, batch=4), Fake("server", log)
    works = [two_steps(local, server, row) for row in range(15)]
    run_works(works, journal, Budget())
    assert [len(batch) for batch in local.batches] == [4, 2, 4, 2, 3]
    assert not any(isinstance(each, Open) for each in finished(works, journal))


def test_a_round_may_ask_models_here_and_elsewhere(journal: Journal) -> None:
    server, local = Fake("server", []), Fake("local", [], batch=4)

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            yield [call(local, f"{row}", step="answer.1", stage=1), call(server, f"{row}")]
            return "done"

        return program

    works = [work(row) for row in range(300)]  # more than are in flight at once
    run_works(works, journal, Budget())
    assert finished(works, journal) == ["done"] * 300
    assert [len(batch) for batch in local.batches] == [4] * 75


def test_the_end_of_a_program_is_left_to_the_export(journal: Journal) -> None:
    server, read = Fake("server", []), []

    def program() -> Rounds:
        (result,) = yield [call(server, "a")]
        yield NO_MORE
        read.append(result.outcome.text)
        return "made"

    run_works([program], journal, Budget())
    assert not read
    assert replay(program, journal) == "made"
    assert read == ["server(a)"]


def test_a_fault_of_a_program_ends_the_run_after_the_others(journal: Journal) -> None:
    server = Fake("server", [], concurrency=2)
    server.pause = 0.01

    def work(row: int) -> Work[str]:
        def program() -> Rounds:
            yield [call(server, str(row))]
            if row == 3:
                raise ZeroDivisionError("ours")
            return ""

        return program

    with pytest.raises(ZeroDivisionError, match="ours"):
        run_works([work(row) for row in range(40)], journal, Budget())
    made = [key for batch in server.batches for key in batch]
    assert 4 <= len(made) <= 6
    assert journal.usage().results == len(made)  # what was under way is kept
    assert server.log[-1] == "server closed"


def test_a_fault_of_the_rows_ends_the_run_after_what_is_under_way(journal: Journal) -> None:
    server = Fake("server", [], concurrency=2)
    server.pause = 0.01

    def works() -> Iterator[Work[str]]:
        for row in range(100):
            yield two_steps(server, server, row)
        raise DataError("the file was changed")

    with pytest.raises(DataError, match="changed"):
        run_works(works(), journal, Budget())
    made = [key for batch in server.batches for key in batch]
    assert made
    assert journal.usage().results == len(made)


def test_progress_counts_rows_calls_and_what_was_there(journal: Journal) -> None:
    first, second = Fake("first", []), Fake("second", [])
    second.fails = {"r2"}
    works = [two_steps(first, second, row) for row in range(4)]
    run_works(works[:2], journal, Budget())
    seen: list[Progress] = []
    run_works(works, journal, Budget(), progress=lambda p: seen.append(replace(p)), total=4)
    last = seen[-1]
    assert (last.total, last.done, last.resumed) == (4, 4, 2)
    assert last.calls == {"answer": 2, "revise": 2}
    assert last.failures == {"request_failed": 1}
    assert last.seconds_left == 0
