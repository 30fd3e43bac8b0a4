"""KPIs from logs and programs: their changes, utility and break-even."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from clairkit.errors import DataError, UsageError
from clairkit.evaluation.kpi import UTILITY, AnswerPair, KpiResult, measure_kpis
from clairkit.evaluation.kpi_file import read_kpi_file
from clairkit.records import Message, PromptRow

N = 120


def letters(prompt: list[Message], answer: str, row: dict[str, Any]) -> float | None:
    """Return how long an answer is; None of one that says nothing."""
    return len(answer) if answer.strip() else None


def shouts(prompt: list[Message], answer: str, row: dict[str, Any]) -> str:
    return answer.upper()


def minutes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Minutes before and after; about two saved."""
    generator = np.random.default_rng(seed)
    before = generator.gamma(9, 3, size=N)
    return before, before - 2 + generator.normal(0, 3, size=N)


def log(path: Path, cells: list[tuple[str, str, str]]) -> Path:
    """Write a log of case, arm and minutes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("case", "arm", "minutes"), *cells])
    return path


def paired_log(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    before, after = minutes()
    rows = [(str(at), "old", f"{value:.4f} min") for at, value in enumerate(before)]
    rows += [(str(at), "new", f"{value:.4f}") for at, value in enumerate(after)]
    log(folder / "log.csv", rows)
    return before.round(4), after.round(4)


TIME = """\
  - name: time
    unit: min
    direction: lower
    mid: 1
    source: {file: log.csv, column: minutes, cluster: case}
"""
LENGTH = f"""\
  - {{name: length, unit: letters, direction: higher, mid: 5, weight: 0.5,
     source: "python:{__name__}:letters"}}
"""


def measure(folder: Path, text: str, answers: list[AnswerPair] | None = None) -> KpiResult:
    path = folder / "kpi.yaml"
    path.write_text(f"kpis:\n{text}", encoding="utf-8")
    return measure_kpis(read_kpi_file(path), "new", "old", answers or [])


def answered(before: list[str | None], after: list[str | None]) -> list[AnswerPair]:
    prompt = (Message(role="user", content="?"),)
    return [
        AnswerPair(PromptRow(prompt, id=str(at)), old, new, str(at))
        for at, (old, new) in enumerate(zip(before, after, strict=True))
    ]


def test_a_column_of_a_log_by_arm(tmp_path: Path) -> None:
    before, after = paired_log(tmp_path)
    time, whole = measure(tmp_path, TIME).signals
    oracle = stats.ttest_rel(after, before)
    low, high = oracle.confidence_interval(0.95)
    assert time.estimate == pytest.approx(after.mean() - before.mean(), abs=1e-9)
    assert (time.low, time.high) == (pytest.approx(low), pytest.approx(high))
    assert (time.unit, time.clusters, time.name) == ("min", N, "time")
    assert time.details is not None
    assert time.details["mids"] == pytest.approx(-(time.estimate or 0))
    assert time.details["mids_low"] == pytest.approx(-high)
    assert (whole.name, whole.unit) == (UTILITY, "MID")
    assert whole.estimate == pytest.approx(time.details["mids"])
    assert whole.to_json()["is_defined"] is True


def test_utility_joins_log_and_program_by_prompt(tmp_path: Path) -> None:
    before, after = paired_log(tmp_path)
    generator = np.random.default_rng(1)
    lengths = generator.integers(10, 90, size=(2, N))
    answers = answered(*(["x" * size for size in row] for row in lengths))
    found = measure(tmp_path, TIME + LENGTH, answers)
    # By hand: each prompt's own utility, as both KPIs name the same clusters.
    own = -(after - before) + 0.5 * (lengths[1] - lengths[0]) / 5
    assert found.utility.estimate.estimate == pytest.approx(own.mean())
    assert found.utility.estimate.standard_error == pytest.approx(own.std() / N**0.5)
    assert found.utility.estimate.clusters == N


def test_break_even_by_hand(tmp_path: Path) -> None:
    paired_log(tmp_path)
    more = "costs: {currency: EUR, api: 600, monthly: 100}\nvalue_of_mid: 500\n"
    found = measure(tmp_path, TIME + more)
    mids = found.utility.estimate
    assert found.pays is not None
    assert mids.interval is not None
    assert found.pays.months == pytest.approx(600 / (500 * mids.estimate - 100))
    assert found.pays.low == pytest.approx(600 / (500 * mids.interval.high - 100))
    details = found.signals[-1].details or {}
    assert details["break_even"]["currency"] == "EUR"
    assert "pays after" in found.signals[-1].notes[-1]


def test_a_program_that_says_none_leaves_both_arms_out(tmp_path: Path) -> None:
    found = measure(
        tmp_path, LENGTH, answered(["a" * 3, "b" * 4, " ", "d"], ["aa", None, "cc", "ddd"])
    )
    assert found.signals[0].estimate == pytest.approx(0.5)
    assert found.signals[0].n == 4
    assert "2 prompts without a value of both arms left out" in found.signals[0].notes


def test_a_program_that_gives_no_number(tmp_path: Path) -> None:
    text = LENGTH.replace('letters"', 'shouts"')
    with pytest.raises(UsageError, match="no number on row 0: received \"'A'\""):
        measure(tmp_path, text, answered(["a"], ["b"]))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([("1", "old", "1,5"), ("1", "new", "2")], r"log.csv:2: column minutes: .*more than one"),
        ([("1", "old", "2"), ("1", "new", "3月1日")], r"log.csv:3: column minutes: a date"),
        ([("1", "old", "2"), ("1", "new", "3 h")], r"log.csv:3: column minutes: .*no number"),
        ([("1", "old", "2"), ("1", "neu", "3")], r"column arm: no row .* of the arm new.*'neu'"),
        ([("1", "old", "2"), ("1", "new", "")], r"column arm: no row with a value is of the arm"),
        ([("1", "old", "2"), ("", "new", "3")], r"log.csv:3: column case: .* is blank"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(
    tmp_path: Path, cells: list[tuple[str, str, str]], message: str
) -> None:
    log(tmp_path / "log.csv", cells)
    with pytest.raises(DataError, match=message):
        measure(tmp_path, TIME)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    log(tmp_path / "log.csv", [("1", "old", "2")])
    with pytest.raises(DataError, match="there is no column minuts: received 'case, arm, minutes'"):
        measure(tmp_path, TIME.replace("column: minutes", "column: minuts"))


def test_other_arms_and_blanks_are_counted(tmp_path: Path) -> None:
    cells = [("1", "old", "2"), ("2", "old", " "), ("1", "new", "3"), ("2", "new", "5")]
    log(tmp_path / "log.csv", [*cells, ("3", "pilot", "9")])
    time = measure(tmp_path, TIME.replace(", cluster: case", "")).signals[0]
    assert time.notes[-3:] == (
        "1 blank cell left out",
        "1 row of other arms left out",
        "rows taken for independent: no cluster column is named",
    )


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_european_export_is_the_same_log(tmp_path: Path, mark: str) -> None:
    paired_log(tmp_path)
    usual = measure(tmp_path, TIME).signals
    rows = list(csv.reader((tmp_path / "log.csv").open()))
    with (tmp_path / "log.csv").open("w", encoding="utf-8", newline="") as file:
        written = csv.writer(file, delimiter=mark)
        written.writerows([*row[:2], row[2].replace(".", ",")] for row in rows)
    assert measure(tmp_path, TIME).signals == usual


def test_two_delimiters_are_refused_and_one_named_counts(tmp_path: Path) -> None:
    paired_log(tmp_path)
    text = (tmp_path / "log.csv").read_text().replace(",", ";").replace("case;", "case, id;")
    (tmp_path / "log.csv").write_text(text)
    named = TIME.replace("cluster: case", 'cluster: "case, id", delimiter: ";"')
    with pytest.raises(DataError, match="more than one delimiter") as refused:
        measure(tmp_path, TIME)
    assert refused.value.line == 1
    assert measure(tmp_path, named).signals[0].n == 2 * N
