"""Read `kpi.yaml`: KPIs, guards, costs, and what a minimal important difference (MID) is worth."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clairkit.evaluation.config_table import ConfigTable, read_config_table
from clairkit.evaluation.guards import GuardSpec, difference_unit, read_guards

_PROGRAM = "python:"
_DELIMITERS = {"": "", ",": ",", ";": ";", "tab": "\t"}


@dataclass(frozen=True)
class Column:
    """A column of a log: a row a case, with the arm that it belongs to.

    Attributes:
        file: CSV, JSONL, Parquet or another source of rows.
        column: that holds the KPI.
        arm: the column that says which arm a row belongs to.
        candidate: what it says for the candidate; "" is the model's name.
        baseline: what it says for the baseline; "" is the baseline's name.
        cluster: the column of what belongs together: a customer, a prompt's id; "" when rows are
            independent.
        delimiter: between the cells of a CSV file; "" is what its first line shows.
        decimal: the decimal mark; "" is what the column shows.
    """

    file: str
    column: str
    arm: str
    candidate: str
    baseline: str
    cluster: str
    delimiter: str = ""
    decimal: str = ""


@dataclass(frozen=True)
class Program:
    """A program that measures each answer.

    Attributes:
        spec: `python:PACKAGE:FUNCTION`, called with prompt, answer and row; it returns a number.
    """

    spec: str


@dataclass(frozen=True)
class KpiSpec:
    """A KPI, before it is measured.

    Attributes:
        name: of the KPI.
        unit: of its values.
        higher_is_better: its direction.
        mid: minimal important difference, above 0, in its unit.
        weight: how much one MID counts in the utility, 0 or more.
        source: where its values come from.
    """

    name: str
    unit: str
    higher_is_better: bool
    mid: float
    weight: float
    source: Column | Program


@dataclass(frozen=True)
class Costs:
    """What the candidate costs, in one currency.

    Attributes:
        currency: of all amounts.
        once: spent until it runs: GPU hours, API, people's minutes.
        monthly: what it costs a month beyond what the baseline does.
        value_of_mid: what one MID of utility is worth a month; None when nobody has said.
    """

    currency: str
    once: float
    monthly: float
    value_of_mid: float | None


@dataclass(frozen=True)
class KpiFile:
    """All that `kpi.yaml` says.

    Attributes:
        kpis: each with a name of its own.
        guards: what must not get worse.
        costs: of the candidate.
    """

    kpis: tuple[KpiSpec, ...]
    guards: tuple[GuardSpec, ...]
    costs: Costs


def read_kpi_file(path: str | os.PathLike[str]) -> KpiFile:
    """Return what a KPI file says; files that it names lie relative to its folder.

    Raises:
        DataError: it can't be read, or a key is unknown, missing or wrong.
    """
    table = read_config_table(Path(path))
    kpis = tuple(_kpi(each, Path(path).parent) for each in table.tables("kpis"))
    names = [kpi.name for kpi in kpis]
    if not names or len(set(names)) < len(names):
        problem = "KPIs are needed, each with a name of its own"
        raise table.error(problem, "kpis", received=", ".join(names) or None)
    guards = read_guards(table, {kpi.name: kpi.unit for kpi in kpis}, Path(path).parent)
    costs = _costs(table)
    table.refuse_others()
    return KpiFile(kpis, guards, costs)


def _kpi(table: ConfigTable, folder: Path) -> KpiSpec:
    unit = table.text("unit")
    kpi = KpiSpec(
        name=table.text("name"),
        unit=unit,
        higher_is_better=table.choice("direction", ("higher", "lower")) == "higher",
        mid=table.number("mid", unit=difference_unit(unit), above=True),
        weight=table.number("weight", 1.0),
        source=_source(table, folder),
    )
    table.refuse_others()
    return kpi


def _source(table: ConfigTable, folder: Path) -> Column | Program:
    given = table.get("source")
    if isinstance(given, str):
        if not given.startswith(_PROGRAM):
            remedy = "write python:PACKAGE:FUNCTION, or {file: log.csv, column: …, arm: …}"
            raise table.error("no source of a KPI", "source", received=given, remedy=remedy)
        return Program(given)
    inner = table.table("source")
    file = inner.text("file")
    source = Column(
        file=os.fspath(folder / file) if "://" not in file else file,
        column=inner.text("column"),
        arm=inner.text("arm", "arm"),
        candidate=inner.text("candidate", ""),
        baseline=inner.text("baseline", ""),
        cluster=inner.text("cluster", ""),
        delimiter=_DELIMITERS[inner.choice("delimiter", tuple(_DELIMITERS), "")],
        decimal=inner.choice("decimal", ("", ".", ","), ""),
    )
    inner.refuse_others()
    return source


def _costs(table: ConfigTable) -> Costs:
    costs = table.table("costs")
    currency = costs.text("currency", "")
    once = costs.number("api", 0.0, unit=currency)
    for price, amount in (("gpu_hour", "gpu_hours"), ("human_minute", "human_minutes")):
        if (price in costs) != (amount in costs):
            lacking = amount if price in costs else price
            raise costs.error(f"{price} and {amount} are needed together", lacking)
        once += costs.number(price, 0.0, unit=currency) * costs.number(amount, 0.0)
    monthly = costs.number("monthly", 0.0, unit=currency, least=float("-inf"))
    costs.refuse_others()
    is_worth = table.get("value_of_mid") is not None
    worth = table.number("value_of_mid", unit=currency, above=True) if is_worth else None
    return Costs(currency, once, monthly, worth)
