"""A run by batch files from the prompts to the pairs, as the command makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from batch_replies import answered, read, write
from driving import Named

from clairkit.engine.program import Method
from clairkit.errors import DataError, UsageError
from clairkit.generation.batch.run import export_batch, import_batch
from clairkit.generation.engine import make_build
from clairkit.generation.settings import BuildSettings
from clairkit.journal.results import journal_path
from clairkit.journal.row_index import RowIndex
from clairkit.models.budget import Budget
from clairkit.models.requests import Task
from clairkit.models.sampling import Outcome, Reply
from clairkit.records import PromptRow, read_pairs

MakeRows = Callable[..., list[PromptRow]]
SETTINGS = BuildSettings()


def build(target: str | None = "python:reviser_functions:answer") -> Method:
    return make_build(SETTINGS, target=target, reviser="openai:gpt-4o-mini")


def test_answers_of_this_process_are_revised_by_a_batch(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(4, answers=False), tmp_path / "pairs.jsonl"
    exported = export_batch(rows, build(), output, tmp_path / "b.jsonl", settings=SETTINGS)
    (file,) = exported.files
    assert (file.requests, file.model, exported.waiting) == (4, "openai:gpt-4o-mini", {})
    assert "you said question 3" in file.path.read_text()
    replies = write(tmp_path / "o.jsonl", [*map(answered, read(file.path))])
    imported, result = import_batch(rows, build(), output, [replies], settings=SETTINGS)
    assert (imported.recorded, result.pairs, result.unfinished) == (4, 4, 0)
    pairs = list(read_pairs(output))
    assert [pair.chosen[-1]["content"] for pair in pairs] == [
        f"YOU SAID QUESTION {n}" for n in range(4)
    ]
    again = export_batch(rows, build(), output, tmp_path / "next.jsonl", settings=SETTINGS)
    assert again.files == ()


class InBatches(Named):
    """A local model as `hf:` is: it answers some rows at a time, and notes how many."""

    sizes: ClassVar[list[int]] = []

    async def complete(self, tasks: Sequence[Task], budget: Budget) -> list[Outcome]:
        self.sizes.append(len(tasks))
        return [Reply(f"local answer to {task.messages[-1]['content']}") for task in tasks]


def test_local_answers_are_made_in_the_batches_of_a_whole_run(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    target = InBatches("hf:a", batch_size=4, identity={"kind": "hf"})
    method = make_build(SETTINGS, target=target, reviser="openai:gpt-4o-mini")
    exported = export_batch(
        make_rows(10, answers=False),
        method,
        tmp_path / "p.jsonl",
        tmp_path / "b.jsonl",
        settings=SETTINGS,
    )
    assert sorted(InBatches.sizes) == [2, 4, 4]
    assert [file.requests for file in exported.files] == [10]
    assert "local answer to question 9" in exported.files[0].path.read_text()


def test_the_pairs_that_are_there_are_written_and_the_rest_is_open(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(4), tmp_path / "pairs.jsonl"
    exported = export_batch(rows, build(None), output, tmp_path / "b.jsonl", settings=SETTINGS)
    lines = [answered(line) for line in read(exported.files[0].path)]
    replies = write(tmp_path / "o.jsonl", lines[:3])
    _, result = import_batch(rows, build(None), output, [replies], settings=SETTINGS)
    assert (result.pairs, result.unfinished) == (3, 1)
    rest = export_batch(rows, build(None), output, tmp_path / "b2.jsonl", settings=SETTINGS)
    assert [line["custom_id"] for line in read(rest.files[0].path)] == [lines[3]["custom_id"]]


def test_the_pairs_of_a_batch_are_those_of_a_run_that_asked_the_server(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    from fake_server import revise, serving

    from clairkit.generation.engine import run_build
    from clairkit.models.server.model import OpenAIModel

    rows = make_rows(3)
    exported = export_batch(
        rows, build(None), tmp_path / "batch.jsonl", tmp_path / "b.jsonl", settings=SETTINGS
    )
    replies = write(tmp_path / "o.jsonl", [*map(answered, read(exported.files[0].path))])
    import_batch(rows, build(None), tmp_path / "batch.jsonl", [replies], settings=SETTINGS)
    with serving(revise) as server:
        model = OpenAIModel("gpt-4o-mini", base_url=server.url)
        method = make_build(SETTINGS, reviser=model)
        run_build(rows, method, tmp_path / "asked.jsonl", settings=SETTINGS)
    by_batch, asked = (list(read_pairs(tmp_path / f"{name}.jsonl")) for name in ("batch", "asked"))
    assert [pair.id for pair in by_batch] == [pair.id for pair in asked]
    assert [pair.chosen for pair in by_batch] == [pair.chosen for pair in asked]


def test_rows_that_were_removed_for_good_are_in_no_batch(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows, output = make_rows(3), tmp_path / "p.jsonl"
    export_batch(rows, build(None), output, tmp_path / "b.jsonl", settings=SETTINGS)
    with RowIndex(journal_path(output)) as index:
        index.mark_removed(["row-1"])
    (file,) = export_batch(
        rows, build(None), output, tmp_path / "b2.jsonl", settings=SETTINGS
    ).files
    assert file.requests == 2
    assert "answer 1." not in file.path.read_text()
    replies = write(tmp_path / "o.jsonl", [*map(answered, read(tmp_path / "b.jsonl"))])
    imported, result = import_batch(rows, build(None), output, [replies], settings=SETTINGS)
    assert (imported.recorded, imported.foreign, result.pairs) == (2, 1, 2)


def test_calls_that_this_process_could_not_make_are_named(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    rows = [*make_rows(2), *make_rows(5, answers=False)[2:]]
    method = build("python:reviser_functions:broken")
    made = export_batch(rows, method, tmp_path / "p.jsonl", tmp_path / "b.jsonl", settings=SETTINGS)
    assert [file.requests for file in made.files] == [2]
    assert made.waiting == {"python:reviser_functions:broken": 3}


def test_a_round_of_both_kinds_is_asked_here_and_by_the_batch(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    settings = BuildSettings(
        method="judge-off-policy",
        candidates=("python:reviser_functions:answer", "openai:gpt-4o"),
    )
    method = make_build(settings, judge="openai:gpt-4o-mini")
    made = export_batch(
        make_rows(2, answers=False),
        method,
        tmp_path / "p.jsonl",
        tmp_path / "b.jsonl",
        settings=settings,
    )
    assert [(file.model, file.requests) for file in made.files] == [("openai:gpt-4o", 2)]
    assert made.waiting == {}


@pytest.mark.parametrize("cap", [{"max_calls": 3}, {"max_cost": 1.0}])
def test_a_cap_that_nobody_would_keep_is_refused(
    tmp_path: Path, make_rows: MakeRows, cap: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match="a cap can't be kept"):
        export_batch(
            make_rows(1),
            build(),
            tmp_path / "p.jsonl",
            tmp_path / "b.jsonl",
            settings=BuildSettings(**cap),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_server_has_no_batch(tmp_path: Path, make_rows: MakeRows) -> None:
    method = make_build(SETTINGS, reviser="python:reviser_functions:shout")
    with pytest.raises(UsageError, match="no model can be asked"):
        export_batch(
            make_rows(1), method, tmp_path / "p.jsonl", tmp_path / "b.jsonl", settings=SETTINGS
        )


def test_nothing_is_asked_when_the_batch_file_cannot_be_written(
    tmp_path: Path, make_rows: MakeRows
) -> None:
    (tmp_path / "b.jsonl").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        export_batch(
            make_rows(2, answers=False),
            build(),
            tmp_path / "p.jsonl",
            tmp_path / "b.jsonl",
            settings=SETTINGS,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]


def test_replies_to_other_prompts_are_refused(tmp_path: Path, make_rows: MakeRows) -> None:
    output = tmp_path / "p.jsonl"
    exported = export_batch(
        make_rows(2), build(None), output, tmp_path / "b.jsonl", settings=SETTINGS
    )
    replies = write(tmp_path / "o.jsonl", [*map(answered, read(exported.files[0].path))])
    others = make_rows(4)[2:]
    with pytest.raises(DataError, match="no result belongs"):
        import_batch(others, build(None), output, [replies], settings=SETTINGS)
    assert not output.exists()
