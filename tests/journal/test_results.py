"""The journal: what is recorded stays, one writer at a time, one set of settings."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from clairkit.errors import DataError, ResourceError, UsageError
from clairkit.journal.results import Journal, JournalEntry, Recorded, differences, journal_path
from clairkit.models.sampling import Failure, Reply
from clairkit.records.lock import FileLock


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl"


@pytest.fixture
def journal(output: Path) -> Iterator[Journal]:
    opened = Journal(output)
    yield opened
    opened.close()


def entry(key: str, outcome: Reply | Failure, step: str = "revise") -> JournalEntry:
    return JournalEntry(key, step, "openai:gpt", outcome)


REPLY = Reply("text\0 \u3042", "length", 3, 4, rationale="why", tries=2)
FAILURE = Failure("too_large", "2 MB", "said", 5, 6, 3)


def test_results_come_back_as_they_were(journal: Journal, output: Path) -> None:
    journal.write([entry("a", REPLY), entry("b", FAILURE)])
    journal.close()
    again = Journal(output)
    assert again.latest("a", "revise") == Recorded(1, REPLY)
    assert again.latest("b", "revise") == Recorded(1, FAILURE)
    assert again.latest("a", "answer") is None
    usage = again.usage()
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (5, 8, 10)
    again.close()


def test_the_newest_attempt_counts(journal: Journal) -> None:
    journal.write([entry("a", Failure("request_failed"))])
    journal.write([entry("a", REPLY)])
    assert journal.latest("a", "revise") == Recorded(2, REPLY)
    assert journal.usage().calls == 3


def test_what_may_pass_is_asked_again(journal: Journal) -> None:
    journal.write(
        [
            entry("a", REPLY),
            entry("b", FAILURE),
            entry("c", Failure("request_failed")),
            entry("d", REPLY, "answer"),
        ]
    )
    for key, step in (("a", "revise"), ("b", "revise"), ("c", "revise"), ("d", "answer")):
        assert journal.latest(key, step) is not None
        assert journal.latest(key, "judge") is None


def test_a_transaction_is_whole_or_not_at_all(journal: Journal) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        journal.write([entry("a", REPLY), JournalEntry("b", None, "m", REPLY)])  # type: ignore[arg-type]
    assert journal.latest("a", "revise") is None
    journal.write([entry("a", REPLY)])
    assert journal.latest("a", "revise") is not None


def test_results_share_a_commit_and_are_on_disk_before_it_is_told(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    found: list[Recorded | None] = []
    insert = journal._insert
    monkeypatch.setattr(journal, "_insert", lambda some: (sizes.append(len(some)), insert(some)))
    commit, more_wait = journal._commit, threading.Event()
    monkeypatch.setattr(journal, "_commit", lambda: (more_wait.wait(60), commit()))

    async def several() -> None:
        told = asyncio.Event()

        def on_disk(key: str, error: BaseException | None) -> None:
            assert error is None
            found.append(journal.latest(key, "revise"))
            if len(found) == 8:
                told.set()

        def submit(key: str) -> asyncio.Future[None]:
            return journal.submit(entry(key, REPLY), partial(on_disk, key))

        handed = [submit(str(number)) for number in range(5)]
        await asyncio.gather(*map(asyncio.shield, handed))
        assert not found  # the first commit is under way …
        for number in range(5, 8):  # … and what comes now waits for the next
            submit(str(number))
        more_wait.set()
        await told.wait()

    asyncio.run(several())
    assert sizes == [5, 3]
    assert found == [Recorded(1, REPLY)] * 8


@pytest.mark.parametrize("part", ["_insert", "_commit"])
def test_an_error_of_the_disk_is_told_and_nothing_is_half_there(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def full(*_: object) -> None:
        raise ResourceError("no room")

    async def one() -> BaseException | None:
        told: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        journal.submit(entry("a", REPLY), told.set_result)
        return await told

    with monkeypatch.context() as patch:
        patch.setattr(journal, part, full)
        assert isinstance(asyncio.run(one()), ResourceError)
    assert journal.latest("a", "revise") is None


def test_threads_that_run_out_are_told(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def one() -> BaseException | None:
        loop = asyncio.get_running_loop()

        def none_left(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(loop, "run_in_executor", none_left)
        told: asyncio.Future[BaseException | None] = loop.create_future()
        journal.submit(entry("a", REPLY), told.set_result)
        return await asyncio.wait_for(told, 5)

    assert isinstance(asyncio.run(one()), RuntimeError)


def test_the_disk_has_it_before_record_returns(journal: Journal) -> None:
    pragma = journal._database.execute
    assert pragma("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)


def test_other_settings_are_refused_field_by_field(journal: Journal) -> None:
    journal.settle({"seed": 0, "model": "a", "same": 1}, force=False)
    journal.settle({"seed": 0, "model": "a", "same": 1}, force=False)
    with pytest.raises(UsageError, match=r"model: a -> b; seed: 0 -> 1") as info:
        journal.settle({"seed": 1, "model": "b", "same": 1}, force=False)
    assert "same" not in str(info.value)
    journal.settle({"seed": 1, "model": "b", "same": 1}, force=True)
    journal.settle({"seed": 1, "model": "b", "same": 1}, force=False)


def test_differences_show_what_came_and_went() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "c": "x"}) == ["b: 2 -> null", "c: null -> x"]


def test_a_second_writer_is_refused_with_the_pid(journal: Journal, output: Path) -> None:
    lock = output.with_name(f"{output.name}.journal.lock")
    arguments = [sys.executable, "-c", HOLD, str(lock)]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert f"UsageError: process {os.getpid()} is working on this output" in run.stderr


HOLD = """
import sys, time
from pathlib import Path
from clairkit.records.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_dead_holders_lock_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    named = f"process {holder.pid} is working on this output, on {socket.gethostname()} since 20"
    with pytest.raises(UsageError, match=named):
        FileLock(path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert path.exists()  # it left its file behind
    with FileLock(path):
        assert path.read_text().split("\n")[:2] == [str(os.getpid()), socket.gethostname()]
    assert not path.exists()


def test_a_lock_file_that_its_holder_just_removed_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    opened = os.open
    removals = iter([path.unlink])  # once, between opening and locking

    def racing(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(name, flags, mode)
        next(removals, lambda: None)()
        return descriptor

    monkeypatch.setattr(os, "open", racing)
    with FileLock(path), pytest.raises(UsageError, match=f"process {os.getpid()} "):
        FileLock(path)


def test_a_foreign_file_is_refused_and_kept(output: Path) -> None:
    journal_path(output).write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="not a journal"):
        Journal(output)
    assert journal_path(output).read_bytes().startswith(b"no database")
    journal_path(output).unlink()
    Journal(output).close()  # and the lock was let go


def test_a_later_version_is_refused(journal: Journal, output: Path) -> None:
    journal.set_meta("schema_version", 99)
    journal.close()
    with pytest.raises(UsageError, match="later version"):
        Journal(output)


def test_a_full_disk_is_named_and_nothing_is_lost(journal: Journal, output: Path) -> None:
    journal.write([entry("a", REPLY)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    earlier = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(ResourceError, match="can't be used"):
            journal.write([entry("big", Reply("x" * 1_000_000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, earlier)
    journal.write([entry("b", REPLY)])
    journal.close()
    again = Journal(output)
    assert again.latest("a", "revise")
    assert again.latest("b", "revise")
    assert again.latest("big", "revise") is None
    again.close()


def test_a_journal_of_the_first_release_is_refused_with_the_differences_or_continued(
    output: Path,
) -> None:
    """As `build-pairs` wrote it before there were methods, gates and forms."""
    settings = {"reviser": {"kind": "python"}, "revise.seed": 0, "revision": "rewrite"}
    with closing(sqlite3.connect(journal_path(output))) as old:
        old.executescript(FIRST_RELEASE)
        old.execute("INSERT INTO meta VALUES ('settings', ?)", (json.dumps(settings),))
        old.commit()
    opened = Journal(output)
    with pytest.raises(UsageError, match=r"gate\.no_op: null -> drop; revision: rewrite -> null"):
        opened.settle({**settings, "gate.no_op": "drop", "revision": None}, force=False)
    opened.settle({**settings, "gate.no_op": "drop"}, force=True)
    assert opened.latest("k", "revise") == Recorded(1, Reply("A", "stop", 3, 4))
    opened.write([entry("l", REPLY)])
    assert opened.usage().calls == 3
    opened.close()


FIRST_RELEASE = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE results (
    key TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    reason TEXT, detail TEXT, text TEXT NOT NULL, rationale TEXT, finish_reason TEXT,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, tries INTEGER NOT NULL,
    model TEXT NOT NULL, created TEXT NOT NULL, PRIMARY KEY (key, step, attempt));
INSERT INTO meta VALUES ('schema_version', '1');
INSERT INTO results VALUES
    ('k', 'revise', 1, NULL, NULL, 'A', NULL, 'stop', 3, 4, 1, 'python:f', '2026-11-24T00:00:00');
"""


def test_a_journal_that_breaks_while_it_is_read_is_named(journal: Journal, output: Path) -> None:
    journal.write([entry(f"{number:0100}", REPLY) for number in range(1000)])
    journal.close()
    half = journal_path(output).stat().st_size // 2
    with journal_path(output).open("r+b") as file:
        file.seek(half)
        file.write(b"\xaa" * half)
    with closing(Journal(output)) as broken, pytest.raises(DataError, match="is not a journal"):
        broken.latest(f"{999:0100}", "revise")


def test_a_later_version_lets_go_of_everything(journal: Journal, output: Path) -> None:
    journal.set_meta("schema_version", 99)
    journal.close()
    opened = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(UsageError, match="later version"):
        Journal(output)
    assert set(Path("/proc/self/fd").iterdir()) == opened
    assert not output.with_name(f"{output.name}.journal.lock").exists()


def test_a_file_system_without_locks_is_named(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(ResourceError, match=r"lock can't be taken \(No locks available\)"):
        FileLock(output)
