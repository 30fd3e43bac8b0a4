"""What is shown of results: ratios, their refusal, JSON, Markdown."""

from __future__ import annotations

import json
from typing import Any

from clairkit.bench.measure.machine import commit, describe_machine
from clairkit.bench.measure.timing import Peak
from clairkit.bench.results import (
    COLUMNS,
    CaseResult,
    VariantResult,
    document,
    markdown,
    number,
    rows,
    speed_ups,
)
from clairkit.bench.step.cases import QUICK
from clairkit.bench.step.parity import Parity

FINE = Parity(1e-7, 1e-7, 1e-7, 1e-6, "a")
BROKEN = Parity(1e-7, float("nan"), 1e-7, float("inf"), "a", "losses differ by nan")
SETTINGS = {
    "rounds": 3,
    "warmup": 1,
    "load_before": 0.1,
    "load_after": 1.2,
    "wall_seconds": 9.4,
    "peers": {"trl": "1.16.0"},
}


def peak(megabytes: float) -> Peak:
    return Peak(int(megabytes * 1e6), 500_000_000, "VmHWM after a reset")


def made(*results: VariantResult) -> CaseResult:
    return CaseResult(QUICK[0], results, "plain", gradient_bytes=60_000_000)


PLAIN = VariantResult("plain", seconds=(2.0, 4.0, 2.0), memory=peak(800))
OURS = VariantResult("clairkit torch", seconds=(1.0, 1.0, 1.5), memory=peak(80), parity=FINE)
WRONG = VariantResult(
    "clairkit native", "PARITY FAILED", memory=peak(1), parity=BROKEN, problem=BROKEN.problem
)
LOST = VariantResult("clairkit eager", "OOM", problem="killed")


def test_rows() -> None:
    assert rows(made(PLAIN, OURS, WRONG, LOST)) == [
        ["plain", "2.00", "2.00-4.00", "1.00x", "-", "800", "1.00x"],
        ["clairkit torch", "1.00", "1.00-1.50", "0.50x", "0.25-0.75", "80.0", "0.10x"],
        ["clairkit native", "-", "-", "PARITY FAILED", "-", "-", "-"],
        ["clairkit eager", "-", "-", "OOM", "-", "-", "-"],
    ]


def test_no_ratio_even_where_times_of_a_wrong_variant_are_given() -> None:
    sly = VariantResult("clairkit native", "ok", (0.1,) * 3, peak(1), BROKEN)
    unproven = VariantResult("clairkit native", "ok", (0.1,) * 3, peak(1), None)
    for result in (sly, unproven, VariantResult("x", "unchecked", (0.1,) * 3, peak(1))):
        case = made(PLAIN, result)
        assert (case.time_ratio(result), case.memory_ratio(result)) == (None, None)


def test_speed_ups() -> None:
    padded = VariantResult("clairkit padded", seconds=(3.0, 3.0, 3.0), parity=FINE)
    ours = VariantResult("clairkit", seconds=(1.0, 1.0, 1.5), memory=peak(80), parity=FINE)
    assert speed_ups(made(PLAIN, ours, padded, WRONG, LOST)) == [
        "clairkit over plain: 2.00x in time (1.33-4.00), 10.00x in memory "
        "(37.00x without gradients)",
        "clairkit over clairkit padded: 3.00x in time (2.00-3.00)",
    ]
    assert speed_ups(made(ours, padded)) == []  # nothing that either was held against
    assert speed_ups(made(PLAIN, OURS)) == []


def test_no_ratio_to_a_plain_step_that_was_not_measured() -> None:
    case = made(VariantResult("plain", "OOM"), OURS)
    assert (case.time_ratio(OURS), case.memory_ratio(OURS)) == (None, None)


def test_a_row_fits_20_columns_when_stacked() -> None:
    for row in rows(made(PLAIN, OURS, WRONG, LOST)):
        for name, cell in list(zip(COLUMNS, row, strict=True))[1:]:
            assert len(f"  {name} {cell}") <= 20


def test_numbers_have_three_digits_that_count() -> None:
    found = [number(value) for value in (0.01234, 1.234, 12.34, 123.4, 1234.0)]
    assert found == ["0.012", "1.23", "12.3", "123", "1234"]


def all_of(cases: list[CaseResult]) -> dict[str, Any]:
    return document("step", cases, describe_machine("cpu", 2), SETTINGS)


def test_the_json_document() -> None:
    found = json.loads(json.dumps(all_of([made(PLAIN, OURS, WRONG)]), allow_nan=False))
    assert set(found) == {"schema", "suite", "machine", "settings", "cases", "parity_failed"}
    assert found["parity_failed"] == ["tiny: clairkit native"]
    assert {"device", "cpu", "cores", "threads", "versions", "commit"} <= set(found["machine"])
    assert set(found["machine"]["versions"]) == {"clairkit", "torch", "transformers", "triton"}
    (case,) = found["cases"]
    assert case["case"]["response_tokens"] == 78
    assert case["case"]["lengths"][0] == {"prompt": 12, "chosen": 20, "rejected": 16}
    plain, ours, wrong = case["results"]
    assert plain["seconds"] == [2.0, 4.0, 2.0]
    assert plain["memory"]["extra_bytes"] == 800_000_000
    assert ours["time_ratio"] == {"median": 0.5, "low": 0.25, "high": 0.75}
    assert ours["memory_ratio"] == 0.1
    assert (wrong["time_ratio"], wrong["time"], wrong["memory_ratio"]) == (None, None, None)
    assert wrong["parity"]["loss"] is None  # NaN has no form in JSON


def test_markdown_is_one_table() -> None:
    cases = [made(PLAIN, OURS, WRONG)]
    lines = markdown(all_of(cases), cases).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert {line.count("|") for line in table} == {7}
    assert "| 0.50x (0.25-0.75) | 80.0 | 0.10x |" in table[3]
    assert "PARITY FAILED" in table[4]


def test_an_installed_package_claims_no_commit(tmp_path: Any) -> None:
    (tmp_path / "bench").mkdir()
    assert commit(tmp_path / "bench") is None
