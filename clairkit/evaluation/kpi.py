"""Measure the KPIs of `kpi.yaml` on both arms: changes, their utility, and when it pays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clairkit.display import counted, excerpt
from clairkit.errors import DataError, UsageError
from clairkit.evaluation.checks import measured
from clairkit.evaluation.guards import GuardSpec, kpi_guard_change
from clairkit.evaluation.kpi_file import Column, Costs, KpiFile, KpiSpec, Program
from clairkit.evaluation.signals import Signal, signal_of
from clairkit.records import PromptRow
from clairkit.records.faults import RowFault
from clairkit.records.formats.csv_file import found_delimiters
from clairkit.records.json_types import JsonMapping, JsonObject
from clairkit.records.read import located_rows
from clairkit.records.source import Source, find_source
from clairkit.statistics.change import Change
from clairkit.statistics.estimates import Resampling
from clairkit.statistics.number_cells import Cell, read_numbers
from clairkit.statistics.utility import (
    BreakEven,
    Kpi,
    KpiChange,
    Utility,
    break_even,
    utility,
)
from clairkit.user_code import load_function

UTILITY = "utility"
"""The name of the weighted sum among the KPIs' signals."""

_MIDS = "MID"


@dataclass(frozen=True)
class AnswerPair:
    """Both arms' answers to one prompt; None where there is none.

    Attributes:
        row: the prompt.
        before: the baseline's.
        after: the candidate's.
        cluster: what the prompt belongs to; the prompt's id where nothing is named.
    """

    row: PromptRow
    before: str | None
    after: str | None
    cluster: Hashable


@dataclass(frozen=True)
class KpiResult:
    """What the KPIs of one candidate show.

    Attributes:
        signals: of each KPI, then of their utility.
        utility: as the signals have it, with all of each KPI.
        guards: the guards on KPIs with change and unit, to be tested with all others.
        pays: months until what was spent has come back; None where the file has no value of a MID.
    """

    signals: tuple[Signal, ...]
    utility: Utility
    guards: tuple[tuple[GuardSpec, Change, str], ...]
    pays: BreakEven | None


def measure_kpis(
    file: KpiFile,
    model: str,
    against: str,
    answers: Sequence[AnswerPair],
    resampling: Resampling | None = None,
) -> KpiResult:
    """Measure all KPIs of a candidate against the baseline.

    Args:
        file: what `kpi.yaml` says.
        model: the candidate's name; also its arm in logs that name no other.
        against: the baseline's.
        answers: of both, for programs that measure answers.
        resampling: level, draws and seed.

    Raises:
        DataError: a log can't be read, lacks a column or an arm, or a cell is no number.
        UsageError: a program fails, or returns no number.
    """
    resampling = resampling or Resampling()
    found = [_measured(spec, model, against, answers) for spec in file.kpis]
    kpis = {kpi.name: kpi for kpi, _ in found}
    whole = utility(list(kpis.values()), resampling)
    pays = _break_even(file.costs, whole)
    signals = [
        _kpi_signal(change, model, against, notes)
        for change, (_, notes) in zip(whole.changes, found, strict=True)
    ]
    signals.append(_utility_signal(whole, model, against, file.costs, pays))
    guards = tuple(
        (guard, kpi_guard_change(kpis[guard.by]), kpis[guard.by].unit)
        for guard in file.guards
        if guard.kind == "kpi"
    )
    return KpiResult(tuple(signals), whole, guards, pays)


def _measured(
    spec: KpiSpec, model: str, against: str, answers: Sequence[AnswerPair]
) -> tuple[Kpi, tuple[str, ...]]:
    """Return a KPI with its values, and what has to be known beside it."""
    if isinstance(spec.source, Program):
        values, arms, clusters, notes = _by_program(spec.source, spec.name, answers)
    else:
        source = replace(
            spec.source,
            candidate=spec.source.candidate or model,
            baseline=spec.source.baseline or against,
        )
        values, arms, clusters, notes = _by_column(source, spec.unit)
    kpi = Kpi(
        name=spec.name,
        unit=spec.unit,
        higher_is_better=spec.higher_is_better,
        mid=spec.mid,
        weight=spec.weight,
        values=values,
        is_candidate=arms,
        clusters=clusters,
    )
    return kpi, notes


_Values = tuple[list[float], list[bool], "list[Hashable] | None", tuple[str, ...]]


def _by_column(source: Column, unit: str) -> _Values:
    """Return the values of a log's column by arm."""
    arms = {source.candidate: True, source.baseline: False}
    cells: list[tuple[Cell, Any]] = []
    sides: list[bool] = []
    groups: list[Hashable] = []
    others: Counter[str] = Counter()
    file = _table_of(source)
    for line, row in located_rows(file):
        if isinstance(row, RowFault):
            raise row.to_error(source.file, line)
        arm = str(_cell(source, row, source.arm, line)).strip()
        if arm not in arms:
            others[arm] += 1
            continue
        cells.append(
            (Cell(source.file, line, source.column), _cell(source, row, source.column, line))
        )
        sides.append(arms[arm])
        if source.cluster:
            groups.append(_group(source, row, line))
    _check_arms(source, sides, others)
    # A table without a delimiter (JSONL, Parquet) or with commas has decimal points.
    usual = "" if file.delimiter in (";", "\t") else "."
    numbers = read_numbers(cells, unit, source.decimal or usual)
    kept = [at for at, number in enumerate(numbers) if number is not None]
    _check_arms(source, [sides[at] for at in kept], others)
    notes = []
    if blank := len(numbers) - len(kept):
        notes.append(f"{counted(blank, 'blank cell')} left out")
    if others:
        notes.append(f"{counted(sum(others.values()), 'row')} of other arms left out")
    if not source.cluster:
        notes.append("rows taken for independent: no cluster column is named")
    return (
        [number for number in numbers if number is not None],
        [sides[at] for at in kept],
        [groups[at] for at in kept] if source.cluster else None,
        tuple(notes),
    )


def _table_of(source: Column) -> Source:
    """Return the log with its delimiter, where it is a CSV file.

    Raises:
        DataError: its first line shows more than one, and none is named.
    """
    found = find_source(source.file)
    if found.kind != "csv":
        return found
    shown = source.delimiter or found_delimiters(found) or ","
    if len(shown) > 1:
        raise DataError(
            "more than one delimiter stands in the line of names",
            path=source.file,
            line=1,
            received=" and ".join("tab" if mark == "\t" else mark for mark in shown),
            remedy='name it in kpi.yaml, beside file: delimiter: ";"',
        )
    return replace(found, delimiter=shown)


def _cell(source: Column, row: JsonMapping, column: str, line: int) -> Any:
    if column not in row:
        raise DataError(
            f"there is no column {column}",
            path=source.file,
            line=line,
            received=excerpt(", ".join(row)),
            remedy="name a column of the log in kpi.yaml",
        )
    return row[column]


def _group(source: Column, row: JsonMapping, line: int) -> str:
    group = str(_cell(source, row, source.cluster, line) or "").strip()
    if not group:
        raise DataError(
            f"column {source.cluster}: the cell that says what the row belongs to is blank",
            path=source.file,
            line=line,
            remedy="fill it in, or name no cluster where rows are independent",
        )
    return group


def _check_arms(source: Column, sides: Sequence[bool], others: Counter[str]) -> None:
    for side, arm in ((True, source.candidate), (False, source.baseline)):
        if side not in sides:
            seen = ", ".join(name for name, _ in others.most_common(5))
            raise DataError(
                f"column {source.arm}: no row with a value is of the arm {arm}",
                path=source.file,
                received=excerpt(seen) or None,
                remedy="name the arms in kpi.yaml with candidate: and baseline:",
            )


def _by_program(program: Program, name: str, answers: Sequence[AnswerPair]) -> _Values:
    """Return what a program measures of each answer; a prompt without both is left out."""
    place = program.spec.partition(":")[2]
    function = load_function(place)
    found: list[tuple[float, bool, Hashable]] = []
    missing = 0
    for pair in answers:
        sides = [
            None if text is None else _number(function, program.spec, pair.row, text)
            for text in (pair.before, pair.after)
        ]
        if None in sides:
            missing += 1
            continue
        found += [
            (value, is_after, pair.cluster)
            for value, is_after in zip(sides, (False, True), strict=True)
            if value is not None
        ]
    if not found:
        raise DataError(f"KPI {name}: no prompt has a value of both arms", received=missing)
    notes = (f"{counted(missing, 'prompt')} without a value of both arms left out",)
    values, arms, clusters = zip(*found, strict=True)
    return list(values), list(arms), [str(each) for each in clusters], notes if missing else ()


def _number(function: Callable[..., Any], spec: str, row: PromptRow, answer: str) -> float | None:
    """Return the number that a program gives an answer, None where it says None.

    Raises:
        UsageError: it fails, or returns something else.
    """
    value = measured(function, spec, row, answer, "program")
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return None if value is None else float(value)
    raise UsageError(
        f"the program gave no number on row {excerpt(row.id)}",
        received=excerpt(repr(value)),
        remedy="return a finite number, or None where nothing can be measured",
    )


def _break_even(costs: Costs, found: Utility) -> BreakEven | None:
    if costs.value_of_mid is None:
        return None
    return break_even(
        found.estimate, once=costs.once, monthly=costs.monthly, value_of_mid=costs.value_of_mid
    )


def _kpi_signal(change: KpiChange, model: str, against: str, notes: tuple[str, ...]) -> Signal:
    kpi, mids = change.kpi, change.mids
    return signal_of(
        "kpi",
        change.change,
        model=model,
        against=against,
        name=kpi.name,
        unit=kpi.unit,
        notes=notes,
        details={
            "direction": "higher" if kpi.higher_is_better else "lower",
            "mid": kpi.mid,
            "weight": kpi.weight,
            "mids": mids.estimate,
            "mids_low": mids.low,
            "mids_high": mids.high,
        },
    )


def _utility_signal(
    found: Utility, model: str, against: str, costs: Costs, pays: BreakEven | None
) -> Signal:
    details: JsonObject = {}
    notes: tuple[str, ...] = ()
    if pays is not None:
        details["break_even"] = {
            "months": pays.months,
            "low": pays.low,
            "high": pays.high if math.isfinite(pays.high) else None,
            "once": costs.once,
            "monthly": costs.monthly,
            "value_of_mid": costs.value_of_mid,
            "currency": costs.currency,
        }
        notes = (months_text(pays),)
    return signal_of(
        "kpi",
        found.estimate,
        model=model,
        against=against,
        name=UTILITY,
        unit=_MIDS,
        notes=notes,
        details=details,
    )


def months_text(pays: BreakEven) -> str:
    """Return when it pays, in words."""
    if pays.months is None and not math.isfinite(pays.low):
        return "does not pay at any end of the interval"
    high = f"{pays.high:.1f}" if math.isfinite(pays.high) else "never"
    middle = "never" if pays.months is None else f"{pays.months:.1f} months"
    return f"pays after {middle} ({pays.low:.1f} to {high})"
