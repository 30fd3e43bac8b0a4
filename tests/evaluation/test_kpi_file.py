"""What `kpi.yaml` may say, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from clairkit.errors import DataError
from clairkit.evaluation.kpi_file import Column, Costs, Program, read_kpi_file

WHOLE = """\
kpis:
  - name: handling time
    unit: min
    direction: lower
    mid: 1.5 min
    weight: 2
    source: {file: log.csv, column: minutes, arm: variant, candidate: B, baseline: 1, cluster: id}
  - {name: length, unit: characters, direction: higher, mid: "1,000", source: "python:mine:length"}
guards:
  - {name: complaints, kpi: length, margin: 50}
  - {prompts: math.jsonl, check: "python:mine:right", margin: 4}
  - {judge: "openai:m", margin: "4 %"}
costs: {currency: EUR, api: 40, gpu_hour: 2.5, gpu_hours: 12, monthly: 30 EUR}
value_of_mid: "1,200 EUR"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "kpi.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    found = read_kpi_file(write(tmp_path, WHOLE))
    time, length = found.kpis
    assert (time.mid, time.weight, time.higher_is_better) == (1.5, 2.0, False)
    log = str(tmp_path / "log.csv")
    assert time.source == Column(log, "minutes", "variant", "B", "1", "id")
    assert (length.mid, length.weight) == (1000.0, 1.0)
    assert length.source == Program("python:mine:length")
    assert found.costs == Costs("EUR", 40 + 2.5 * 12, 30.0, 1200.0)
    # Margins of a check or a judge are percentage points; a KPI's is in its unit.
    assert [guard.margin for guard in found.guards] == [50.0, 0.04, 0.04]
    assert [guard.name for guard in found.guards] == ["complaints", "math check", "openai:m"]
    assert found.guards[1].prompts == str(tmp_path / "math.jsonl")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    direction: lower", "    direction: low", r"kpis\[1\].direction.*Did you mean lower"),
        ("    weight: 2", "    wieght: 2", r"kpis\[1\]: unknown key.*Did you mean weight"),
        ("1.5 min", "1,5", r"kpis\[1\].mid: this is no number.*'1,5'"),
        ("1.5 min", "0", r"kpis\[1\].mid: the number must be above 0"),
        ("weight: 2", "weight: -2", r"weight: the number must be 0 or more"),
        ("column: minutes", "colum: minutes", r"kpis\[1\].source.column: a text is needed"),
        ("cluster: id", "clusters: id", r"source: unknown key.*Did you mean cluster"),
        ('"python:mine:length"', "mine.csv", r"kpis\[2\].source: no source of a KPI"),
        ("name: length", "name: handling time", r"kpis: KPIs are needed, each with a name"),
        ("kpi: length", "kpi: lenght", r"guards\[1\].kpi: no such value.*Did you mean length"),
        ("kpi: length,", "", r"guards\[1\]: a guard rests on one of check, judge and kpi"),
        ("margin: 4}", "margin: 400}", r"guards\[2\].margin: a margin is below 100"),
        (", margin: 50", "", r"guards\[1\].margin: a number is needed"),
        ("name: complaints", "name: math check", r"guards: each guard needs a name of its own"),
        (", gpu_hours: 12", "", r"costs.gpu_hours: gpu_hour and gpu_hours are needed together"),
        ("value_of_mid:", "value_of_mids:", r"the file: unknown key.*Did you mean value_of_mid"),
        ("costs: {", "costs: [{", "is no YAML"),
        ("  - {name: length", "  - length\n  - {name: length", r"kpis\[2\]: is no mapping"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in WHOLE
    path = write(tmp_path, WHOLE.replace(before, after, 1))
    with pytest.raises(DataError, match=message) as error:
        read_kpi_file(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_kpi_file(tmp_path / "kpi.yaml")
    with pytest.raises(DataError, match="is no mapping"):
        read_kpi_file(write(tmp_path, ""))
