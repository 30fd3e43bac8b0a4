"""Commands that write, the state in which each begins, and what must hold after a fault."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_replies import answered, read, write
from command_forks import CommandForks, Ended
from moments import Moment

from clairkit.audit.verify import verify
from clairkit.journal.files import rows_of
from clairkit.records.temporary import is_temporary, restore

SHOUT = "python:reviser_functions:shout"
SECRET = "zebra"
"""Is in each text of the people that are removed, in either case, and in no other."""

Prepare = Callable[[CommandForks, Path, str], None]


@dataclass(frozen=True)
class FaultCase:
    """A command, and what makes the folder in which it runs.

    Args:
        name: for the test's id.
        arguments: of the command.
        output: its output's name.
        prepare: makes the folder's files.
        is_removal: nothing that holds SECRET may be left but the prompts.
        can_exchange: whether the file system can exchange two names.
        done: exit codes of the same call after it was done.
    """

    name: str
    arguments: tuple[str, ...]
    output: str
    prepare: Prepare
    is_removal: bool = False
    can_exchange: bool = True
    done: tuple[int, ...] = (0,)


def write_prompts(folder: Path, count: int, *, name: str = "prompts.jsonl") -> None:
    """Prompts of three people; user 1's hold the secret. One row is a no-op, one a duplicate."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        word = SECRET if number % 3 == 1 else "horse"
        text = f"{word} {number} is what this row is about"
        answer = text.upper() if number == 4 else f"the answer to {text}."
        rows.append(
            {
                "id": f"{word}-row-{number}",
                "prompt": text,
                "answer": answer,
                "user": f"{word}-{number % 3}",
                "n": number % 3,
            }
        )
    rows.append({**rows[1], "id": "twin-row", "user": "horse-9", "n": 9} if count > 4 else rows[0])
    if count <= 4:
        rows.pop()
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def build(output: str) -> tuple[str, ...]:
    return ("build-pairs", "prompts.jsonl", "-o", output, "--reviser", SHOUT, "--quiet")


def run_well(forks: CommandForks, folder: Path, arguments: Sequence[str]) -> None:
    ended = forks.run(folder, arguments)
    assert ended.code in (0, 4), ended.said  # 4: a batch that has more to ask


def smaller_build(forks: CommandForks, folder: Path, output: str) -> None:
    """An output of four rows; then there are more prompts."""
    write_prompts(folder, 4)
    run_well(forks, folder, build(output))
    write_prompts(folder, 7)


def nothing_built(_: CommandForks, folder: Path, output: str) -> None:
    write_prompts(folder, 7)


def build_and_score(forks: CommandForks, folder: Path, output: str) -> None:
    """An output without twins, and a file made from it that has lost its provenance."""
    write_prompts(folder, 7)
    lines = (folder / "prompts.jsonl").read_text().splitlines(keepends=True)
    (folder / "prompts.jsonl").write_text("".join(lines[:-1]))
    run_well(forks, folder, build(output))
    made = (
        {name: row[name] for name in ("id", "prompt", "chosen", "rejected")}
        for row in rows_of(folder / output)
    )
    (folder / "made.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))


def shards(forks: CommandForks, folder: Path, output: str) -> None:
    write_prompts(folder, 7)
    for number in (1, 2):
        run_well(forks, folder, [*build(f"part{number}.jsonl"), "--shard", f"{number}/2"])


def shards_and_output(forks: CommandForks, folder: Path, output: str) -> None:
    shards(forks, folder, output)
    write_prompts(folder, 4)
    run_well(forks, folder, build(output))


BATCH = ("build-pairs", "prompts.jsonl", "-o", "o.jsonl", "--reviser", "openai:gpt", "--quiet")


def batch(forks: CommandForks, folder: Path, output: str) -> None:
    """Replies to a batch; half of them were imported before."""
    write_prompts(folder, 7)
    run_well(forks, folder, [*BATCH, "--batch-export", "batch.jsonl"])
    replies = [*map(answered, read(folder / "batch.jsonl"))]
    write(folder / "some.jsonl", replies[:3])
    run_well(forks, folder, [*BATCH, "--batch-import", "some.jsonl"])
    write(folder / "replies.jsonl", replies)


def _removal(output: str, **options: Any) -> FaultCase:
    arguments = ("remove", output, "--where", "n=1", "--also", "made.jsonl", "--quiet")
    name = options.pop("name", f"remove from {output}")
    return FaultCase(name, arguments, output, build_and_score, is_removal=True, **options)


def _merge(output: str, prepare: Prepare, *more: str) -> FaultCase:
    arguments = ("merge", "part1.jsonl", "part2.jsonl", "-o", output, "--quiet", *more)
    name = f"merge to {output}" + (" over another" if more else "")
    return FaultCase(name, arguments, output, prepare, done=(0, 2))


CASES = (
    FaultCase("build anew", build("o.jsonl"), "o.jsonl", nothing_built),
    FaultCase("build to JSONL", build("o.jsonl"), "o.jsonl", smaller_build),
    FaultCase("build to Parquet", build("o.parquet"), "o.parquet", smaller_build),
    FaultCase("build to a folder", build("o"), "o", smaller_build),
    FaultCase("build to a folder, two renames", build("o"), "o", smaller_build, can_exchange=False),
    _removal("o.jsonl"),
    _removal("o.jsonl.gz"),
    _removal("o.parquet"),
    _removal("o"),
    _removal("o", name="remove from o, two renames", can_exchange=False),
    _merge("o.jsonl", shards),
    _merge("o", shards),
    _merge("o.jsonl", shards_and_output, "--force"),
    FaultCase("batch import", (*BATCH, "--batch-import", "replies.jsonl"), "o.jsonl", batch),
)


class Trial:
    """One case: its beginning, and how it ends undisturbed.

    Args:
        case: the case.
        forks: runs the commands.
        folder: for the files.
    """

    def __init__(self, case: FaultCase, forks: CommandForks, folder: Path) -> None:
        self.case, self._forks = case, forks
        self._start, self._folder = folder / "start", folder / "trial"
        self._start.mkdir(parents=True)
        case.prepare(forks, self._start, case.output)
        self._before = _rows(self._start / case.output)
        self._begin()
        whole = self._run(None)
        assert whole.code == 0, whole.said
        self.points = len(whole.seen)
        self._after = _rows(self._folder / case.output)
        self._results = _results(self._folder / case.output)
        self._aside = _bytes(self._folder / f"{case.output}.quarantine.jsonl")

    def fault(self, moment: Moment) -> str:
        """Let the command fail at a moment and give it again; return how it ended at first."""
        self._begin()
        first = self._run(moment)
        self._check_first(first)
        again = self._run(None)
        if again.code not in self.case.done:
            raise AssertionError(f"the same call: exit {again.code}\n{again.said}\n{first.said}")
        self._check_end()
        return "killed" if first.is_killed else str(first.code)

    def _begin(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._start, self._folder)

    def _run(self, moment: Moment | None) -> Ended:
        case = self.case
        return self._forks.run(self._folder, case.arguments, moment, can_exchange=case.can_exchange)

    def _check_first(self, first: Ended) -> None:
        if not first.is_killed:
            assert first.code in (0, 4, 5), first.said
            assert "Traceback" not in first.said, first.said
        restore(self._folder / self.case.output)
        found = _rows(self._folder / self.case.output)
        assert found in (self._before, self._after), "neither the old nor the new output"
        if not self.case.is_removal:
            return
        if first.code == 0:
            self._check_gone()
        found = verify(self._folder / self.case.output)
        assert found.is_unfinished or not found.problems, f"after {first.said}: {found.problems}"

    def _check_end(self) -> None:
        case, output = self.case, self._folder / self.case.output
        assert _rows(output) == self._after
        assert _results(output) == self._results
        assert _bytes(self._folder / f"{case.output}.quarantine.jsonl") == self._aside
        assert verify(output).problems == []
        left = [path.name for path in self._folder.rglob("*") if is_temporary(path.name)]
        assert not left, left
        if case.is_removal:
            self._check_gone()

    def _check_gone(self) -> None:
        """No byte of the folder but the prompts names them, and no row of a compressed file."""
        for path in self._folder.rglob("*"):
            if path.is_file() and path.name != "prompts.jsonl":
                content = path.read_bytes().lower()
                assert SECRET.encode() not in content, f"{path} holds a removed text"
        for row in rows_of(self._folder / self.case.output):
            assert SECRET not in json.dumps(row).lower()


def _rows(output: Path) -> list[dict[str, Any]] | None:
    return list(rows_of(output)) if output.exists() else None


def _results(output: Path) -> list[tuple[Any, ...]]:
    journal = output.with_name(f"{output.name}.journal.sqlite")
    with closing(sqlite3.connect(journal)) as database:
        return sorted(database.execute("SELECT key, step, attempt, text FROM results").fetchall())


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
