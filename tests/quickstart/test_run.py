"""The whole road on small numbers, and what must stop it before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clairkit.errors import DataError, UsageError
from clairkit.quickstart import stations, task
from clairkit.quickstart.outcome import QuickstartResult
from clairkit.quickstart.report import closing_lines, table_rows
from clairkit.quickstart.run import run_quickstart
from clairkit.quickstart.stations import QuickstartPlan
from clairkit.records import read_pairs, read_prompts

# A third of the quickstart's own numbers.
SMALL = QuickstartPlan(prompts=160, held_out=100, epochs=2)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[QuickstartResult, list[str]]:
    said: list[str] = []
    folder: Path = tmp_path_factory.mktemp("road") / "run"
    return run_quickstart(SMALL, folder, say=said.append), said


@pytest.mark.slow
def test_the_kpi_rises_and_the_guard_holds(outcome: tuple[QuickstartResult, list[str]]) -> None:
    result, _ = outcome
    bills, sums = result.after.changes(result.before)
    assert bills.estimate >= 0.1
    assert bills.verdict == "better"
    assert sums.estimate >= -0.01
    assert result.peak_memory_mb < 3000


@pytest.mark.slow
def test_every_station_leaves_its_file(outcome: tuple[QuickstartResult, list[str]]) -> None:
    result, said = outcome
    pairs = list(read_pairs(str(result.folder / stations.SCORED)))
    assert len(pairs) == result.pairs > SMALL.prompts // 2
    for pair in pairs:
        answer, revision = pair.rejected[-1]["content"], pair.chosen[-1]["content"]
        assert list(task.breaches(answer))
        assert not list(task.breaches(revision))
        assert pair.scores["edit_share_rejected"] < 0.15
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    assert summary == json.loads(json.dumps(result.to_json()))
    assert summary["kpi"]["after"]["n"] == SMALL.held_out
    assert (result.folder / stations.TRAINED / "model.safetensors").is_file()
    assert [line[:3] for line in said] == ["1/5", "2/5", "3/5", "4/5", "5/5"]


@pytest.mark.slow
def test_the_end_shows_both_measures_and_the_way_on(
    outcome: tuple[QuickstartResult, list[str]],
) -> None:
    result, _ = outcome
    rows = table_rows(result.before, result.after)
    assert [row[0].split(":")[0] for row in (rows[0], rows[-1])] == ["KPI", "Guard"]
    assert rows[0][2].startswith(f"{100 * result.after.bills.share:.1f} [")
    text = "\n".join(closing_lines(result))
    assert str(result.folder) in text
    assert "clairkit build-pairs" in text


def test_evaluation_prompts_are_those_of_every_model_and_shared_with_none(tmp_path: Path) -> None:
    stations.write_prompts(SMALL, tmp_path)
    texts = {
        name: [row.prompt[-1]["content"] for row in read_prompts(str(tmp_path / name))]
        for name in (stations.PROMPTS, stations.BILLS, stations.SUMS)
    }
    assert [len(found) for found in texts.values()] == [160, 100, 100]
    assert len({text for found in texts.values() for text in found}) == 360


def test_a_shared_prompt_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "bill_prompts", lambda *_, **__: ["Bill: 2 pens at 2"])
    with pytest.raises(DataError, match="share prompts"):
        stations.write_prompts(SMALL, tmp_path)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run_quickstart(SMALL, tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        run_quickstart(SMALL, tmp_path / "mine.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
