"""What the kernel suite does with right, wrong, greedy and broken variants; what it keeps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from kernel_fakes import FAKES, add_fakes, right, run_here

from clairkit.bench.kernels import suite as kernel_suite
from clairkit.bench.kernels import worker as kernel_worker
from clairkit.bench.kernels.report import absences, columns, markdown, problems, rows, text_table
from clairkit.bench.kernels.run import Choices, measure, verdict

FROZEN, FULL = "quick-frozen-fp32-62", "quick-full-bf16-62"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    add_fakes(monkeypatch)
    monkeypatch.setattr(kernel_suite, "run_apart", run_here)
    # The process under test measures here: it must not be limited, nor lose its warnings.
    monkeypatch.setattr(kernel_worker, "limit_memory", lambda device: None)


def run(*cases: str, peers: Any = (), **choices: Any) -> dict[str, Any]:
    return measure(Choices(cases, peers=peers, **choices), lambda text: None, lambda point: None)


def by_name(point: dict[str, Any]) -> dict[str, Any]:
    return {result["variant"]: result for result in point["results"]}


def test_each_kind_of_variant_gets_what_it_deserves() -> None:
    document = run(FROZEN, peers=(*FAKES, "away"))
    found = by_name(document["points"][0])
    status = {name: result["status"] for name, result in found.items()}
    assert status | {"clairkit torch": "ok"} == {
        "clairkit auto": "ok",
        "clairkit torch": "ok",
        "eager": "ok",
        "right": "ok",
        "wrong": "PARITY FAILED",
        "greedy": "OOM",
        "broken": "ERROR",
        "huge": "OOM",
    }
    for name in ("clairkit auto", "eager", "right"):
        assert len(found[name]["seconds"]) == 3
        assert found[name]["memory"]["extra_bytes"] >= 0
        assert found[name]["accuracy"]["nats"][0] < 1e-3
        assert found[name]["against_bare"]["4"]["median"] > 0
        assert found[name]["against_ours"]["median"] > 0
    assert found["clairkit auto"]["against_ours"]["median"] == 1
    assert found["huge"]["problem"].startswith("predicted, not run")
    assert document["absent"] == {"away": "away-kernels is not installed"}
    assert document["parity_failed"] == [f"{FROZEN}: wrong"]
    assert verdict(document) == (7, f"parity failed, 1 in all: {FROZEN}: wrong")


def test_a_variant_whose_check_failed_has_no_figure() -> None:
    point = run(FROZEN, peers=["wrong"])["points"][0]
    found = by_name(point)["wrong"]
    for name in ("seconds", "time", "memory", "memory_against_ours", "against_ours"):
        assert not found[name]
    assert found["against_bare"] == {"4": None}
    assert "nats a token" in found["problem"]
    (row,) = [row for row in rows(point) if row[0] == "wrong"]
    cells = dict(zip(columns(point), row, strict=True))
    assert cells["ours"] == "PARITY FAILED"
    assert {cells[name] for name in ("s", "range", "bare 4", "MB", "MB/ours")} == {"-"}
    assert problems(point) == [f"wrong: PARITY FAILED, {found['problem']}"]


def test_without_ours_no_speed_up_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        kernel_worker, "find_variant", lambda name, case, device: _planted(name, case, device)
    )
    document = run(FROZEN)
    found = by_name(document["points"][0])
    assert found["clairkit auto"]["status"] == "PARITY FAILED"
    assert found["eager"]["against_ours"] is None
    assert found["eager"]["memory_against_ours"] is None
    assert found["eager"]["against_bare"]["4"] is not None


def _planted(name: str, case: Any, device: Any) -> Any:
    from clairkit.bench.kernels.variants import find_variant

    wrong = name == "clairkit auto"
    return (
        kernel_suite.PEERS["wrong"].variants(case, device)[0]
        if wrong
        else (find_variant(name, case, device))
    )


def test_a_trained_head_is_held_against_8_and_6_products() -> None:
    point = run(FULL, peers=["right"])["points"][0]
    found = by_name(point)
    assert set(point["bare"]) == {"8", "6"}
    assert set(found["clairkit auto kept"]["against_bare"]) == {"8", "6"}
    assert found["right"]["accuracy"]["weight"] < 2e-2
    assert point["case"]["gradient_bytes"] == (62 + 2003) * 72 * 2
    assert [row[0] for row in rows(point)[:2]] == ["bare 8", "bare 6"]
    assert all(len(row) == len(columns(point)) for row in rows(point))
    assert columns(point)[-1] == "dW"


@pytest.mark.parametrize(
    ("peers", "code"), [(("right",), 0), (("greedy", "huge"), 0), (("broken",), 4)]
)
def test_a_peer_out_of_memory_is_a_result_and_a_broken_one_a_failure(peers: Any, code: int) -> None:
    assert verdict(run(FROZEN, peers=peers))[0] == code


def test_times_that_are_lost_leave_the_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("the process ended with code -11")

    monkeypatch.setattr(kernel_suite, "measure_times", fails)
    document = run(FROZEN)
    point = document["points"][0]
    assert {result["status"] for result in point["results"]} == {"ERROR"}
    assert verdict(document)[0] == 5
    assert "ended with code -11" in text_table(point)


def test_results_are_kept_after_each_point_and_resumed(tmp_path: Path) -> None:
    target = tmp_path / "made" / "kernels.json"
    first = run(FROZEN, output=target, rounds=1)
    assert json.loads(target.read_text()) == first
    said: list[str] = []
    again = measure(
        Choices([FROZEN, FULL], output=target, resume=True, peers=(), rounds=1),
        said.append,
        lambda point: None,
    )
    assert again["points"][0] == first["points"][0]
    assert [point["case"]["name"] for point in again["points"]] == [FROZEN, FULL]
    assert "there already" in said[0]
    assert json.loads(target.read_text())["points"] == again["points"]
    # A peer that was not measured then: the point is done again.
    more = run(FROZEN, output=target, resume=True, peers=["right"], rounds=1)
    assert "right" in by_name(more["points"][0])
    assert FULL in {point["case"]["name"] for point in more["points"]}
    # There is no time for that: what was measured before stays.
    late = run(FULL, output=target, resume=True, peers=["right"], budget_minutes=0.0)
    assert [point["case"]["name"] for point in late["points"]] == [FULL, FROZEN]
    assert json.loads(target.read_text())["points"] == more["points"]


def test_results_of_another_machine_are_not_mixed_in(tmp_path: Path) -> None:
    target = tmp_path / "kernels.json"
    document = run(FROZEN, output=target, rounds=1)
    document["machine"]["cpu"] = "another"
    target.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"can't resume .*: its cpu is 'another'"):
        run(FULL, output=target, resume=True)
    assert json.loads(target.read_text()) == document


def test_no_point_is_begun_when_the_time_is_over() -> None:
    document = run(FROZEN, budget_minutes=0.0)
    assert document["points"] == []
    assert document["not_measured"] == [FROZEN]
    assert absences(document) == [f"not measured, the time was over: {FROZEN}"]
    assert verdict(document)[0] == 5


@pytest.mark.parametrize(
    ("wrong", "said"), [({"peers": ["nobody"]}, "no such peer"), ({"cases": ["x"]}, "no such case")]
)
def test_wrong_choices(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        measure(Choices(**wrong), lambda text: None, lambda point: None)


def test_json_holds_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    def nan(*arguments: Any) -> Any:
        return right(*arguments) * math.nan

    monkeypatch.setitem(FAKES, "right", nan)
    document = run(FROZEN, peers=["right"])
    assert by_name(document["points"][0])["right"]["status"] == "PARITY FAILED"
    json.dumps(document, allow_nan=False)
    assert "NaN" in text_table(document["points"][0])


def test_markdown_has_a_table_for_each_point() -> None:
    document = run(FROZEN, FULL, peers=["right", "away"], rounds=1)
    text = markdown(document)
    tables = [line for line in text.splitlines() if line.startswith("|---")]
    assert [line.count("---:") for line in tables] == [8, 10]
    assert "- away: absent, away-kernels is not installed" in text
    assert "`quick-full-bf16-62`" in text


def test_the_machine_is_told_with_the_versions_of_peers() -> None:
    machine = run(FROZEN, peers=["away"], rounds=1, commit="abc")["machine"]
    assert machine["versions"]["away-kernels"] is None
    assert machine["versions"]["torch"]
    assert machine["commit"]
